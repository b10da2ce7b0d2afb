//! TLS at the doors: with the command line, curl, the client and a gateway; certificates that are replaced under load.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quorate_client::{Client, Reason, Tls};
use quorate_tests::harness::{Authority, Gateway, Papers, Server, ServerOptions, server_binary};
use tokio::time::Instant;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// By which name tests call servers.
const HOST: &str = "127.0.0.1";

/// What a program did.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("temporary directories have names in ASCII")
}

fn run(program: &std::path::Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output().expect("the program runs");
    let words = |bytes: Vec<u8>| String::from_utf8(bytes).expect("programs print text");
    Ran { code: output.status.code().unwrap_or(-1), stdout: words(output.stdout), stderr: words(output.stderr) }
}

fn quorate(arguments: &[&str]) -> Ran {
    run(server_binary(), arguments)
}

fn curl(arguments: &[&str]) -> Ran {
    run("curl".as_ref(), &[&["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"], arguments].concat())
}

fn server(papers: &Papers, more: &[&str]) -> Server {
    let tls = ["--tls-cert", text(&papers.cert), "--tls-key", text(&papers.key)];
    let arguments = tls.iter().chain(more).map(|argument| (*argument).to_owned()).collect();
    Server::start_with(ServerOptions { arguments, ..ServerOptions::default() })
}

fn grpc(server: &Server) -> String {
    format!("https://{}", server.address("grpc"))
}

fn client(server: &Server, tls: Tls) -> Client {
    Client::builder().addresses([grpc(server)]).tls(tls).request_timeout(PATIENCE).build()
}

#[tokio::test]
async fn all_doors_speak_tls_with_whoever_trusts_their_authority() {
    let authority = Authority::new();
    let server = server(&authority.papers(HOST), &[]);
    let (ca, url) = (authority.ca(), format!("https://{}/v1/znodes/greeting", server.address("http")));
    for version in ["--http2", "--http1.1"] {
        let sent = curl(&["--cacert", text(&ca), version, "-X", "PUT", "-d", "hello", &url]);
        assert_eq!(sent.code, 0, "{version}: {sent:?}");
        let answer = curl(&["--cacert", text(&ca), version, "-w", " by HTTP/%{http_version}", &url]);
        assert_eq!(answer.stdout, format!("hello by HTTP/{}", version.trim_start_matches("--http")));
    }
    let address = server.address("grpc");
    // An address that says nothing is called with TLS by whoever names an authority.
    let got = quorate(&["--server", address, "--ca", text(&ca), "get", "/greeting"]);
    assert_eq!((got.code, got.stdout.as_str()), (0, "hello"), "{got:?}");
    let pem = fs::read(&ca).unwrap();
    let client = client(&server, Tls::new().ca_pem(pem));
    assert_eq!(client.get("/greeting").await.unwrap().data.as_deref(), Some(&b"hello"[..]));
}

