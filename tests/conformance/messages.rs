//! Steps as messages of the gRPC API, and its answers as results of steps.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use quorate_proto::v1;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply;
use serde_json::{Map, Value, json};

type Arguments = Map<String, Value>;

/// A session by the name that the case gave it.
#[derive(Clone, Debug)]
pub(super) struct SessionHandle {
    pub(super) id: u64,
    pub(super) secret: Bytes,
}

/// The message of a step. What the step says of options is `options`.
pub(super) fn operation(op: &str, arguments: &Arguments, options: Option<v1::RequestOptions>) -> Operation {
    match op {
        "create" => Operation::Create(v1::CreateRequest { options, ..create(arguments) }),
        "get" => Operation::Get(v1::GetRequest { path: path(arguments), options }),
        "exists" => Operation::Exists(v1::ExistsRequest { path: path(arguments), options }),
        "set" => Operation::SetData(v1::SetDataRequest { options, ..set_data(arguments) }),
        "delete" => Operation::Delete(v1::DeleteRequest { options, ..delete(arguments) }),
        "list" => Operation::ListChildren(v1::ListChildrenRequest { options, ..list(arguments) }),
        "get_acl" => Operation::GetAcl(v1::GetAclRequest { path: path(arguments), options }),
        "set_acl" => Operation::SetAcl(v1::SetAclRequest { options, ..set_acl(arguments) }),
        "multi" => {
            let operations = operations(arguments).iter().map(multi_operation).collect();
            Operation::Multi(v1::MultiRequest { operations, options })
        }
        "multi_read" => {
            let operations = operations(arguments).iter().map(read_operation).collect();
            Operation::MultiRead(v1::MultiReadRequest { operations, options })
        }
        "sync" => Operation::Sync(v1::SyncRequest { options }),
        "get_ephemerals" => {
            Operation::GetEphemerals(v1::GetEphemeralsRequest { prefix: text(arguments, "prefix"), options })
        }
        "access" => Operation::CheckAccess(v1::CheckAccessRequest { path: path(arguments), options }),
        "count" => Operation::CountDescendants(v1::CountDescendantsRequest { path: path(arguments), options }),
        other => panic!("there is no operation {other}"),
    }
}

fn create(arguments: &Arguments) -> v1::CreateRequest {
    v1::CreateRequest {
        path: path(arguments),
        data: data(arguments),
        mode: mode(arguments).into(),
        ttl_ms: number(arguments, "ttl_ms").unwrap_or(0),
        acl: acl(arguments),
        create_parents: flag(arguments, "create_parents"),
        options: None,
    }
}

fn set_data(arguments: &Arguments) -> v1::SetDataRequest {
    use v1::set_data_request::Precondition;
    let version = arguments.get("version").map(|version| Precondition::Version(as_i32(version)));
    v1::SetDataRequest {
        path: path(arguments),
        data: data(arguments),
        precondition: version.or(number(arguments, "mzxid").map(Precondition::Mzxid)),
        upsert: flag(arguments, "upsert"),
        acl: acl(arguments),
        options: None,
    }
}

fn delete(arguments: &Arguments) -> v1::DeleteRequest {
    use v1::delete_request::Precondition;
    let version = arguments.get("version").map(|version| Precondition::Version(as_i32(version)));
    v1::DeleteRequest {
        path: path(arguments),
        precondition: version.or(number(arguments, "mzxid").map(Precondition::Mzxid)),
        recursive: flag(arguments, "recursive"),
        recursive_max: number(arguments, "recursive_max").unwrap_or(0) as u32,
        options: None,
    }
}

fn set_acl(arguments: &Arguments) -> v1::SetAclRequest {
    use v1::set_acl_request::Precondition;
    let aversion = arguments.get("aversion").map(|version| Precondition::Aversion(as_i32(version)));
    v1::SetAclRequest {
        path: path(arguments),
        acl: acl(arguments),
        precondition: aversion.or(number(arguments, "mzxid").map(Precondition::Mzxid)),
        options: None,
    }
}

fn list(arguments: &Arguments) -> v1::ListChildrenRequest {
    v1::ListChildrenRequest {
        path: path(arguments),
        after: text(arguments, "after"),
        limit: number(arguments, "limit").unwrap_or(0) as u32,
        with_stat: flag(arguments, "with_stat"),
        with_data: flag(arguments, "with_data"),
        options: None,
    }
}

fn check(arguments: &Arguments) -> v1::CheckRequest {
    use v1::check_request::Precondition;
    let version = arguments.get("version").map(|version| Precondition::Version(as_i32(version)));
    let not_exists = flag(arguments, "not_exists").then_some(Precondition::NotExists(true));
    let precondition = version.or(number(arguments, "mzxid").map(Precondition::Mzxid)).or(not_exists);
    v1::CheckRequest { path: path(arguments), precondition }
}

