//! Watching: `watch`, and the `-w` of `get`, `stat` and `ls`.

use quorate_tests::harness::{Server, ServerOptions};
use serde_json::{Value, json};

use super::{Cli, zxid};

/// The present state, as far as it is asked for, is on standard output; remarks about it are not.
#[test]
fn watch_prints_what_there_is_and_then_each_change_on_a_line() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "-p", "/app/a", "1"]);
    let czxid = zxid(&cli.json(&["stat", "/app/a"])["stat"]["czxid"]);
    let mut watching = cli.start(&["watch", "-R", "/app", "--initial", "--data", "--count", "5"]);
    assert_eq!(watching.line(), format!("created /app zxid={czxid:#x} version=0 data=null"));
    assert_eq!(watching.line(), format!("created /app/a zxid={czxid:#x} version=0 data=\"1\""));
    cli.prints(&["set", "/app/a", "two\nlines"]);
    assert_eq!(watching.line(), format!("changed /app/a zxid={:#x} version=1 data=\"two\\nlines\"", czxid + 1));
    cli.prints(&["create", "/app/b", "-b", "/w=="]);
    assert_eq!(watching.line(), format!("created /app/b zxid={:#x} version=0 data=(1 bytes)", czxid + 2));
    cli.prints(&["delete", "/app/b"]);
    assert_eq!(watching.line(), format!("deleted /app/b zxid={:#x} version=0 data=null", czxid + 3));
    let ended = watching.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "five changes were asked for");
    assert_eq!(ended.stderr, "-- that is what there is; now what changes\n");
}

#[test]
fn watch_resumes_where_its_last_line_was_through_a_kill() {
    let mut server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "/app"]);
    let watch = ["--output", "json", "watch", "-R", "/app"];
    let mut watching = cli.start(&[&watch[..], &["--initial"]].concat());
    let read = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    assert_eq!(read(watching.line())["event"], json!("created"));
    assert_eq!(read(watching.line())["event"], json!("synced"));
    cli.prints(&["create", "-p", "/app/a/b"]);
    let last = read(watching.line());
    assert_eq!((&last["event"], &last["path"], &last["index"]), (&json!("created"), &json!("/app/a"), &json!(0)));
    drop(watching);
    // What happens while nobody watches, before and after a kill.
    cli.prints(&["set", "/app/a", "1"]);
    server.kill();
    server.restart();
    let cli = Cli::of(&server);
    cli.prints(&["deleteall", "/app/a", "--yes"]);

    let from = format!("{}.0", last["zxid"].as_str().unwrap());
    let told = cli.json_lines(&["watch", "-R", "/app", "--from", &from, "-n", "4"]);
    let short: Vec<_> =
        told.iter().map(|one| (one["event"].as_str().unwrap(), one["path"].as_str().unwrap())).collect();
    let expected = [("created", "/app/a/b"), ("changed", "/app/a"), ("deleted", "/app/a/b"), ("deleted", "/app/a")];
    assert_eq!(short, expected, "the rest of the txn, and everything since");
    assert_eq!(zxid(&told[0]["zxid"]), zxid(&last["zxid"]));
    assert_eq!((&told[2]["zxid"], &told[3]["index"]), (&told[3]["zxid"], &json!(1)));
    // From the whole txn on, the rest of it is not told again.
    let after = cli.json_lines(&["watch", "-R", "/app", "--from", last["zxid"].as_str().unwrap(), "-n", "1"]);
    assert_eq!(after[0]["event"], json!("changed"));
}

#[test]
fn watch_says_what_to_do_when_the_history_is_gone() {
    let arguments = ["--history-bytes", "16KiB"].map(str::to_owned).to_vec();
    let server = Server::start_with(ServerOptions { arguments, ..ServerOptions::default() });
    let cli = Cli::of(&server);
    cli.prints(&["create", "/app"]);
    for _ in 0..4 {
        assert_eq!(cli.run_with(&["set", "/app", "-"], &vec![b'x'; 8_000]).code, 0);
    }
    let ran = cli.run(&["watch", "/app", "--from", "0x1"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.ends_with("\n  begin again with --initial\n"), "{ran:?}");
}

#[test]
fn reading_commands_wait_for_the_next_change_when_told_to() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "/app", "1"]);
    let mut get = cli.start(&["get", "-w", "/app"]);
    let mut stat = cli.start(&["stat", "-w", "/app"]);
    let mut ls = cli.start(&["ls", "-w", "/"]);
    assert_eq!((get.line(), ls.line(), ls.line()), ("1".to_owned(), "app".to_owned(), "zookeeper".to_owned()));
    let block: Vec<String> = (0..11).map(|_| stat.line()).collect();
    assert!(block[6] == "dataVersion = 0", "{block:?}");
    // Nothing is missed between what was printed and the wait: the wait begins after the state that was printed.
    let changed = cli.json(&["set", "/app", "2"])["stat"]["mzxid"].as_str().unwrap().to_owned();
    let line = format!("changed /app zxid={changed} version=1\n");
    for waiting in [get, stat] {
        let ended = waiting.end();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, line.as_str(), ""));
    }
    let created = cli.json(&["create", "/new"])["stat"]["czxid"].as_str().unwrap().to_owned();
    assert_eq!(
        ls.end().stdout,
        format!("created /new zxid={created} version=0\n"),
        "what is set is no child that comes"
    );
}

#[test]
fn children_are_watched_coming_and_going() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let begin = cli.json(&["create", "/app"])["stat"]["czxid"].as_str().unwrap().to_owned();
    cli.prints(&["create", "/app/a", "1"]);
    cli.prints(&["set", "/app/a", "2"]);
    cli.prints(&["create", "/app/a/deep"]);
    cli.prints(&["create", "/app/b"]);
    let told = cli.json_lines(&["watch", "--children", "/app", "--from", &begin, "-n", "2"]);
    let paths: Vec<_> = told.iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/app/a", "/app/b"]);
    let alone = cli.json_lines(&["watch", "/app/a", "--from", &begin, "-n", "2"]);
    let events: Vec<_> = alone.iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["created", "changed"]);
}

#[test]
fn outside_of_a_shell_add_watch_tells_until_it_is_interrupted() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "-p", "/app/a"]);
    let mut watching = cli.start(&["addWatch", "/app"]);
    let changing = std::thread::spawn({
        let server = server.address("grpc").to_owned();
        // It begins at some moment: from then on it tells of every change.
        move || (1..).find(|count| Cli::at(&server).run(&["set", "/app/a", &count.to_string()]).code != 0)
    });
    let version = |line: String| line.rsplit_once("version=").unwrap().1.parse::<u64>().unwrap();
    let first = version(watching.line());
    assert_eq!([version(watching.line()), version(watching.line())], [first + 1, first + 2]);
    cli.prints(&["delete", "/app/a"]);
    changing.join().unwrap();
    let refused = "quorate: nothing is watched here: a watch of /app ends with the command that has begun it, as by Ctrl-C; \
                   in `quorate shell`, removewatches ends those of the shell\n";
    cli.fails(&["removewatches", "/app"], 2, refused);
}
