//! Request ids at their horizon: what is remembered, what is forgotten and what is refused is the same before and
//! after a `kill -9`.

use quorate_proto::v1;
use quorate_proto::v1::CreateMode;
use quorate_tests::harness::Server;
use quorate_types::limits::REMEMBERED_REQUESTS_MAX;
use tonic::Status;

use super::calls::{Calls, reason};

/// What one client has sent: sequential creates, whose repetition would show.
struct Sender {
    /// Of a session, or of one of the callers without one.
    options: v1::RequestOptions,
    client_id: Vec<u8>,
    parent: &'static str,
}

impl Sender {
    async fn create(&self, calls: &mut Calls, sequence: u64, data: &str) -> Result<v1::CreateResponse, Status> {
        self.send(calls, sequence, 0, data).await
    }

    async fn send(
        &self,
        calls: &mut Calls,
        sequence: u64,
        seen: u64,
        data: &str,
    ) -> Result<v1::CreateResponse, Status> {
        let client_id = self.client_id.clone().into();
        let request_id = Some(v1::RequestId { client_id, sequence, acknowledged_through: seen });
        let request = v1::CreateRequest {
            path: format!("{}/n-", self.parent),
            data: Some(data.to_owned().into()),
            mode: CreateMode::PersistentSequential.into(),
            options: Some(v1::RequestOptions { request_id, ..self.options.clone() }),
            ..v1::CreateRequest::default()
        };
        calls.znodes.create(request).await.map(tonic::Response::into_inner)
    }

    async fn made(&self, calls: &mut Calls) -> usize {
        calls.children(self.parent).await.len()
    }
}

#[tokio::test]
async fn request_ids_have_the_same_horizon_after_a_kill() {
    let mut server = Server::start();
    let mut calls = Calls::to(&server).await;
    let session = calls.open_session(60_000).await;
    let in_session = v1::RequestOptions { session: Some(session), ..v1::RequestOptions::default() };
    let senders = [
        Sender { options: in_session, client_id: vec![], parent: "/session" },
        Sender { options: v1::RequestOptions::default(), client_id: vec![9; 16], parent: "/sessionless" },
    ];
    let newest = REMEMBERED_REQUESTS_MAX as u64 + 10;
    let mut answers = Vec::new();
    for sender in &senders {
        calls.create(sender.parent, CreateMode::Persistent).await;
        let mut paths = vec![String::new()];
        for sequence in 1..=newest {
            paths.push(sender.create(&mut calls, sequence, "x").await.unwrap().path);
        }
        answers.push(paths);
    }
    check_horizon(&mut calls, &senders, &answers).await;
    server.kill();
    server.restart();
    let mut calls = Calls::to(&server).await;
    check_horizon(&mut calls, &senders, &answers).await;

    // What a client says that it has seen is forgotten, too, and stays so.
    for sender in &senders {
        let fresh = sender.send(&mut calls, newest + 1, newest - 1, "x").await.unwrap();
        assert!(fresh.path > answers[0][newest as usize].replace("/session", sender.parent), "{fresh:?}");
    }
    server.kill();
    server.restart();
    let mut calls = Calls::to(&server).await;
    for (sender, answers) in senders.iter().zip(&answers) {
        check_reason(sender.create(&mut calls, newest - 1, "x").await, "REQUEST_ID_FORGOTTEN");
        assert_eq!(sender.create(&mut calls, newest, "x").await.unwrap().path, answers[newest as usize]);
        assert_eq!(sender.made(&mut calls).await as u64, newest + 1, "nothing was done twice");
    }
}

/// Of what each has sent, the newest are answered again, older ones are refused, and none is done again.
async fn check_horizon(calls: &mut Calls, senders: &[Sender], answers: &[Vec<String>]) {
    for (sender, answers) in senders.iter().zip(answers) {
        let newest = answers.len() as u64 - 1;
        let oldest = newest - REMEMBERED_REQUESTS_MAX as u64 + 1;
        for sequence in [oldest, oldest + 1, newest] {
            assert_eq!(sender.create(calls, sequence, "x").await.unwrap().path, answers[sequence as usize]);
            check_reason(sender.create(calls, sequence, "y").await, "REQUEST_ID_REUSED");
        }
        for sequence in [1, oldest - 1] {
            check_reason(sender.create(calls, sequence, "x").await, "REQUEST_ID_FORGOTTEN");
        }
        assert_eq!(sender.made(calls).await as u64, newest, "nothing was done twice");
    }
}

#[track_caller]
fn check_reason(answer: Result<v1::CreateResponse, Status>, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!(reason(&status), expected, "{status:?}");
}