#[tokio::test]
async fn what_is_wrong_with_a_connection_is_said_with_what_to_do() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = server(&authority.papers("quorate.example"), &[]);
    let plain = Server::start();
    let check = |arguments: &[&str], part: &str| {
        let began = Instant::now();
        let ran = quorate(&[arguments, &["get", "/"]].concat());
        assert!(ran.code == 6 && ran.stderr.contains(part), "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.contains("is a server running"), "{ran:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{arguments:?} took {:?}", began.elapsed());
    };
    let (encrypted, ca, strange) = (grpc(&server), authority.ca(), other.ca());
    let (ca, strange) = (text(&ca), text(&strange));
    check(&["--server", &encrypted, "--ca", strange], "an authority that is not trusted");
    check(&["--server", &encrypted, "--ca", ca], "not for 127.0.0.1, but for quorate.example");
    check(&["--server", &encrypted, "--ca", "/nonexistent.pem"], "/nonexistent.pem");
    check(&["--server", server.address("grpc")], "it speaks TLS: write https://");
    check(&["--server", plain.address("grpc"), "--ca", ca], "it does not speak TLS");
    check(&["--server", &format!("https://{}", server.address("http")), "--ca", ca], "but for quorate.example");
    let named = quorate(&["--server", &encrypted, "--ca", ca, "--server-name", "quorate.example", "get", "/"]);
    assert_eq!(named.code, 0, "{named:?}");
    let half = quorate(&["--server", &encrypted, "--cert", ca, "get", "/"]);
    assert!(half.code == 2 && half.stderr.contains("--key"), "{half:?}");
    // By HTTP, too.
    let told = curl(&[&format!("http://{}/readyz", server.address("http"))]);
    assert!(told.stdout.contains("write https://"), "{told:?}");
    // Whoever does not fail fast goes on trying, and says in the end what was wrong; unless the time is over just when a
    // connection seems to be there again.
    let patient = Client::builder().addresses([server.address("grpc")]).request_timeout(Duration::from_secs(1)).build();
    let mut error = patient.get("/").await.unwrap_err();
    for _ in 0..5 {
        if error.reason() == Reason::Unreachable {
            break;
        }
        assert_eq!(error.reason(), Reason::Timeout, "{error}");
        error = patient.get("/").await.unwrap_err();
    }
    assert_eq!(error.reason(), Reason::Unreachable);
    assert!(error.message().contains("https://"), "{error}");
}

#[tokio::test]
async fn who_has_no_certificate_is_refused_where_clients_prove_who_they_are() {
    let (authority, staff) = (Authority::new(), Authority::new());
    let (papers, member) = (authority.papers(HOST), staff.papers("somebody"));
    let staff_ca = staff.ca();
    // Nobody gets in unknown, so it may be reached from elsewhere.
    let server = server(&papers, &["--tls-client-ca", text(&staff_ca), "--http", "0.0.0.0:0"]);
    let (ca, address) = (authority.ca(), grpc(&server));
    let anonymous = ["--server", address.as_str(), "--ca", text(&ca)];
    let known = [&anonymous[..], &["--cert", text(&member.cert), "--key", text(&member.key)]].concat();
    let refused = quorate(&[&anonymous[..], &["get", "/"]].concat());
    assert!(refused.code == 6 && refused.stderr.contains("give a certificate and its key"), "{refused:?}");
    let stranger = authority.papers("stranger");
    let strange =
        [&anonymous[..], &["--cert", text(&stranger.cert), "--key", text(&stranger.key), "get", "/"]].concat();
    let refused = quorate(&strange);
    assert!(refused.code == 6 && refused.stderr.contains("certificate (`cert`)"), "{refused:?}");
    let created = quorate(&[&known[..], &["create", "/greeting", "hello"]].concat());
    assert_eq!(created.code, 0, "{created:?}");
    let port = server.address("http").rsplit(':').next().unwrap();
    let url = format!("https://{HOST}:{port}/v1/znodes/greeting");
    assert_ne!(curl(&["--cacert", text(&ca), &url]).code, 0);
    let answer = curl(&["--cacert", text(&ca), "--cert", text(&member.cert), "--key", text(&member.key), &url]);
    assert_eq!((answer.code, answer.stdout.as_str()), (0, "hello"), "{answer:?}");

    // A gateway is a client of the servers with its certificate, and a door with TLS of its own.
    let door = ["--tls-cert", text(&papers.cert), "--tls-key", text(&papers.key)];
    let gateway = Gateway::start(&[&address], &[&known[2..], &door].concat());
    let url = format!("https://{}/v1/znodes/greeting", gateway.address());
    let answer = curl(&["--cacert", text(&ca), &url]);
    assert_eq!((answer.code, answer.stdout.as_str()), (0, "hello"), "{answer:?}");
}

#[test]
fn a_server_with_bad_certificates_does_not_start() {
    let (authority, data) = (Authority::new(), tempfile::tempdir().unwrap());
    let (papers, other) = (authority.papers(HOST), authority.papers("other"));
    for (cert, key, part) in [
        ("/nonexistent.pem", text(&papers.key), "/nonexistent.pem"),
        (text(&papers.cert), text(&other.key), "is not that of the certificate"),
        (text(&papers.key), text(&papers.key), "there is no certificate in"),
    ] {
        let doors = ["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir", text(data.path())];
        let ran = quorate(&[&doors[..], &["--tls-cert", cert, "--tls-key", key]].concat());
        assert!(ran.code == 70 && ran.stderr.contains(part), "{ran:?}");
    }
}

/// Clients of a server whose certificates are being replaced. All of them trust either authority.
struct Load {
    stop: Arc<AtomicBool>,
    done: [Arc<AtomicU64>; 3],
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server, trusted: &str) -> Load {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), [(); 3].map(|()| Arc::new(AtomicU64::new(0))));
        let tls = Tls::new().ca_file(trusted);
        let (lasting, address) = (client(server, tls.clone()), grpc(server));
        let url = format!("https://{}/v1/znodes/busy", server.address("http"));
        let trusted = trusted.to_owned();
        let [writes, visits, requests] = done.clone();
        let over = |stop: &Arc<AtomicBool>| {
            let stop = Arc::clone(stop);
            move || stop.load(Ordering::Relaxed)
        };
        let (first, second, third) = (over(&stop), over(&stop), over(&stop));
        let tasks = vec![
            tokio::spawn(async move {
                while !first() {
                    lasting.set("/busy", "written").await.expect("a connection that there is goes on");
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            }),
            tokio::spawn(async move {
                while !second() {
                    let fresh = Client::builder().addresses([address.as_str()]).tls(tls.clone()).fail_fast(true);
                    fresh.build().get("/busy").await.expect("a new connection is made");
                    visits.fetch_add(1, Ordering::Relaxed);
                }
            }),
            tokio::task::spawn_blocking(move || {
                while !third() {
                    let answer = curl(&["--cacert", &trusted, "--fail", &url]);
                    assert_eq!(answer.code, 0, "{answer:?}");
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            }),
        ];
        Load { stop, done, tasks }
    }

    /// Waits until every client has done something more.
    async fn moves(&self) {
        let counts = || self.done.each_ref().map(|count| count.load(Ordering::Relaxed));
        let (before, deadline) = (counts(), Instant::now() + PATIENCE);
        while counts().iter().zip(before).any(|(now, before)| *now < before + 3) {
            assert!(Instant::now() < deadline, "a client stands still: {before:?}, then {:?}", counts());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no request has failed");
        }
    }
}

