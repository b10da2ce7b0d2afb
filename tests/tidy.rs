//! What the source must look like, as far as no compiler and no lint checks it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may use which of our crates, outside of tests. A crate exists only to forbid an import, so this table is what
/// the crates are for.
const IMPORTS: &[(&str, &[&str])] = &[
    ("quorate-types", &[]),
    ("quorate-zab", &["quorate-types"]),
    ("quorate-tree", &["quorate-types"]),
    ("quorate-replica", &["quorate-types", "quorate-zab", "quorate-tree"]),
    ("quorate-storage", &["quorate-types"]),
    ("quorate-proto", &[]),
    ("quorate-client", &["quorate-proto"]),
    ("quorate-cli", &["quorate-client", "quorate-proto"]),
    ("quorate-gateway", &["quorate-client"]),
    (
        "quorate",
        &[
            "quorate-types",
            "quorate-zab",
            "quorate-tree",
            "quorate-replica",
            "quorate-storage",
            "quorate-proto",
            // Composed by `main.rs` alone: see `only_the_program_and_not_the_server_knows_its_clients`.
            "quorate-client",
            "quorate-cli",
            "quorate-gateway",
        ],
    ),
];

/// The crates to which clocks, threads, files, sockets and the environment do not exist.
const PURE: &[&str] = &["quorate-types", "quorate-zab", "quorate-tree", "quorate-replica"];

/// What the crates of the core never use, whatever their reason.
const FORBIDDEN_LIBRARIES: &[(&str, &[&str])] = &[
    ("quorate-types", &["tokio", "tonic", "prost", "axum", "rand", "getrandom", "tracing"]),
    ("quorate-zab", &["tokio", "tonic", "prost", "axum", "rand", "getrandom", "tracing"]),
    ("quorate-tree", &["tokio", "tonic", "prost", "axum", "rand", "getrandom", "tracing"]),
    ("quorate-replica", &["tokio", "tonic", "prost", "axum", "rand", "getrandom", "tracing"]),
    ("quorate-storage", &["tokio", "tonic", "prost", "axum"]),
    ("quorate-gateway", &["tonic", "prost"]),
];

struct Package {
    name: String,
    dir: PathBuf,
    published: bool,
    manifest: Value,
}

struct SourceFile {
    /// Relative to the root of the repository.
    path: String,
    text: String,
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let packages = packages();
    for package in &packages {
        if package.name == "quorate-tests" {
            continue;
        }
        let allowed = IMPORTS.iter().find(|(name, _)| *name == package.name).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{} is not in the table of imports", package.name));
        for used in dependencies(package) {
            let ours = packages.iter().any(|other| other.name == used);
            assert!(!ours || allowed.contains(&used.as_str()), "{} must not use {used}", package.name);
        }
    }
    assert_eq!(packages.len(), IMPORTS.len() + 1, "the table names a crate that is gone");
}

#[test]
fn the_core_uses_no_library_that_acts() {
    for package in packages() {
        let forbidden = FORBIDDEN_LIBRARIES.iter().find(|(name, _)| *name == package.name);
        for library in forbidden.map_or(&[][..], |(_, libraries)| libraries) {
            assert!(!dependencies(&package).iter().any(|used| used == library), "{} uses {library}", package.name);
        }
    }
}

#[test]
fn pure_crates_have_no_standard_library() {
    for package in packages().iter().filter(|package| PURE.contains(&package.name.as_str())) {
        let text = fs::read_to_string(package.dir.join("src/lib.rs")).unwrap();
        let code: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
        assert!(code.contains(&"#![no_std]"), "{} is not no_std", package.name);
        assert!(code.contains(&"#![deny(missing_docs)]"), "{} may leave documentation out", package.name);
        for (at, line) in code.iter().enumerate() {
            let only_in_tests = at > 0 && code[at - 1] == "#[cfg(test)]";
            assert!(*line != "extern crate std;" || only_in_tests, "{} links std outside of tests", package.name);
        }
    }
}