fn multi_operation(step: &Arguments) -> v1::MultiOperation {
    use v1::multi_operation::Operation;
    let operation = match text(step, "op").as_str() {
        "create" => Operation::Create(v1::CreateRequest { options: options(step, None, 0), ..create(step) }),
        "delete" => Operation::Delete(delete(step)),
        "set" => Operation::SetData(set_data(step)),
        "set_acl" => Operation::SetAcl(set_acl(step)),
        "check" => Operation::Check(check(step)),
        "nothing" => return v1::MultiOperation { operation: None },
        other => panic!("no {other} in a multi"),
    };
    v1::MultiOperation { operation: Some(operation) }
}

fn read_operation(step: &Arguments) -> v1::ReadOperation {
    use v1::read_operation::Operation;
    let operation = match text(step, "op").as_str() {
        "get" => Operation::Get(v1::GetRequest { path: path(step), options: None }),
        "exists" => Operation::Exists(v1::ExistsRequest { path: path(step), options: None }),
        "list" => Operation::ListChildren(list(step)),
        "get_acl" => Operation::GetAcl(v1::GetAclRequest { path: path(step), options: None }),
        other => panic!("no {other} in a multi_read"),
    };
    v1::ReadOperation { operation: Some(operation) }
}

/// The options of a step.
pub(super) fn options(
    arguments: &Arguments,
    session: Option<&SessionHandle>,
    cluster_id: u64,
) -> Option<v1::RequestOptions> {
    let min_zxid = number(arguments, "min_zxid").map(|zxid| {
        let cluster_id = number(arguments, "min_zxid_cluster_id").unwrap_or(cluster_id);
        v1::ZxidBound { cluster_id, zxid }
    });
    let consistency = match text(arguments, "consistency").as_str() {
        "" => v1::Consistency::Unspecified,
        "local" => v1::Consistency::Local,
        "session" => v1::Consistency::Session,
        "linearizable" => v1::Consistency::Linearizable,
        other => panic!("there is no consistency {other}"),
    };
    let request_id = arguments.get("request_id").map(|id| v1::RequestId {
        client_id: id["client"].as_str().map(client_id).unwrap_or_default(),
        sequence: id["sequence"].as_u64().expect("a request id has a sequence"),
        acknowledged_through: id["acknowledged_through"].as_u64().unwrap_or(0),
    });
    let session = session.map(SessionHandle::credential);
    let options =
        v1::RequestOptions { min_zxid, consistency: consistency.into(), request_id, session, ..Default::default() };
    (options != v1::RequestOptions::default()).then_some(options)
}

/// The 16 bytes that a name stands for.
fn client_id(name: &str) -> Bytes {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, b'.');
    bytes.into()
}

impl SessionHandle {
    pub(super) fn credential(&self) -> v1::SessionCredential {
        v1::SessionCredential { session_id: self.id, secret: self.secret.clone() }
    }
}

/// The watch that a step asks for.
pub(super) fn watch(arguments: &Arguments, id: u64, options: Option<v1::RequestOptions>) -> v1::WatchCreate {
    let kind = match text(arguments, "kind").as_str() {
        "" | "node" => v1::WatchKind::Node,
        "children" => v1::WatchKind::Children,
        "recursive" => v1::WatchKind::Recursive,
        other => panic!("there is no kind {other}"),
    };
    let excluded = arguments.get("exclude").and_then(Value::as_array).into_iter().flatten();
    let exclude = excluded.map(|name| match name.as_str() {
        Some("created") => v1::EventType::Created.into(),
        Some("changed") => v1::EventType::Changed.into(),
        Some("deleted") => v1::EventType::Deleted.into(),
        other => panic!("there is no event {other:?}"),
    });
    v1::WatchCreate {
        watch_id: id,
        path: path(arguments),
        kind: kind.into(),
        start_zxid: number(arguments, "start_zxid"),
        start_index: number(arguments, "start_index").map(|index| index as u32),
        send_initial: flag(arguments, "send_initial"),
        with_data: flag(arguments, "with_data"),
        with_previous_data: flag(arguments, "with_previous_data"),
        exclude: exclude.collect(),
        progress_interval_ms: number(arguments, "progress_interval_ms").unwrap_or(0) as u32,
        options,
    }
}

