//! Runs one case: steps, variables, sessions and watches by their names.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use quorate_tests::harness::Server;
use serde_json::{Map, Value, json};

use super::door::{Asked, Door, Failure};
use super::matching::{self, Variables};
use super::messages::{self, SessionHandle};
use super::vector::{Case, Step};

/// Longer than any case takes.
const CASE_MAX: Duration = Duration::from_secs(30);

struct Runner {
    door: Door,
    variables: Variables,
    sessions: BTreeMap<String, SessionHandle>,
    watches: BTreeMap<String, u64>,
}

/// Runs a case through the door with this name; the error says which step differs and how.
pub(super) async fn run(case: &Case, door: &str, server: &Server, number: usize) -> Result<usize, String> {
    // A panic (an answer that is malformed in itself) fails the case and not the ones after it.
    let running = AssertUnwindSafe(run_steps(case, door, server, number)).catch_unwind();
    match tokio::time::timeout(CASE_MAX, running).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
        }
        Err(_) => Err("does not end".to_owned()),
    }
}

async fn run_steps(case: &Case, door: &str, server: &Server, number: usize) -> Result<usize, String> {
    let mut runner = Runner {
        door: Door::open(door, server).await,
        variables: Variables::new(),
        sessions: BTreeMap::new(),
        watches: BTreeMap::new(),
    };
    let root = format!("/{door}-{number}");
    let arguments = Map::from_iter([("path".to_owned(), json!(root))]);
    let created = runner.door.perform(&Asked { op: "create", arguments: &arguments, session: None }).await;
    created.map_err(|failure| format!("{root} cannot be created: {failure:?}"))?;
    runner.variables.insert("root".to_owned(), root.into());
    let mut done = 0;
    for step in case.steps_for(door) {
        runner.step(step).await.map_err(|difference| format!("step {done} ({}) {difference}", step.op))?;
        done += 1;
    }
    Ok(done)
}

impl Runner {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        let arguments = self.filled(&step.arguments);
        let result = self.perform(step, &arguments).await;
        let result = match (result, &step.error) {
            (Ok(result), None) => result,
            (Ok(result), Some(reason)) => return Err(format!("must fail with {reason}, but answers {result}")),
            (Err(failure), Some(reason)) if failure.reason == *reason => return self.check_path(step, &failure),
            (Err(failure), reason) => return Err(format!("fails with {failure:?}, expected {reason:?}")),
        };
        for (name, pointer) in &step.capture {
            let pointer = pointer.as_str().expect("a capture names a part of the result");
            let value = matching::part(&result, pointer).ok_or_else(|| format!("has no {pointer}: {result}"))?;
            self.variables.insert(name.clone(), value.clone());
        }
        let Some(expected) = &step.expect else { return Ok(()) };
        matching::check(&matching::fill(expected, &self.variables), Some(&result))
    }

    fn check_path(&self, step: &Step, failure: &Failure) -> Result<(), String> {
        let Some(expected) = &step.error_path else { return Ok(()) };
        let actual = failure.path.clone().map(Value::String);
        matching::check(&matching::fill(expected, &self.variables), actual.as_ref())
            .map_err(|difference| format!("fails about another path: {difference}"))
    }

    async fn perform(&mut self, step: &Step, arguments: &Map<String, Value>) -> Result<Value, Failure> {
        let session = self.session(arguments);
        let asked = Asked { op: &step.op, arguments, session: session.as_ref() };
        match step.op.as_str() {
            "tree" => self.door.tree(&asked).await,
            "open_session" => {
                let timeout_ms = messages::number(arguments, "timeout_ms").unwrap_or(0) as u32;
                let (handle, result) = self.door.open_session(timeout_ms).await?;
                self.sessions.insert(messages::text(arguments, "as"), handle);
                Ok(result)
            }
            "keep_alive" => self.door.keep_alive(session.as_ref().expect("a session is named")).await,
            "close_session" => self.door.close_session(session.as_ref().expect("a session is named")).await,
            "watch" => {
                let id = self.watches.len() as u64 + 1;
                self.watches.insert(messages::text(arguments, "as"), id);
                self.door.watch(&asked, id).await;
                let told = self.door.told(id).await;
                // Whoever cannot begin is told so at once.
                match told["type"].as_str() {
                    Some("begun" | "canceled") => Ok(told),
                    _ => panic!("watch {id} is told {told} before it has begun"),
                }
            }
            "events" => {
                let id = self.watches[&messages::text(arguments, "watch")];
                let wanted = step.expect.as_ref().and_then(Value::as_array).expect("a list of events").len();
                let mut told = Vec::new();
                for _ in 0..wanted {
                    told.push(self.door.told(id).await);
                }
                Ok(told.into())
            }
            "cancel" => {
                let id = self.watches[&messages::text(arguments, "watch")];
                self.door.cancel(id).await;
                Ok(self.door.told(id).await)
            }
            _ => self.door.perform(&asked).await,
        }
    }

    /// The session that a step names. One that was never opened has an id and a secret that nobody has.
    fn session(&self, arguments: &Map<String, Value>) -> Option<SessionHandle> {
        let name = arguments.get("session")?.as_str().expect("a session has a name");
        Some(self.sessions.get(name).cloned().unwrap_or_else(|| {
            assert_eq!(name, "unknown", "session {name} was not opened");
            SessionHandle { id: 0x0100_0000_dead_beef, secret: vec![7; 16].into() }
        }))
    }

    fn filled(&self, arguments: &Map<String, Value>) -> Map<String, Value> {
        let filled = matching::fill(&Value::Object(arguments.clone()), &self.variables);
        filled.as_object().expect("an object stays one").clone()
    }
}
