//! Completions and manual pages: what is made of the command line's definition is what shells and readers can use.

use std::process::{Command, Stdio};

use super::{COMMANDS, finish, program};

#[test]
fn bash_completes_commands_and_options() {
    let script = finish(program(&["completions", "bash"]), b"");
    assert_eq!(script.code, 0, "{script:?}");
    let complete = |words: &str, at: usize| {
        let ask = format!(
            "{}\nCOMP_WORDS=({words}); COMP_CWORD={at}; _quorate quorate \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{at}-1]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.stdout
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-s"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(bash, ask.as_bytes()).stdout
    };
    assert_eq!(complete("quorate transf", 1), "transfer-leadership\n");
    assert_eq!(complete("quorate create --seq", 2), "--sequential\n");
    assert_eq!(complete("quorate get --output j", 3), "json\n");
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("share/man1");
    let ran = finish(program(&["man", "--dir", dir.to_str().unwrap()]), b"");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    for command in COMMANDS {
        let page = std::fs::read_to_string(dir.join(format!("quorate-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Exit codes:"), "{command}: {page}");
    }
    let first = finish(program(&["man"]), b"").stdout;
    assert!(first.contains(".TH quorate 1"), "{first}");

    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ran = finish(program(&["man", "--dir", file.to_str().unwrap()]), b"");
    assert_eq!((ran.code, ran.stderr.contains("cannot write pages to")), (1, true), "{ran:?}");
}
