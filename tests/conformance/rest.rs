//! `RestDoor`: the same steps by HTTP, as far as there are routes for them.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use quorate_tests::harness::{Answer, Rest, Server, SseReader, escape};
use quorate_types::Code;
use serde_json::{Map, Value, json};

use super::door::{Asked, Failure};
use super::messages::{self, SessionHandle};
use super::vector::Step;

const ENVELOPE: &str = "application/vnd.quorate+json";

/// What the gateway has routes for.
const OFFERED: &[&str] = &[
    "create",
    "get",
    "exists",
    "set",
    "delete",
    "list",
    "get_acl",
    "set_acl",
    "access",
    "multi",
    "multi_read",
    "tree",
    "open_session",
    "keep_alive",
    "close_session",
    "watch",
    "events",
];

pub(super) struct RestDoor {
    rest: Rest,
    cluster_id: Option<u64>,
    watches: HashMap<u64, EventSource>,
}

struct EventSource {
    events: SseReader,
    /// What the watch has been told already: that it began, and its initial state.
    has_begun: bool,
    awaits_state: bool,
}

/// A request while it is put together.
#[derive(Clone)]
struct Call {
    method: Method,
    target: String,
    query: Vec<String>,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl RestDoor {
    /// Whether there is a route for all that a step does.
    pub(super) fn offers(step: &Step) -> bool {
        OFFERED.contains(&step.op.as_str())
    }

    pub(super) fn open(server: &Server) -> RestDoor {
        RestDoor { rest: server.rest(), cluster_id: None, watches: HashMap::new() }
    }

    pub(super) async fn perform(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
        let path = messages::path(asked.arguments);
        match asked.op {
            "create" => {
                let call = self.call(Method::POST, "znodes", &path, asked);
                self.write(call.create(asked.arguments)).await
            }
            "set" => {
                let call = self.call(Method::PUT, "znodes", &path, asked);
                self.write(call.set(asked.arguments)).await
            }
            "get" => self.get(asked, &path).await,
            "exists" => match self.send(self.call(Method::GET, "stats", &path, asked)).await {
                Ok(answer) => Ok(json!({"stat": stat(&answer.json()["stat"])})),
                Err(failure) if failure.reason == "NO_NODE" => Ok(json!({})),
                Err(failure) => Err(failure),
            },
            "delete" => {
                let call = self.call(Method::DELETE, "znodes", &path, asked).delete(asked.arguments);
                let answer = self.send(call).await?;
                assert_eq!(answer.status, StatusCode::NO_CONTENT);
                Ok(json!({"deleted": answer.header("quorate-deleted").parse::<u64>().expect("a number of znodes")}))
            }
            "list" => {
                let answer = self.send(self.call(Method::GET, "children", &path, asked).list(asked.arguments)).await?;
                Ok(listed(&answer.json()))
            }
            "get_acl" => {
                let answer = self.send(self.call(Method::GET, "acls", &path, asked)).await?;
                let document = answer.json();
                assert_eq!(document["path"], path);
                Ok(json!({"acl": acl(&document["acl"]), "stat": stat(&document["stat"])}))
            }
            "access" => {
                let mut call = self.call(Method::POST, "access-checks", "", asked);
                call.headers.push(("content-type", "application/json".to_owned()));
                call.body = json!({"path": path, "perms": "r"}).to_string().into_bytes();
                let document = self.send(call).await?.json();
                let granted = bits(&document["granted"]);
                assert_eq!(document["allowed"], granted & 1 != 0, "{document}");
                Ok(json!({"perms": granted, "entries": acl(&document["entries"])}))
            }
            "multi" => self.multi(asked).await,
            "multi_read" => {
                let answer = self.send(self.multi_call(asked)).await?;
                Ok(
                    json!({"results": answer.json()["results"].as_array().expect("results").iter().map(multi_result).collect::<Value>()}),
                )
            }
            "set_acl" => {
                let call = self.call(Method::PUT, "acls", &path, asked).set_acl(asked.arguments);
                Ok(json!({"stat": stat(&self.send(call).await?.json()["stat"])}))
            }
            other => panic!("there is no route for {other}"),
        }
    }

    pub(super) async fn open_session(&mut self, timeout_ms: u32) -> Result<(SessionHandle, Value), Failure> {
        let mut call = Call::new(Method::POST, "/v1/sessions".to_owned());
        call.headers.push(("content-type", "application/json".to_owned()));
        let wish = if timeout_ms == 0 { json!({}) } else { json!({"timeout_ms": timeout_ms}) };
        call.body = wish.to_string().into_bytes();
        let answer = self.send(call).await?;
        assert_eq!(answer.status, StatusCode::CREATED);
        let document = answer.json();
        let id = hex(&document["session_id"]);
        assert_eq!(answer.header("location"), format!("/v1/sessions/{id:#x}"));
        let secret = URL_SAFE_NO_PAD.decode(document["secret"].as_str().expect("a secret")).expect("base64");
        let result = json!({"session_id": id, "timeout_ms": document["timeout_ms"]});
        Ok((SessionHandle { id, secret: secret.into() }, result))
    }

    pub(super) async fn keep_alive(&mut self, session: &SessionHandle) -> Result<Value, Failure> {
        let mut call = Call::new(Method::POST, format!("/v1/sessions/{:#x}/keepalive", session.id));
        call.headers.push(("quorate-session-secret", secret(session)));
        Ok(json!({"timeout_ms": self.send(call).await?.json()["timeout_ms"]}))
    }

    pub(super) async fn close_session(&mut self, session: &SessionHandle) -> Result<Value, Failure> {
        let mut call = Call::new(Method::DELETE, format!("/v1/sessions/{:#x}", session.id));
        call.headers.push(("quorate-session-secret", secret(session)));
        self.send(call).await?;
        Ok(json!({}))
    }

    pub(super) async fn watch(&mut self, asked: &Asked<'_>, id: u64) {
        let arguments = asked.arguments;
        let mut query = vec![format!("path={}", escape(&messages::path(arguments)))];
        match messages::text(arguments, "kind").as_str() {
            "recursive" => query.push("recursive=true".to_owned()),
            "children" => query.push("children=true".to_owned()),
            _ => {}
        }
        let awaits_state = messages::flag(arguments, "send_initial");
        if awaits_state {
            query.push("initial=true".to_owned());
        }
        if messages::flag(arguments, "with_data") {
            query.push("data=true".to_owned());
        }
        if let Some(zxid) = messages::number(arguments, "start_zxid") {
            query.push(format!("from={zxid:#x}"));
        }
        let events = self.rest.events(&format!("/v1/watch?{}", query.join("&")), None).await;
        let events = events.expect("the watch begins");
        self.watches.insert(id, EventSource { events, has_begun: false, awaits_state });
    }

    pub(super) fn cancel(&mut self, id: u64) {
        self.watches.remove(&id);
    }

    pub(super) async fn told(&mut self, id: u64) -> Value {
        let watch = self.watches.get_mut(&id).expect("the watch was begun");
        if !watch.has_begun {
            watch.has_begun = true;
            return json!({"type": "begun"});
        }
        loop {
            let event = watch.events.next().await.expect("the stream goes on").expect("the stream goes on");
            match event.event.as_str() {
                "bookmark" if watch.awaits_state => {
                    watch.awaits_state = false;
                    return json!({"type": "synced", "zxid": hex(&event.json()["zxid"])});
                }
                // A comment, the delay before a reconnect, or progress.
                "" | "bookmark" => {}
                name => {
                    let document = event.json();
                    let kind = document["type"].clone();
                    assert!(name == "children" || kind == name, "{event:?}");
                    return json!({
                        "type": kind,
                        "path": document["path"],
                        "zxid": hex(&document["zxid"]),
                        "index": document["index"],
                        "stat": stat(&document["stat"]),
                        "data": data(&document),
                    });
                }
            }
        }
    }

    /// Reads both representations: they have to agree.
    async fn get(&mut self, asked: &Asked<'_>, path: &str) -> Result<Value, Failure> {
        let mut call = self.call(Method::GET, "znodes", path, asked);
        call.headers.push(("accept", ENVELOPE.to_owned()));
        let answer = self.send(call).await?;
        let document = answer.json();
        assert_eq!(document["path"], path);
        let raw = self.send(self.call(Method::GET, "znodes", path, asked)).await?;
        assert_eq!(raw.header("quorate-stat-version"), answer.header("quorate-stat-version"));
        let bytes = messages::data_json(Some(&raw.body));
        match &document["data"] {
            Value::Null => assert!(raw.body.is_empty() && raw.header("quorate-data-null") == "true"),
            _ => assert_eq!(data(&document), bytes, "the two representations of {path}"),
        }
        Ok(json!({"data": data(&document), "stat": stat(&document["stat"])}))
    }

    /// Reads both layouts: they have to agree.
    pub(super) async fn tree(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
        let path = messages::path(asked.arguments);
        let mut call = self.call(Method::GET, "tree", &path, asked).tree(asked.arguments);
        let document = self.send(call.clone()).await?.json();
        assert_eq!((&document["path"], &document["truncated"]), (&json!(path), &json!(false)));
        call.headers.push(("accept", "application/x-ndjson".to_owned()));
        let lines = self.send(call).await?;
        let text = String::from_utf8(lines.body.to_vec()).expect("UTF-8");
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let end = lines.pop().expect("a line for the end");
        assert_eq!(
            (&end["type"], &end["zxid"], &end["znodes"]),
            (&json!("end"), &document["zxid"], &json!(lines.len()))
        );
        let znodes: Vec<Value> = document["znodes"].as_array().expect("a list").iter().map(tree_node).collect();
        assert_eq!(znodes, lines.iter().map(tree_node).collect::<Vec<_>>(), "the two layouts of {path}");
        Ok(json!({"nodes": znodes}))
    }

    /// A multi that was not made is a problem that names the operation: all others were not applied.
    async fn multi(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
        let call = self.multi_call(asked);
        let answer = self.answer(&call).await;
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(failed) = problem["operation"].as_u64().filter(|_| answer.status != StatusCode::BAD_REQUEST) else {
            let document = self.judge(answer, false)?.json();
            let results: Value = document["results"].as_array().expect("results").iter().map(multi_result).collect();
            return Ok(json!({"committed": true, "results": results}));
        };
        let reason = failure(&answer, true).reason;
        let result = |at| json!({"error": if at == failed { reason.as_str() } else { "NOT_APPLIED" }});
        let count = messages::operations(asked.arguments).len() as u64;
        Ok(json!({"committed": false, "results": (0..count).map(result).collect::<Value>()}))
    }

    fn multi_call(&self, asked: &Asked<'_>) -> Call {
        let mut call = self.call(Method::POST, "multi", "", asked);
        let operations: Value = messages::operations(asked.arguments).iter().map(operation).collect();
        call.headers.push(("content-type", "application/json".to_owned()));
        call.body = json!({"operations": operations}).to_string().into_bytes();
        call
    }

    async fn write(&mut self, call: Call) -> Result<Value, Failure> {
        let answer = self.send(call).await?;
        let document = answer.json();
        let created = answer.status == StatusCode::CREATED;
        Ok(json!({"path": document["path"], "stat": stat(&document["stat"]), "created": created}))
    }

    /// A request about a znode, with the options of the step.
    fn call(&self, method: Method, route: &str, path: &str, asked: &Asked<'_>) -> Call {
        let mut call = Call::new(method, format!("/v1/{route}{}", escape(path)));
        if let Some(session) = asked.session {
            call.headers.push(("quorate-session", format!("{:#x}", session.id)));
            call.headers.push(("quorate-session-secret", secret(session)));
        }
        if let Some(id) = asked.arguments.get("request_id") {
            let key = match id["client"].as_str() {
                Some(client) => format!("{client}-{}", id["sequence"]),
                None => id["sequence"].to_string(),
            };
            call.headers.push(("idempotency-key", key));
        }
        if let Some(zxid) = messages::number(asked.arguments, "min_zxid") {
            let cluster_id = messages::number(asked.arguments, "min_zxid_cluster_id").or(self.cluster_id);
            let cluster_id = cluster_id.expect("an earlier answer told the cluster's id");
            call.headers.push(("quorate-min-zxid", format!("{cluster_id:#x}:{zxid:#x}")));
        }
        let consistency = messages::text(asked.arguments, "consistency");
        if !consistency.is_empty() {
            call.query.push(format!("consistency={consistency}"));
        }
        call
    }

    async fn send(&mut self, call: Call) -> Result<Answer, Failure> {
        let conditional = call.headers.iter().any(|(name, _)| name.starts_with("if-"));
        let answer = self.answer(&call).await;
        self.judge(answer, conditional)
    }

    async fn answer(&self, call: &Call) -> Answer {
        let mut target = call.target.clone();
        if !call.query.is_empty() {
            target = format!("{target}?{}", call.query.join("&"));
        }
        let headers: Vec<(&str, &str)> = call.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = self.rest.send(call.method.clone(), &target, &headers, call.body.clone()).await;
        answer.unwrap_or_else(|error| panic!("{target} is not answered: {error:?}"))
    }

    fn judge(&mut self, answer: Answer, conditional: bool) -> Result<Answer, Failure> {
        if !answer.status.is_success() {
            return Err(failure(&answer, conditional));
        }
        let (cluster_id, _) = answer.header("quorate-zxid").split_once(':').expect("every answer tells its state");
        let cluster_id = hex(&cluster_id.into());
        assert_eq!(*self.cluster_id.get_or_insert(cluster_id), cluster_id, "the cluster's id has changed");
        Ok(answer)
    }
}

impl Call {
    fn new(method: Method, target: String) -> Call {
        Call { method, target, query: Vec::new(), headers: Vec::new(), body: Vec::new() }
    }

