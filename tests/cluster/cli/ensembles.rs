//! What concerns the ensemble, at a server that is all of it.

use super::*;

#[test]
fn a_server_that_is_alone_is_its_whole_ensemble() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let shown = cli.run(&["--output", "json", "members"]);
    let members: Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
    assert_eq!((&members["leader_id"], &members["quorum"], &members["version"]), (&1.into(), &1.into(), &"0x0".into()));
    let [alone] = &members["members"].as_array().unwrap()[..] else { panic!("{members}") };
    assert_eq!((&alone["server_id"], &alone["role"], &alone["lag_ms"]), (&1.into(), &"leading".into(), &0.into()));
    let text = cli.run(&["members"]);
    assert!(text.stdout.contains("server 1 leads; 1 make a quorum; configuration 0x0"), "{text:?}");

    assert_eq!(cli.prints(&["config"]), "1=participant\n# version=0x0\n");
    let config = serde_json::json!({"version": "0x0", "members": [{"server_id": 1, "membership": "participant", "addresses": null}]});
    assert_eq!(cli.json(&["config"]), config);
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(cli.prints(&["version"]), format!("client {own}\nserver {own} (server 1)\n"));
    let alone = Cli::at("127.0.0.1:1").run(&["version"]);
    assert_eq!((alone.code, alone.stdout), (6, format!("client {own}\n")), "what is known is said");

    // It is so already.
    let same = cli.run(&["reconfig", "--add", "1=participant", "--remove", "9"]);
    assert_eq!((same.code, same.stdout.as_str()), (0, "configuration 0x0\n1=participant\n"), "{same:?}");
    let led = cli.run(&["transfer-leadership", "1"]);
    assert_eq!((led.code, led.stdout.as_str()), (0, "server 1 leads\n"), "{led:?}");
}

#[test]
fn a_change_that_cannot_be_made_says_why_and_so_does_its_exit_code() {
    let server = Server::start();
    let cli = Cli::of(&server);
    for (line, code, says) in [
        ("reconfig --remove 1", 2, "nobody would vote"),
        ("reconfig --add 2=127.0.0.1:1", 4, "these are not: 2"),
        ("reconfig -add 2=observer", 3, "the ensemble has no server 2"),
        ("reconfig -remove 1 -v 7", 4, "expected version 0x7 of the configuration, found 0x0"),
        ("reconfig", 2, "say what is to change"),
        ("reconfig -frobnicate", 2, "no option"),
        ("reconfig --file /nonexistent/members", 1, "/nonexistent/members"),
        ("transfer-leadership", 4, "no other voter"),
        ("transfer-leadership 2", 3, "the ensemble has no server 2"),
    ] {
        let ran = cli.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.stderr.contains(says) && ran.stdout.is_empty(), "{line}: {ran:?}");
    }
}