#[test]
fn only_the_program_and_not_the_server_knows_its_clients() {
    for file in sources("rs") {
        let program = ["main.rs", "backups", "dev_cluster", "gateway.rs", "logs.rs", "manuals.rs"];
        let program = program.map(|part| format!("server/src/{part}"));
        let inside = file.path.starts_with("server/src/") && !program.iter().any(|part| file.path.starts_with(part));
        for word in ["quorate_gateway", "quorate_client", "quorate_cli"] {
            assert!(!inside || !file.text.contains(word), "{} knows {word}", file.path);
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in sources("rs") {
        assert!(file.text.starts_with("//! "), "{} does not begin with a `//!` sentence", file.path);
    }
    for file in sources("proto") {
        assert!(file.text.starts_with("// "), "{} does not begin with a comment", file.path);
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together, so that this file does not find itself.
    let unfinished = [["to", "do!("], ["unimple", "mented!("], ["#[ig", "nore"], ["d", "bg!("], ["FIX", "ME"]];
    for file in sources("rs") {
        for [head, tail] in unfinished {
            let word = format!("{head}{tail}");
            assert!(!file.text.contains(&word), "{} contains {word}", file.path);
        }
    }
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    // Written in two parts, so that this file does not name them either.
    let places = [["/ho", "me/"], ["/ro", "ot/"], [".cargo/regi", "stry/src/index"]];
    for file in sources("") {
        for [head, tail] in places {
            let place = format!("{head}{tail}");
            assert!(!file.text.contains(&place), "{} names {place}", file.path);
        }
    }
}

#[test]
fn every_crate_that_is_published_can_be() {
    let license = fs::read_to_string(root().join("LICENSE")).expect("the repository has its licence");
    assert!(license.contains("Apache License") && license.contains("Version 2.0, January 2004"));
    for package in packages().iter().filter(|package| package.published) {
        for field in ["description", "license", "repository"] {
            let text = package.manifest[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{} has no {field}", package.name);
        }
        assert_eq!(package.manifest["license"], "Apache-2.0", "{}", package.name);
    }
}

#[test]
fn the_readme_maps_every_crate() {
    let readme = fs::read_to_string(root().join("README.md")).expect("the repository has a README.md");
    for package in packages() {
        let dir = package.dir.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        assert!(readme.contains(&format!("{dir}/")), "README.md does not say what {dir}/ is");
    }
}

#[test]
fn the_error_table_of_the_api_is_that_of_the_core() {
    let proto = quorate_proto::v1::ErrorReason::Unspecified as usize;
    assert_eq!(proto, 0);
    for code in quorate_types::Code::ALL {
        let reason = quorate_proto::v1::ErrorReason::try_from(i32::from(*code as u8)).expect("every code has a reason");
        assert_eq!(reason.as_str_name(), format!("ERROR_REASON_{}", code.reason()));
    }
    let beyond = quorate_types::Code::ALL.len() as i32 + 1;
    assert!(quorate_proto::v1::ErrorReason::try_from(beyond).is_err(), "the API knows a reason that the core does not");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |manifest: &Value| Package {
        name: manifest["name"].as_str().unwrap().to_owned(),
        dir: Path::new(manifest["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned(),
        // `publish = false` is an empty list of registries.
        published: manifest["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        manifest: manifest.clone(),
    };
    metadata["packages"].as_array().unwrap().iter().map(of).collect()
}

/// What a package uses besides its tests.
fn dependencies(package: &Package) -> Vec<String> {
    let all = package.manifest["dependencies"].as_array().unwrap();
    all.iter().filter(|one| one["kind"] != "dev").map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// Every text file of the repository whose name ends in `.extension`, or all of them.
fn sources(extension: &str) -> Vec<SourceFile> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let generated =
                    ["target", "node_modules", "__pycache__", "quorate-data", "dist"].contains(&name.as_str());
                if !generated && (!name.starts_with('.') || name == ".ci") {
                    dirs.push(path);
                }
            } else if extension.is_empty() || path.extension().is_some_and(|e| e == extension) {
                // What is not text (images, archives) is not ours to read.
                if let Ok(text) = fs::read_to_string(&path) {
                    found.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), text);
                }
            }
        }
    }
    assert!(found.len() > 3, "only {} files end in .{extension}", found.len());
    found.into_iter().map(|(path, text)| SourceFile { path, text }).collect()
}