    fn create(mut self, arguments: &Map<String, Value>) -> Call {
        let mode = messages::text(arguments, "mode").replace('_', "-");
        if !mode.is_empty() {
            self.query.push(format!("mode={mode}"));
        }
        if let Some(ttl_ms) = messages::number(arguments, "ttl_ms") {
            self.query.push(format!("ttl_ms={ttl_ms}"));
        }
        if messages::flag(arguments, "create_parents") {
            self.query.push("parents=true".to_owned());
        }
        self.data(arguments)
    }

    /// PUT creates what is missing, unless a condition says that it must be there.
    fn set(mut self, arguments: &Map<String, Value>) -> Call {
        if !self.condition(arguments) && !messages::flag(arguments, "upsert") {
            self.headers.push(("if-match", "*".to_owned()));
        }
        self.data(arguments)
    }

    fn delete(mut self, arguments: &Map<String, Value>) -> Call {
        self.condition(arguments);
        if messages::flag(arguments, "recursive") {
            self.query.push("recursive=true".to_owned());
        }
        self
    }

    fn set_acl(mut self, arguments: &Map<String, Value>) -> Call {
        if let Some(aversion) = arguments.get("aversion") {
            self.query.push(format!("aversion={aversion}"));
        }
        self.headers.push(("content-type", "application/json".to_owned()));
        self.body = json!({"acl": sent_acl(&arguments["acl"])}).to_string().into_bytes();
        self
    }

