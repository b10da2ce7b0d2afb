//! Where a setting comes from, and what is said of one that makes no sense.

use std::io::Write;

use clap::{Command, FromArgMatches};

use super::*;

fn flags(arguments: &[&str]) -> Settings {
    let command = Settings::augment_args(Command::new("serve"));
    let matches = command.try_get_matches_from([&["serve"], arguments].concat()).unwrap();
    Settings::from_arg_matches(&matches).unwrap()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn resolve(arguments: &[&str]) -> Result<Config, String> {
    flags(arguments).resolve(std::iter::empty()).map_err(|error| error.to_string())
}

fn resolve_file(text: &str, arguments: &[&str]) -> Result<Config, String> {
    let file = file(text);
    let path = file.path().to_str().unwrap();
    resolve(&[&["--config", path], arguments].concat())
}

#[test]
fn without_any_setting_a_server_listens_on_loopback_only() {
    let config = resolve(&[]).unwrap();
    assert_eq!(config.http.to_string(), "127.0.0.1:7180");
    assert_eq!(config.grpc.to_string(), "127.0.0.1:7181");
    assert_eq!(config.data_dir, Path::new("quorate-data"));
    assert_eq!(config.print_addresses, PrintAddresses::Text);
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let text = "http = \"127.0.0.1:1\"\ngrpc = \"127.0.0.1:2\"\nwatch_bytes = \"2MiB\"\nsegment_bytes = 2097152\n";
    let config = resolve_file(text, &["--grpc", "127.0.0.1:3"]).unwrap();
    assert_eq!((config.http.port(), config.grpc.port()), (1, 3));
    assert_eq!(config.outbox.watch_bytes_max, 2 << 20);
    assert_eq!(config.segment_bytes, 2 << 20);
    assert_eq!(config.outbox.bytes_max, OutboxLimits::default().bytes_max);
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest_one() {
    let error = resolve_file("data_dri = \"x\"", &[]).unwrap_err();
    assert!(error.contains("\"data_dri\"") && error.contains("\"data_dir\""), "{error}");
    let error = resolve_file("config = \"x\"", &[]).unwrap_err();
    assert!(error.contains("\"config\""), "{error}");
}

#[test]
fn what_begins_an_ensemble_cannot_be_said_at_every_start() {
    let members = ["--server-id", "1", "--member", "1=127.0.0.1:0,2=127.0.0.1:1"];
    let initializes = |config: Config| config.ensemble.unwrap().initialize;
    assert!(!initializes(resolve(&members).unwrap()));
    assert!(initializes(resolve(&[&members[..], &["--initialize"]].concat()).unwrap()));
    let error = resolve_file("initialize = true", &members).unwrap_err();
    assert!(error.contains("\"initialize\""), "{error}");
}

#[test]
fn a_misspelt_variable_is_an_error_and_a_foreign_one_is_not() {
    let resolve = |name: &str| Settings::default().resolve(std::iter::once(OsString::from(name)));
    let error = resolve("QUORATE_DATADIR").unwrap_err().to_string();
    assert!(error.contains("QUORATE_DATA_DIR"), "{error}");
    for foreign in ["QUORATE_TEST_REPORT", "QUORATE_SERVICE_HOST", "QUORATE_BIN", "PATH", "QUORATE_HTTP"] {
        assert!(resolve(foreign).is_ok(), "{foreign}");
    }
}

#[test]
fn other_addresses_than_loopback_need_a_word_from_the_operator() {
    let error = resolve(&["--http", "0.0.0.0:7180"]).unwrap_err();
    assert!(error.contains("http") && error.contains("--insecure"), "{error}");
    let config = resolve(&["--http", "0.0.0.0:7180", "--insecure"]).unwrap();
    assert_eq!(config.http.to_string(), "0.0.0.0:7180");
    assert!(resolve(&["--grpc", "[::1]:0"]).is_ok());
    assert!(resolve_file("insecure = true\ngrpc = \"0.0.0.0:1\"", &[]).is_ok());
}

#[test]
fn values_that_make_no_sense_are_refused_with_a_reason() {
    let check = |arguments: &[&str], part: &str| {
        let error = resolve(arguments).unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    check(&["--segment-bytes", "1KiB"], "1MiB to 1GiB");
    check(&["--watch-bytes", "1KiB"], "256KiB");
    check(&["--outbox-bytes", "1MiB"], "two watches");
    check(&["--connections-max", "0"], "nobody");
    check(&["--snapshot-records", "0"], "at least 1000");
    check(&["--snapshot-bytes", "0"], "at least 1MiB");
    check(&["--read-timeout-ms", "0"], "time to read");
    check(&["--http", "nonsense"], "ADDRESS:PORT");
    let error = resolve_file("http = 7", &[]).unwrap_err();
    assert!(error.contains("line 1"), "{error}");
    let error = resolve(&["--config", "/nonexistent.toml"]).unwrap_err();
    assert!(error.contains("/nonexistent.toml"), "{error}");
}

#[test]
fn every_setting_has_a_flag_and_but_for_the_first_start_a_variable_of_the_same_name() {
    let command = Settings::augment_args(Command::new("serve"));
    let mut count = 0;
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        assert_eq!(argument.get_long(), Some(id.replace('_', "-").as_str()));
        let variable = argument.get_env().map(|variable| variable.to_str().unwrap().to_owned());
        let expected = (id != "initialize").then(|| format!("QUORATE_{}", id.to_uppercase()));
        assert_eq!(variable, expected, "{id}");
        count += 1;
    }
    assert!(count > 10);
}

#[test]
fn clients_that_prove_who_they_are_may_come_from_elsewhere() {
    let tls = ["--tls-cert", "c", "--tls-key", "k"];
    let resolve = |more: &[&str]| resolve(&[&tls, more].concat());
    let files = resolve(&[]).unwrap().tls.unwrap();
    assert_eq!((files.cert, files.key, files.clients), ("c".into(), "k".into(), None));
    assert!(resolve(&["--http", "0.0.0.0:1"]).unwrap_err().contains("--tls-client-ca"));
    let known = ["--http", "0.0.0.0:1", "--tls-client-ca", "a"];
    assert!(resolve(&known).unwrap().is_open);
    let some = [&known[..], &["--tls-client-auth", "optional"]].concat();
    assert!(resolve(&some).unwrap_err().contains("--tls-client-ca"));
    assert!(!resolve(&some[2..]).unwrap().tls.unwrap().clients.unwrap().is_required);
}

#[test]
fn what_belongs_together_is_set_together() {
    for (arguments, missing) in [
        (&["--tls-cert", "c"][..], "tls_key"),
        (&["--tls-key", "k"], "tls_cert"),
        (&["--tls-client-ca", "a"], "tls_cert"),
        (&["--tls-client-auth", "required"], "tls_cert"),
        (&["--tls-cert", "c", "--tls-key", "k", "--tls-client-auth", "required"], "tls_client_ca"),
    ] {
        let error = resolve(arguments).unwrap_err();
        assert!(error.contains(missing), "{error}");
    }
}
