//! The command line, as it is typed.

use clap::{CommandFactory as _, Parser};

use super::*;
use crate::commands::acl::SetAcl;
use crate::global::OutputFormat;

#[derive(Parser, Debug)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    let words = shell_words::split(line).expect("quotes are closed");
    Cli::try_parse_from(std::iter::once("quorate".to_owned()).chain(words))
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn zkclis_flags_are_understood() {
    for line in [
        "create /a",
        "create -s -e /a data",
        "create -e -s -p /a data world:anyone:cdrwa",
        "create -c /a",
        "create -t 1000 /a data",
        "create -s -t 10s /a",
        "create /a --file x --acl world:anyone:r",
        "create /a -- -data",
        "create /a -1",
        "create /a -s",
        "get -s -w /a",
        "get -b /a",
        "get -x /a",
        "set /a data -s -v 3",
        "set -v -1 /a data",
        "set /a --null",
        "set /a -",
        "set -b /a aGk=",
        "ls",
        "ls -s -w /a",
        "ls -R /a",
        "stat -w /a",
        "delete -v 3 /a",
        "deleteall /a -b 1000",
        "rmr /a --yes",
        "getAcl -s /a",
        "setAcl -v 1 /a world:anyone:r",
        "sync /",
        "watch -R /a --initial --data --count 3",
        "watch /a --from 0x100000002.3",
        "lock /a",
        "lock /a --exec -- make -j --wait 3",
        "lock -s /a -w 1s --session-timeout 5s --grace 1s --data me --exec -- x",
        "elect /a --repeat --exec -- x",
        "elect /a --data me",
        "multi",
        "multi -f changes.txt",
        "getEphemerals /a",
        "getEphemerals -o 0x1",
        "get-ephemerals --all",
        "getAllChildrenNumber /a",
        "addWatch -m persistent /a",
        "removewatches /a -d -l",
        "config -c",
        "version",
        "bench",
        "bench write -d 1s -c 2 --callers 3 -v 0 -n 5 --path /a",
        "bench mixed --reads 50",
        "tree --depth 2",
        "export /a --format json --ephemerals",
        "export --format tar",
        "import - --to /b --existing skip --dry-run",
        "status",
        "members",
        "reconfig --add 4=a:1,5=a:2:observer --remove 1,2 --if-version 0x3",
        "reconfig -add 4=a:1 -remove 1,2 -v 100000002",
        "reconfig -s -v 5 -members 1=a:1,2=a:2",
        "reconfig -m 1=a:1",
        "reconfig -file members.txt",
        "reconfig -f members.txt --output json",
        "transfer-leadership",
        "transfer-leadership 254",
        "shell",
        "shell -k --history file",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "create",
        "create -c -e /a",
        "create -c -s /a",
        "create -t 5 -e /a",
        "create -t 0 /a",
        "create /a data --file x",
        "create /a data nonsense",
        "set /a data --null",
        "set /a data -v x",
        "set /a data -v 1 --if-mzxid 0x1",
        "set /a data -v 1 --upsert",
        "ls -R -w /a",
        "watch /a --initial --from 0x1",
        "watch -R --children /a",
        "watch /a --count 0",
        "deleteall /a -b 0",
        "deleteall /a -b 5000",
        "get /a --timeout never",
        "multi -f x check",
        "getEphemerals --all -o 0x1",
        "addWatch -m CHILDREN /a",
        "removewatches /a -c -d",
        "bench churn",
        "bench --reads 101",
        "bench -c 0",
        "lock /a --exec",
        "lock /a -- x",
        "lock /a --exec x",
        "elect /a --repeat",
        "reconfig --add 4=nonsense",
        "reconfig --add 4=a:1 --members 1=a:1",
        "reconfig --members 1=a:1 --file x",
        "reconfig --remove 0",
        "reconfig --add 4=a:1 -v x",
        "transfer-leadership 0",
        "frobnicate",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn global_options_may_stand_anywhere() {
    for line in [
        "--server a:1,b:2 --timeout 500ms --output json get /a",
        "get /a --server a:1,b:2 --timeout 500ms --output json",
    ] {
        let Cli { global, .. } = parse(line).expect("valid");
        assert_eq!(global.server, ["a:1", "b:2"]);
        assert_eq!(global.timeout.as_millis(), 500);
        assert_eq!(global.output, OutputFormat::Json);
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    for command in Cli::command().get_subcommands() {
        if command.is_hide_set() {
            continue;
        }
        let mut command = command.clone();
        let help = command.render_long_help().to_string();
        assert!(help.contains("Exit codes:"), "{}", command.get_name());
        // What is written by hand is not wrapped well by a terminal of 80 columns.
        let after = command.get_after_help().map(|text| text.to_string()).unwrap_or_default();
        assert!(after.lines().all(|line| line.chars().count() <= 80), "{after}");
        assert!(
            matches!(command.get_name(), "status" | "sync" | "version") || help.contains("Examples"),
            "{}",
            command.get_name()
        );
    }
}

#[test]
fn examples_can_be_typed_and_name_schemes_that_a_server_knows() {
    let mut acls = 0;
    for command in Cli::command().get_subcommands() {
        let after = command.get_after_help().map(|text| text.to_string()).unwrap_or_default();
        for line in after.lines().filter_map(|line| line.strip_prefix("  quorate ")) {
            // Two spaces end a command, as do the shell's characters.
            let typed = line.split("  ").next().and_then(|line| line.split(['|', '>', '<']).next()).unwrap_or_default();
            let parsed = parse(typed.trim_end()).unwrap_or_else(|error| panic!("{typed}: {error}"));
            if let Command::SetAcl(SetAcl { acl, .. }) = parsed.command {
                assert!(acl.0.iter().all(|entry| entry.scheme == "world" || entry.scheme == "digest"), "{typed}");
                acls += 1;
            }
        }
    }
    assert!(acls > 0);
}