    fn list(mut self, arguments: &Map<String, Value>) -> Call {
        if let Some(limit) = messages::number(arguments, "limit") {
            self.query.push(format!("limit={limit}"));
        }
        let with = ["stat", "data"].into_iter().filter(|part| messages::flag(arguments, &format!("with_{part}")));
        let with: Vec<&str> = with.collect();
        if !with.is_empty() {
            self.query.push(format!("with={}", with.join(",")));
        }
        self
    }

    fn tree(mut self, arguments: &Map<String, Value>) -> Call {
        if let Some(depth) = messages::number(arguments, "depth") {
            self.query.push(format!("depth={depth}"));
        }
        let with = ["data", "acl"].into_iter().filter(|part| messages::flag(arguments, &format!("with_{part}")));
        let with: Vec<&str> = with.collect();
        if !with.is_empty() {
            self.query.push(format!("with={}", with.join(",")));
        }
        self
    }

    fn condition(&mut self, arguments: &Map<String, Value>) -> bool {
        if let Some(version) = arguments.get("version") {
            self.query.push(format!("version={version}"));
        }
        if let Some(mzxid) = messages::number(arguments, "mzxid") {
            self.headers.push(("if-match", format!("\"{mzxid:#x}\"")));
        }
        arguments.contains_key("version") || arguments.contains_key("mzxid")
    }