/// What an operation that succeeded answered.
pub(super) fn result(result: channel_reply::Result) -> Result<Value, v1::Error> {
    use channel_reply::Result as Reply;
    Ok(match result {
        Reply::Create(reply) => created(&reply),
        Reply::Get(reply) => got(&reply),
        Reply::Exists(reply) => existing(&reply),
        Reply::SetData(reply) => json!({"stat": stat(reply.stat.as_ref()), "created": reply.created}),
        Reply::Delete(reply) => json!({"deleted": reply.deleted}),
        Reply::ListChildren(reply) => listed(&reply),
        Reply::GetAcl(reply) => json!({"acl": acl_json(reply.acl.as_ref()), "stat": stat(reply.stat.as_ref())}),
        Reply::SetAcl(reply) => json!({"stat": stat(reply.stat.as_ref())}),
        Reply::Multi(reply) => {
            let results: Vec<Value> = reply.results.iter().map(multi_result).collect();
            json!({"committed": reply.committed, "results": results})
        }
        Reply::MultiRead(reply) => json!({"results": reply.results.iter().map(multi_result).collect::<Vec<_>>()}),
        Reply::Sync(_) | Reply::Close(_) => json!({}),
        Reply::GetEphemerals(reply) => json!({"paths": reply.paths}),
        Reply::CheckAccess(reply) => {
            json!({"perms": reply.perms, "entries": acl_json(Some(&v1::Acl { entries: reply.entries }))})
        }
        Reply::CountDescendants(reply) => json!({"count": reply.count}),
        Reply::Open(reply) => json!({"session_id": reply.session_id, "timeout_ms": reply.timeout_ms}),
        Reply::KeepAlive(reply) => keep_alive(&reply),
        Reply::Error(error) => return Err(error),
    })
}

pub(super) fn keep_alive(reply: &v1::KeepAliveResponse) -> Value {
    let state = reply.state().as_str_name().trim_start_matches("SESSION_STATE_").to_lowercase();
    json!({"state": state, "timeout_ms": reply.timeout_ms})
}

fn created(reply: &v1::CreateResponse) -> Value {
    json!({"path": reply.path, "stat": stat(reply.stat.as_ref())})
}

fn got(reply: &v1::GetResponse) -> Value {
    json!({"data": data_json(reply.data.as_ref()), "stat": stat(reply.stat.as_ref())})
}

fn existing(reply: &v1::ExistsResponse) -> Value {
    let mut value = json!({});
    if reply.stat.is_some() {
        value["stat"] = stat(reply.stat.as_ref());
    }
    value
}

fn listed(reply: &v1::ListChildrenResponse) -> Value {
    let child = |child: &v1::Child| {
        let mut value = json!({"name": child.name});
        if child.stat.is_some() {
            value["stat"] = stat(child.stat.as_ref());
        }
        if child.data.is_some() {
            value["data"] = data_json(child.data.as_ref());
        }
        value
    };
    let children: Vec<Value> = reply.children.iter().map(child).collect();
    json!({"children": children, "more": reply.more, "stat": stat(reply.stat.as_ref())})
}

fn multi_result(result: &v1::MultiResult) -> Value {
    use v1::multi_result::Result as Reply;
    match result.result.as_ref().expect("every operation has a result") {
        Reply::Create(reply) => created(reply),
        Reply::Delete(reply) => json!({"deleted": reply.deleted}),
        Reply::SetData(reply) => json!({"stat": stat(reply.stat.as_ref()), "created": reply.created}),
        Reply::SetAcl(reply) => json!({"stat": stat(reply.stat.as_ref())}),
        Reply::Check(_) => json!({}),
        Reply::Get(reply) => got(reply),
        Reply::Exists(reply) => existing(reply),
        Reply::ListChildren(reply) => listed(reply),
        Reply::GetAcl(reply) => json!({"acl": acl_json(reply.acl.as_ref()), "stat": stat(reply.stat.as_ref())}),
        Reply::Error(error) => json!({"error": reason(error)}),
    }
}

/// A znode of a streamed tree.
pub(super) fn tree_node(node: &v1::TreeNode) -> Value {
    let mode = node.mode().as_str_name().trim_start_matches("CREATE_MODE_").to_lowercase();
    let mut value = json!({"path": node.path, "stat": stat(node.stat.as_ref()), "mode": mode, "ttl_ms": node.ttl_ms});
    value["data"] = data_json(node.data.as_ref());
    if node.acl.is_some() {
        value["acl"] = acl_json(node.acl.as_ref());
    }
    value
}

/// What a watch is told, one value for each event; nothing for progress.
pub(super) fn told(item: &v1::watch_item::Item) -> Vec<Value> {
    use v1::watch_item::Item;
    match item {
        Item::Events(events) => events.events.iter().map(event).collect(),
        Item::Synced(synced) => vec![json!({"type": "synced", "zxid": synced.zxid})],
        Item::Canceled(canceled) => {
            let mut value = json!({"type": "canceled", "resume_zxid": canceled.resume_zxid});
            if let Some(error) = &canceled.error {
                value["error"] = reason(error).into();
            }
            if let Some(zxid) = canceled.compacted_zxid {
                value["compacted_zxid"] = zxid.into();
            }
            vec![value]
        }
        Item::Created(_) | Item::Progress(_) => vec![],
    }
}

