//! The shell: from a pipe, and typed on a terminal.

use std::path::Path;
use std::time::Duration;

use quorate_tests::harness::Server;
use rexpect::session::PtySession;

use super::Cli;

const COMMANDS: &[u8] = b"# what a deployment does
create -p '/app/two words' 1
create -e /app/alive x
stat /app/alive
get -w /app/alive
set /app/alive y

ls /app --output json
";

#[test]
fn commands_are_read_from_a_pipe_and_share_one_session() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let ran = cli.run_with(&["shell"], COMMANDS);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("/app/two words\n/app/alive\ncZxid = "), "{ran:?}");
    assert!(ran.stdout.contains(r#"{"path":"/app","children":["alive","two words"],"#), "{ran:?}");
    assert!(ran.stderr.contains("is open until the shell ends"), "{ran:?}");
    assert_eq!(cli.prints(&["ls", "/app"]), "two words\n", "the session has ended with the shell");
}

#[test]
fn a_pipe_ends_at_the_first_failure_unless_it_shall_go_on() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let input = b"create /a\nget /missing\nfrobnicate\nget 'open\ncreate /b\n";
    let ran = cli.run_with(&["shell"], input);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, "/a\n"), "{ran:?}");
    cli.prints(&["delete", "/a"]);
    let ran = cli.run_with(&["shell", "--keep-going"], input);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, "/a\n/b\n"), "{ran:?}");
    assert!(ran.stderr.contains("/missing: there is no such znode"), "{ran:?}");
    assert!(ran.stderr.contains("unrecognized subcommand 'frobnicate'"), "{ran:?}");
    assert!(ran.stderr.contains("close the quote"), "{ran:?}");
}

#[test]
fn watches_of_a_shell_are_removed_by_path_and_kind() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "/a", "1"]);
    let input = b"get -w /a\nremovewatches /a -c\nremovewatches /a -d\nremovewatches /a\naddWatch -m PERSISTENT /a\n\
                  removewatches /a -r\nremovewatches /a -p\n";
    let ran = cli.run_with(&["shell", "--keep-going"], input);
    let refused = "quorate: /a is not watched so here\n";
    assert_eq!((ran.code, ran.stderr), (1, refused.repeat(3)), "-c, then what was removed, then -r");
}

/// A person at a terminal. Their history is kept in a file.
fn type_at(cli: &Cli, history: &Path, terminal: &str) -> PtySession {
    let mut command = cli.command(&["shell", "--history", history.to_str().unwrap()]);
    command.env("TERM", terminal).env_remove("QUORATE_HISTORY");
    rexpect::session::spawn_command(command, Some(Duration::from_secs(20).as_millis() as u64)).unwrap()
}

fn sees(terminal: &mut PtySession, text: &str) {
    terminal.exp_string(text).unwrap_or_else(|error| panic!("no {text:?}: {error}"));
}

#[test]
fn at_a_terminal_words_and_paths_are_completed_and_changes_told() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "-p", "/application/config", "42"]);
    let home = tempfile::tempdir().unwrap();
    let history = home.path().join("below/history");
    let mut terminal = type_at(&cli, &history, "xterm");
    sees(&mut terminal, "`help` lists commands");
    sees(&mut terminal, "> ");

    // `ge` and `/app` have one meaning each.
    terminal.send("get -w /app\t/con\t\n").unwrap();
    terminal.flush().unwrap();
    sees(&mut terminal, "42");
    cli.prints(&["set", "/application/config", "43"]);
    sees(&mut terminal, "changed /application/config");

    terminal.send_line("create -e /application/here").unwrap();
    sees(&mut terminal, "is open until the shell ends");
    terminal.send_line("get /nothing").unwrap();
    sees(&mut terminal, "there is no such znode");

    // What goes on for ever is ended by Ctrl-C, and the shell stays.
    terminal.send_line("watch /application --initial").unwrap();
    sees(&mut terminal, "that is what there is");
    terminal.send_control('c').unwrap();
    sees(&mut terminal, "interrupted");
    assert_eq!(cli.prints(&["ls", "/application"]), "config\nhere\n");
    terminal.send_line("redo 1").unwrap();
    sees(&mut terminal, "43");
    // Between two lines the terminal is its own master, and keeps such keys to itself.
    sees(&mut terminal, "> ");
    terminal.send_control('d').unwrap();
    terminal.exp_eof().unwrap();

    assert_eq!(cli.prints(&["ls", "/application"]), "config\n", "the session has ended with the shell");
    let kept = std::fs::read_to_string(&history).unwrap();
    assert!(kept.contains("get -w /application/config") && kept.contains("redo 1"), "{kept}");
}

#[test]
fn a_terminal_that_can_do_nothing_will_do() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "/a", "42"]);
    let home = tempfile::tempdir().unwrap();
    let mut terminal = type_at(&cli, &home.path().join("history"), "dumb");
    sees(&mut terminal, "> ");
    terminal.send_line("get -w /a").unwrap();
    sees(&mut terminal, "42");
    cli.prints(&["set", "/a", "43"]);
    sees(&mut terminal, "changed /a");
    terminal.send_line("quit").unwrap();
    terminal.exp_eof().unwrap();
}