    /// Null data, and an ACL, can only be told in the envelope.
    fn data(mut self, arguments: &Map<String, Value>) -> Call {
        match (messages::data(arguments), arguments.get("acl")) {
            (Some(bytes), None) => self.body = bytes.to_vec(),
            (bytes, acl) => {
                self.headers.push(("content-type", ENVELOPE.to_owned()));
                let data = bytes.map(|bytes| STANDARD.encode(bytes));
                let mut envelope = json!({"data": data, "encoding": "base64"});
                if let Some(acl) = acl {
                    envelope["acl"] = sent_acl(acl);
                }
                self.body = envelope.to_string().into_bytes();
            }
        }
        self
    }
}

/// The reason in a problem document. The status has to be the one that the error table gives to that reason.
fn failure(answer: &Answer, conditional: bool) -> Failure {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    let problem = answer.json();
    let reason = answer.reason();
    let code = Code::ALL.iter().find(|code| code.reason() == reason);
    let code = code.unwrap_or_else(|| panic!("{reason:?} is no reason: {problem}"));
    let status = answer.status.as_u16();
    assert!(status == code.http() || (conditional && status == 412), "the status of {reason} is {status}");
    assert_eq!(problem["status"], status);
    for field in ["type", "title", "detail", "instance", "request_id"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} is missing: {problem}");
    }
    Failure { reason, path: problem["path"].as_str().map(str::to_owned) }
}