fn event(event: &v1::Event) -> Value {
    let kind = event.r#type().as_str_name().trim_start_matches("EVENT_TYPE_").to_lowercase();
    json!({
        "type": kind,
        "path": event.path,
        "zxid": event.zxid,
        "index": event.index,
        "stat": stat(event.stat.as_ref()),
        "data": data_json(event.data.as_ref()),
        "previous_data": data_json(event.previous_data.as_ref()),
    })
}

/// The name of an error, as the vectors have it.
pub(super) fn reason(error: &v1::Error) -> String {
    error.reason().as_str_name().trim_start_matches("ERROR_REASON_").to_owned()
}

fn stat(stat: Option<&v1::Stat>) -> Value {
    let Some(stat) = stat else { return Value::Null };
    json!({
        "czxid": stat.czxid,
        "mzxid": stat.mzxid,
        "pzxid": stat.pzxid,
        "ctime_ms": stat.ctime_ms,
        "mtime_ms": stat.mtime_ms,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeral_owner": stat.ephemeral_owner,
        "data_length": stat.data_length,
        "num_children": stat.num_children,
    })
}

fn acl_json(acl: Option<&v1::Acl>) -> Value {
    let entries = acl.map(|acl| acl.entries.as_slice()).unwrap_or_default();
    entries.iter().map(|entry| json!({"perms": entry.perms, "scheme": entry.scheme, "id": entry.id})).collect()
}

/// Data as the vectors have it.
pub(super) fn data_json(data: Option<&Bytes>) -> Value {
    match data.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => Value::Null,
        Some(Ok(text)) => text.into(),
        Some(Err(bytes)) => json!({"base64": STANDARD.encode(bytes)}),
    }
}

/// The data of a step; `None` for null data.
pub(super) fn data(arguments: &Arguments) -> Option<Bytes> {
    match arguments.get("data")? {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into()),
        value if value["base64"].is_string() => {
            Some(STANDARD.decode(value["base64"].as_str().unwrap()).expect("base64").into())
        }
        value => {
            let times = value["times"].as_u64().expect("data is text, base64 or repeated text");
            Some(value["repeat"].as_str().expect("repeated text").repeat(times as usize).into())
        }
    }
}

pub(super) fn mode(arguments: &Arguments) -> v1::CreateMode {
    match text(arguments, "mode").as_str() {
        "" => v1::CreateMode::Unspecified,
        name => v1::CreateMode::from_str_name(&format!("CREATE_MODE_{}", name.to_uppercase())).expect("a mode"),
    }
}

fn acl(arguments: &Arguments) -> Option<v1::Acl> {
    let entries = arguments.get("acl")?.as_array().expect("an ACL is a list");
    let entry = |entry: &Value| v1::AclEntry {
        perms: entry["perms"].as_u64().expect("perms") as u32,
        scheme: entry["scheme"].as_str().expect("scheme").to_owned(),
        id: entry["id"].as_str().expect("id").to_owned(),
    };
    Some(v1::Acl { entries: entries.iter().map(entry).collect() })
}

pub(super) fn operations(arguments: &Arguments) -> Vec<Arguments> {
    let list = arguments["operations"].as_array().expect("operations are a list");
    let repeat = number(arguments, "repeat_operations").unwrap_or(1);
    let all = list.iter().map(|one| one.as_object().expect("an operation is an object").clone());
    let all: Vec<Arguments> = all.collect();
    (0..repeat).flat_map(|_| all.clone()).collect()
}

pub(super) fn path(arguments: &Arguments) -> String {
    match arguments.get("path") {
        // A path that is too long is said like repeated data.
        Some(value @ Value::Object(_)) => {
            let times = value["times"].as_u64().expect("a path is text or repeated text") as usize;
            value["repeat"].as_str().expect("repeated text").repeat(times)
        }
        _ => text(arguments, "path"),
    }
}

pub(super) fn text(arguments: &Arguments, name: &str) -> String {
    match arguments.get(name) {
        None => String::new(),
        Some(value) => value.as_str().unwrap_or_else(|| panic!("{name} is a text, not {value}")).to_owned(),
    }
}

pub(super) fn number(arguments: &Arguments, name: &str) -> Option<u64> {
    arguments.get(name).map(|value| value.as_u64().unwrap_or_else(|| panic!("{name} is a number, not {value}")))
}

pub(super) fn flag(arguments: &Arguments, name: &str) -> bool {
    arguments.get(name).is_some_and(|value| value.as_bool().unwrap_or_else(|| panic!("{name} is a flag")))
}

fn as_i32(value: &Value) -> i32 {
    value.as_i64().and_then(|version| i32::try_from(version).ok()).expect("a version is a small number")
}