/// Waits until the server's log says this so often.
async fn logged(server: &Server, words: &str, times: usize) {
    let deadline = Instant::now() + PATIENCE;
    while server.log().matches(words).count() < times {
        assert!(Instant::now() < deadline, "the log does not say {words:?}: {}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn certificates_are_replaced_under_load_without_a_failed_request() {
    let (before, after) = (Authority::new(), Authority::new());
    let papers = before.papers(HOST);
    let server = server(&papers, &[]);
    let trusted = before.dir().join("both.pem");
    fs::write(&trusted, format!("{}{}", before.pem(), after.pem())).unwrap();
    client(&server, Tls::new().ca_file(&trusted)).create("/busy", "first").await.unwrap();
    let load = Load::start(&server, text(&trusted));
    load.moves().await;

    let only = |authority: &Authority| {
        let visitor = Client::builder().addresses([grpc(&server)]).tls(Tls::new().ca_file(authority.ca()));
        visitor.fail_fast(true).build()
    };
    assert!(only(&before).get("/busy").await.is_ok());
    after.issue(HOST, &papers);
    logged(&server, "new certificates are in use", 2).await;
    assert!(only(&after).get("/busy").await.is_ok());
    assert_eq!(only(&before).get("/busy").await.unwrap_err().reason(), Reason::Unreachable);
    load.moves().await;

    // What cannot be used is not, and both doors say so.
    fs::write(&papers.cert, "not a certificate").unwrap();
    logged(&server, "new certificates cannot be used", 2).await;
    assert!(server.log().contains(text(&papers.cert)), "{}", server.log());
    assert!(only(&after).get("/busy").await.is_ok());
    load.moves().await;

    before.issue(HOST, &papers);
    logged(&server, "new certificates are in use", 4).await;
    assert!(only(&before).get("/busy").await.is_ok());
    load.moves().await;
    load.stop().await;
}
