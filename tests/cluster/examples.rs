//! The Rust client's examples: each is run as its readers run it, against an ensemble, and says what it should.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use quorate_tests::harness::Ensemble;
use serde_json::Value;

/// The examples' names.
fn names() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/rust/examples");
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    std::fs::read_dir(dir).unwrap().map(|entry| name(entry.unwrap().path())).collect()
}

/// The example's program, built now.
fn program(name: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        // Of the whole workspace, so that the libraries are those that this program is made of.
        build.args(["build", "--quiet", "--workspace", "--message-format", "json"]);
        for name in names() {
            build.args(["--example", &name]);
        }
        let output = build.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
        assert!(output.status.success(), "an example does not build: {}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8_lossy(&output.stdout);
        let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut built = artifacts.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
        built.next_back().expect("cargo names what it built").parent().unwrap().to_owned()
    });
    dir.join(name)
}

/// What it prints against an ensemble, twice: nothing that it leaves behind may confuse it.
async fn printed(name: &str) -> [String; 2] {
    let ensemble = Ensemble::start();
    ensemble.serving(&[1, 2, 3]).await;
    let addresses: Vec<String> = ensemble.ids().map(|id| ensemble.server(id).address("grpc").to_owned()).collect();
    [(); 2].map(|()| {
        let mut command = Command::new(program(name));
        let ran = command.arg(addresses.join(",")).stdin(Stdio::null()).output().unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{name}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    })
}

/// It always prints the same.
async fn prints(name: &str, expected: &str) {
    for printed in printed(name).await {
        assert_eq!(printed, expected, "{name}");
    }
}

#[test]
fn every_example_has_a_test_here() {
    for name in names() {
        assert!(include_str!("examples.rs").contains(&format!("(\"{name}\"")), "nobody runs {name}");
    }
}

#[tokio::test]
async fn a_configuration_centre_refuses_what_makes_no_sense() {
    let expected = "the service's limit is 100\nthe service's limit is 200\n\
        refused: /examples/configuration/limit: \"two hundred\" is no number: invalid digit found in string\n\
        the service's limit is still 200\n";
    prints("configuration", expected).await;
}

#[tokio::test]
async fn names_are_given_once_and_ids_never_again() {
    let [first, second] = printed("naming").await;
    let orders = "/examples/naming/orders/order-000000000";
    let expected = |order: u32, id: u32| {
        format!(
            "the name is taken\nthe printer in the lobby is at 10.0.0.7:631\nscrews are {orders}{order}\nnails are {orders}{}\n\
             ids {id} to {} are ours\nids {} to {} are ours\n",
            order + 1,
            id + 999,
            id + 1000,
            id + 1999
        )
    };
    assert_eq!((first, second), (expected(0, 1), expected(2, 2001)));
}

#[tokio::test]
async fn locks_are_exclusive_or_shared() {
    let expected =
        "three deposits of 10 make 30\n2 read at the same time\na writer waits meanwhile: true\nnow it writes\n";
    prints("locks", expected).await;
}

#[tokio::test]
async fn masters_are_elected_one_after_the_other() {
    let leads = |name| format!("{name} leads; its token is greater than the last one: true\n");
    prints("election", &format!("{}{}{}nobody is left\n", leads("anna"), leads("berta"), leads("clara"))).await;
}

#[tokio::test]
async fn members_come_and_go() {
    let expected = "there are: anna\nthere are: anna, berta\nberta sees 2 members\nthere are: berta\nthere are: none\n";
    prints("membership", expected).await;
}

#[tokio::test]
async fn a_heart_that_stands_still_is_noticed() {
    let beats: String = (1..=5).map(|beat| format!("beat {beat}\n")).collect();
    let worker = "/examples/heartbeat/worker";
    let seen = format!("the monitor sees {worker} come\nthe monitor sees {worker} go\n");
    prints("heartbeat", &format!("{beats}{seen}that was about a timeout after its last beat: true\n")).await;
}

#[tokio::test]
async fn progress_is_reported_to_its_end() {
    for printed in printed("progress").await {
        for worker in 1..=3 {
            let own =
                printed.lines().filter_map(|line| line.strip_prefix(&format!("/examples/progress/worker-{worker} [")));
            let steps: Vec<&str> = own.filter_map(|line| line.split_once("] ").map(|(_, percent)| percent)).collect();
            assert_eq!(steps, ["0 %", "25 %", "50 %", "75 %", "100 %"], "worker {worker}: {printed}");
        }
        assert!(printed.ends_with("all are through\n"), "{printed}");
    }
}

#[tokio::test]
async fn subscribers_read_everything_that_was_published() {
    let reads =
        |name: &str, news: &[&str]| news.iter().map(|text| format!("{name} reads: {text}\n")).collect::<String>();
    let news = ["it rains", "it pours", "the sun shines"];
    prints("publish_subscribe", &format!("{}{}", reads("anna", &news), reads("berta", &news))).await;
}

#[tokio::test]
async fn a_job_whose_worker_dies_goes_to_another() {
    let jobs = ["put out the fire", "paint the fence", "mow the lawn"];
    let done: String = jobs.iter().map(|job| format!("the careful one does it: {job}\n")).collect();
    prints("queue", &format!("the unlucky one begins to put out the fire\nand is gone\n{done}")).await;
}

#[tokio::test]
async fn consumers_find_providers() {
    let both = |second| format!("to be found are: host-7 at 10.0.0.7:80, host-8 at {second}\n");
    let (before, after) = (both("10.0.0.8:80"), both("10.0.1.8:80"));
    let expected = format!("offered are: mail, search\n{before}{after}to be found are: host-8 at 10.0.1.8:80\n");
    prints("registry", &expected).await;
}

#[tokio::test]
async fn requests_go_to_the_servers_that_are_there() {
    let expected =
        "{\"anna\": 3, \"berta\": 3, \"clara\": 3}\n{\"anna\": 5, \"clara\": 5}\n{\"anna\": 4, \"clara\": 4}\n";
    prints("load_balancing", expected).await;
}
