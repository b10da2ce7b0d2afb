//! `Installation`: ZooKeeper's program, fetched once by Maven and kept below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The version that is compared with.
const VERSION: &str = "3.9.5";

const POM: &str = include_str!("pom.xml");

/// ZooKeeper's jars, and a Java to run them.
pub(crate) struct Installation {
    jars: PathBuf,
    java_version: String,
}

impl Installation {
    /// Finds the jars, or fetches them. The error says what is missing and what to do about it.
    pub(crate) fn prepare() -> Result<Installation, String> {
        let java_version = java_version()?;
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rivals");
        let jars = home.join(format!("zookeeper-{VERSION}"));
        if !jars.is_dir() {
            fetch(&home, &jars)?;
        }
        Ok(Installation { jars, java_version })
    }

    /// Versions in words.
    pub(crate) fn describe(&self) -> String {
        format!("ZooKeeper {VERSION} on Java {}", self.java_version)
    }

    /// Every jar, as Java wants to be told of them.
    pub(crate) fn class_path(&self) -> PathBuf {
        self.jars.join("*")
    }
}

fn java_version() -> Result<String, String> {
    let output =
        run(Command::new("java").arg("-version"), "install a Java runtime, 11 or newer (e.g. openjdk-17-jre)")?;
    // `openjdk version "17.0.15" 2025-04-15`, on stderr.
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text.split('"').nth(1);
    version.map(str::to_owned).ok_or_else(|| format!("`java -version` says no version: {text}"))
}

/// Fetches the jars into `jars`, which appears only when it is complete.
fn fetch(home: &Path, jars: &Path) -> Result<(), String> {
    let describe = |error: std::io::Error| format!("{}: {error}", home.display());
    let incomplete = home.join("incomplete");
    if incomplete.exists() {
        fs::remove_dir_all(&incomplete).map_err(describe)?;
    }
    fs::create_dir_all(&incomplete).map_err(describe)?;
    let pom = home.join("pom.xml");
    fs::write(&pom, POM).map_err(describe)?;
    println!("fetching ZooKeeper {VERSION} from Maven's central repository");
    let mut maven = Command::new("mvn");
    maven
        .args(["--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-Dzookeeper.version={VERSION}"))
        .arg(format!("-Dmaven.repo.local={}", home.join("repository").display()))
        .arg(format!("-DoutputDirectory={}", incomplete.display()))
        .arg("--file")
        .arg(&pom);
    run(&mut maven, "install Apache Maven (e.g. the package maven)")?;
    fs::rename(&incomplete, jars).map_err(describe)
}

fn run(command: &mut Command, remedy: &str) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{program}` does not run ({error}): {remedy}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(format!("`{program}` failed ({}): {}", output.status, String::from_utf8_lossy(&said)));
    }
    Ok(output)
}