fn listed(document: &Value) -> Value {
    let child = |child: &Value| {
        let mut value = json!({"name": child["name"]});
        if child.get("stat").is_some() {
            value["stat"] = stat(&child["stat"]);
        }
        if child.get("data").is_some() {
            value["data"] = data(child);
        }
        value
    };
    let children: Vec<Value> = document["children"].as_array().expect("a list of children").iter().map(child).collect();
    json!({"children": children, "more": !document["next_page_token"].is_null(), "stat": stat(&document["stat"])})
}

/// An operation of a multi as the door takes it.
fn operation(step: &Map<String, Value>) -> Value {
    let mut operation = json!({"op": messages::text(step, "op").replace("list", "children")});
    let encoded = || messages::data(step).map(|bytes| STANDARD.encode(bytes));
    if matches!(operation["op"].as_str(), Some("create" | "set")) {
        operation["data"] = json!(encoded());
        operation["encoding"] = json!("base64");
    }
    for (name, value) in step {
        let (name, value) = match name.as_str() {
            "op" | "data" => continue,
            "mode" => ("mode", json!(messages::text(step, "mode").replace('_', "-"))),
            "mzxid" => ("mzxid", json!(format!("{:#x}", value.as_u64().expect("a zxid")))),
            "acl" => ("acl", sent_acl(value)),
            "create_parents" => ("parents", value.clone()),
            other => (other, value.clone()),
        };
        operation[name] = value;
    }
    operation
}

/// The result of one operation of a multi.
fn multi_result(result: &Value) -> Value {
    if !result["error"].is_null() {
        return json!({"error": result["error"]["code"]});
    }
    let mut value = match result["op"].as_str() {
        Some("children") => listed(result),
        Some("get") => json!({"data": data(result)}),
        Some("get_acl") => json!({"acl": acl(&result["acl"])}),
        _ => result.clone(),
    };
    match &result["stat"] {
        Value::Null => value.as_object_mut().expect("an object").retain(|name, _| name != "stat"),
        of => value["stat"] = stat(of),
    }
    value
}

/// A znode of a streamed tree.
fn tree_node(node: &Value) -> Value {
    let ttl_ms = node["ttl_ms"].as_u64().unwrap_or(0);
    let mut value = json!({"path": node["path"], "stat": stat(&node["stat"]), "mode": node["mode"], "ttl_ms": ttl_ms, "data": data(node)});
    if !node["acl"].is_null() {
        value["acl"] = acl(&node["acl"]);
    }
    value
}

/// The letters of permissions, in the order of their bits.
const PERMS: [char; 5] = ['r', 'w', 'c', 'd', 'a'];

/// An ACL of the vectors as the door takes it.
fn sent_acl(acl: &Value) -> Value {
    let letters = |perms: &Value| -> String {
        let perms = perms.as_u64().expect("a set of permissions");
        PERMS.iter().enumerate().filter(|(bit, _)| perms & (1 << bit) != 0).map(|(_, letter)| letter).collect()
    };
    let entry =
        |entry: &Value| json!({"scheme": entry["scheme"], "id": entry["id"], "perms": letters(&entry["perms"])});
    acl.as_array().expect("a list of entries").iter().map(entry).collect()
}

/// Permissions as the vectors have them.
fn bits(perms: &Value) -> u64 {
    let letters = perms.as_str().expect("letters");
    PERMS.iter().enumerate().filter(|(_, letter)| letters.contains(**letter)).map(|(bit, _)| 1 << bit).sum()
}

/// An ACL as the vectors have it.
fn acl(acl: &Value) -> Value {
    let entry = |entry: &Value| json!({"perms": bits(&entry["perms"]), "scheme": entry["scheme"], "id": entry["id"]});
    acl.as_array().expect("a list of entries").iter().map(entry).collect()
}

/// A stat as the vectors have it.
fn stat(document: &Value) -> Value {
    let mut stat = document.clone();
    for field in ["czxid", "mzxid", "pzxid"] {
        stat[field] = hex(&document[field]).into();
    }
    stat["ephemeral_owner"] =
        if document["ephemeral_owner"].is_null() { 0 } else { hex(&document["ephemeral_owner"]) }.into();
    stat
}

/// Data as the vectors have it.
fn data(document: &Value) -> Value {
    match (&document["data"], document["encoding"].as_str()) {
        (Value::String(text), Some("base64")) => {
            messages::data_json(Some(&STANDARD.decode(text).expect("base64").into()))
        }
        (data, _) => data.clone(),
    }
}

fn hex(text: &Value) -> u64 {
    let digits = text.as_str().and_then(|text| text.strip_prefix("0x"));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_else(|| panic!("{text} is no 0x number"))
}

fn secret(session: &SessionHandle) -> String {
    URL_SAFE_NO_PAD.encode(&session.secret)
}
