//! What watches tell, read back as a browser reads it.

use quorate_client::Stat;
use serde_json::{Value, json};

use super::*;

fn watched(path: &str, kind: WatchKind) -> Watched {
    Watched { path: path.to_owned(), kind, with_data: false, position: None, initial: false }
}

fn frames(watches: Vec<Watched>) -> Frames {
    let mut frames = Frames::new(watches, Format::EventStream, Metrics::default());
    assert_eq!(frames.take().as_deref(), Some(RETRY));
    frames
}

fn event(zxid: u64, index: u32, kind: EventKind, path: &str) -> Event {
    let stat = Stat { mzxid: zxid, ..Stat::default() };
    Event { zxid, index, kind, path: path.to_owned(), stat, data: None, previous_data: None }
}

/// The events in `piece` as a browser reads them (WHATWG HTML, section 9.2.6): name, id, data.
fn read(piece: Option<Bytes>) -> Vec<(String, Option<String>, Value)> {
    let text = String::from_utf8(piece.unwrap_or_default().to_vec()).unwrap();
    let mut events = Vec::new();
    let (mut name, mut id, mut data) = (String::new(), None, String::new());
    for line in text.lines() {
        if line.is_empty() {
            if !data.is_empty() {
                events.push((std::mem::take(&mut name), id.take(), serde_json::from_str(&data).unwrap()));
            }
            data.clear();
            continue;
        }
        match line.split_once(": ").unwrap() {
            ("event", value) => name = value.to_owned(),
            ("id", value) => id = Some(value.to_owned()),
            ("data", value) => data.push_str(value),
            (field, _) => assert!(field.is_empty(), "{line}"),
        }
    }
    assert!(text.is_empty() || text.ends_with("\n\n"), "{text:?}");
    events
}

fn names_and_ids(frames: &mut Frames) -> Vec<(String, String)> {
    read(frames.take()).into_iter().map(|(name, id, _)| (name, id.unwrap_or_default())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect()
}

#[test]
fn a_watch_tells_where_it_begins_and_then_each_change() {
    let mut frames = frames(vec![watched("/a", WatchKind::Recursive)]);
    frames.push(0, WatchEvent::Created { zxid: 0x10 });
    frames.push(
        0,
        WatchEvent::Events(vec![event(0x11, 0, EventKind::Created, "/a"), event(0x11, 1, EventKind::Changed, "/a/b")]),
    );
    frames.push(0, WatchEvent::Events(vec![event(0x12, 0, EventKind::Deleted, "/a/b")]));
    frames.push(0, WatchEvent::Progress { zxid: 0x20 });
    let expected = [
        ("bookmark", "0x10"),
        ("created", "0x11.0"),
        ("changed", "0x11.1"),
        ("deleted", "0x12.0"),
        ("bookmark", "0x20"),
    ];
    assert_eq!(names_and_ids(&mut frames), pairs(&expected));
    assert_eq!(frames.take(), None);
}

#[test]
fn an_initial_state_has_no_ids_until_it_is_complete() {
    let mut frames = frames(vec![Watched { initial: true, ..watched("/a", WatchKind::Recursive) }]);
    frames.push(0, WatchEvent::Created { zxid: 0x10 });
    frames.push(0, WatchEvent::Events(vec![event(0x10, 0, EventKind::Created, "/a")]));
    frames.push(0, WatchEvent::Synced { zxid: 0x10 });
    frames.push(0, WatchEvent::Events(vec![event(0x11, 0, EventKind::Changed, "/a")]));
    let told = read(frames.take());
    assert_eq!(told[0].2["initial"], json!(true));
    assert_eq!(told[2].2.get("initial"), None);
    let ids: Vec<_> = told.iter().map(|(name, id, _)| (name.as_str(), id.as_deref())).collect();
    assert_eq!(ids, [("created", None), ("bookmark", Some("0x10")), ("changed", Some("0x11.0"))]);
}

#[test]
fn a_reset_begins_the_state_anew() {
    let mut frames = frames(vec![Watched { position: Some(Position::after(1)), ..watched("/a", WatchKind::Node) }]);
    frames.push(0, WatchEvent::Reset);
    frames.push(0, WatchEvent::Created { zxid: 0x10 });
    frames.push(0, WatchEvent::Events(vec![event(0x10, 0, EventKind::Created, "/a")]));
    frames.push(0, WatchEvent::Synced { zxid: 0x10 });
    assert_eq!(names_and_ids(&mut frames), pairs(&[("reset", ""), ("created", ""), ("bookmark", "0x10")]));
}

#[test]
fn a_resumed_watch_stands_where_it_was_told_to_begin() {
    let from = Position { zxid: 0x5, index: Some(2) };
    let mut frames = frames(vec![Watched { position: Some(from), ..watched("/a", WatchKind::Node) }]);
    frames.push(0, WatchEvent::Created { zxid: 0x5 });
    assert_eq!(names_and_ids(&mut frames), pairs(&[("bookmark", "0x5.2")]));
}

#[test]
fn an_id_tells_where_every_watch_stands() {
    let mut frames = frames(vec![watched("/a", WatchKind::Node), watched("/b", WatchKind::Node)]);
    frames.push(0, WatchEvent::Created { zxid: 0x10 });
    frames.push(0, WatchEvent::Events(vec![event(0x11, 0, EventKind::Changed, "/a")]));
    frames.push(1, WatchEvent::Created { zxid: 0x10 });
    frames.push(1, WatchEvent::Events(vec![event(0x11, 3, EventKind::Changed, "/b")]));
    let told = read(frames.take());
    let ids: Vec<_> = told.iter().map(|(name, id, _)| (name.as_str(), id.as_deref())).collect();
    let expected = [("changed", None), ("bookmark", Some("0x11.0,0x10")), ("changed", Some("0x11.0,0x11.3"))];
    assert_eq!(ids, expected);
    assert_eq!((&told[0].2["watch"], &told[2].2["watch"]), (&json!("/a"), &json!("/b")));
    // While one watch is within its initial state again, nobody could go on from here.
    frames.push(1, WatchEvent::Reset);
    frames.push(0, WatchEvent::Events(vec![event(0x12, 0, EventKind::Changed, "/a")]));
    assert_eq!(names_and_ids(&mut frames), pairs(&[("reset", ""), ("changed", "")]));
}

#[test]
fn children_have_a_name_of_their_own() {
    let mut frames = frames(vec![Watched { position: Some(Position::after(1)), ..watched("/a", WatchKind::Children) }]);
    frames.push(
        0,
        WatchEvent::Events(vec![event(2, 0, EventKind::Created, "/a/b"), event(2, 1, EventKind::Deleted, "/a")]),
    );
    let told = read(frames.take());
    assert_eq!(
        (told[0].0.as_str(), &told[0].2["type"], &told[0].2["path"]),
        ("children", &json!("created"), &json!("/a/b"))
    );
    assert_eq!((told[1].0.as_str(), &told[1].2["type"]), ("deleted", &json!("deleted")));
}

#[test]
fn an_event_is_one_line_of_json_whatever_it_holds() {
    let nasty = "/a\u{2028}b";
    let mut frames = frames(vec![Watched {
        with_data: true,
        position: Some(Position::after(1)),
        ..watched(nasty, WatchKind::Node)
    }]);
    let data = Bytes::from_static(b"one\ntwo\r\nthree\rfour\n\nevent: forged\nid: 0x1\n\n");
    let changed = Event { data: Some(data.clone()), ..event(2, 0, EventKind::Changed, nasty) };
    let binary = Event { data: Some(Bytes::from_static(b"\xff\n")), ..event(3, 0, EventKind::Changed, nasty) };
    let null = event(4, 0, EventKind::Changed, nasty);
    frames.push(0, WatchEvent::Events(vec![changed, binary, null, event(5, 0, EventKind::Deleted, nasty)]));
    let told = read(frames.take());
    assert_eq!(told.len(), 4);
    assert_eq!(told[0].2["data"].as_str().unwrap().as_bytes(), data);
    assert_eq!((&told[0].2["encoding"], &told[0].2["path"]), (&json!("utf8"), &json!(nasty)));
    assert_eq!((&told[1].2["encoding"], &told[1].2["data"]), (&json!("base64"), &json!("/wo=")));
    assert_eq!(told[2].2.get("data"), Some(&Value::Null));
    assert_eq!(told[3].2.get("data"), None);
}

#[test]
fn data_is_not_mentioned_unless_it_was_asked_for() {
    let mut frames = frames(vec![Watched { position: Some(Position::after(1)), ..watched("/a", WatchKind::Node) }]);
    frames.push(0, WatchEvent::Events(vec![event(2, 0, EventKind::Changed, "/a")]));
    let (_, _, document) = read(frames.take()).remove(0);
    let fields: Vec<_> = document.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["index", "path", "stat", "type", "zxid"]);
}

#[test]
fn an_end_is_a_comment() {
    let mut frames = frames(vec![watched("/a", WatchKind::Node)]);
    frames.end(Some(&Problem::bad_arguments("two\nlines")));
    assert_eq!(frames.take().as_deref(), Some(&b": BAD_ARGUMENTS\n\n"[..]));
}

/// Frames in another form, with `watched` at `/a` and `/b`.
fn told(format: Format, initial: bool) -> Frames {
    let watched = |path| Watched { initial, ..watched(path, WatchKind::Children) };
    Frames::new(vec![watched("/a"), watched("/b")], format, Metrics::default())
}

#[test]
fn lines_are_documents_that_say_what_they_are_and_where_to_go_on() {
    let mut frames = told(Format::Lines, false);
    frames.push(0, WatchEvent::Created { zxid: 0x10 });
    frames.push(1, WatchEvent::Created { zxid: 0x10 });
    frames.push(1, WatchEvent::Events(vec![event(0x11, 2, EventKind::Created, "/b/c")]));
    frames.push(0, WatchEvent::Reset);
    frames.push(0, WatchEvent::Events(vec![event(0x12, 0, EventKind::Created, "/a")]));
    frames.push(0, WatchEvent::Synced { zxid: 0x12 });
    frames.end(Some(&Problem::bad_arguments("no more")));
    let text = String::from_utf8(frames.take().unwrap().to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<Value> = lines.iter().map(|line| json!([line["type"], line["id"], line["watch"]])).collect();
    assert_eq!(
        shown,
        [
            json!(["bookmark", "0x10,0x10", "/b"]),
            json!(["created", "0x10,0x11.2", "/b"]),
            json!(["reset", null, "/a"]),
            json!(["created", null, "/a"]),
            json!(["bookmark", "0x12,0x11.2", "/a"]),
            json!(["end", null, null]),
        ]
    );
    assert_eq!((&lines[4]["zxid"], &lines[5]["code"]), (&json!("0x12"), &json!("BAD_ARGUMENTS")));
}

#[test]
fn a_document_tells_what_there_is_and_where_the_next_one_begins() {
    let mut frames = told(Format::Document, true);
    frames.push(0, WatchEvent::Created { zxid: 0x10 });
    frames.push(0, WatchEvent::Events(vec![event(0x10, 0, EventKind::Created, "/a")]));
    frames.push(0, WatchEvent::Synced { zxid: 0x10 });
    frames.push(1, WatchEvent::Created { zxid: 0x11 });
    assert!(!frames.is_resumable());
    frames.push(1, WatchEvent::Events(vec![event(0x11, 0, EventKind::Created, "/b")]));
    frames.push(1, WatchEvent::Synced { zxid: 0x11 });
    assert!(frames.is_resumable() && frames.told() == 2);
    let mut body = frames.take().unwrap().to_vec();
    body.extend_from_slice(&Format::Document.keep_alive());
    frames.push(1, WatchEvent::Events(vec![event(0x12, 3, EventKind::Changed, "/b")]));
    frames.end(None);
    body.extend_from_slice(&frames.take().unwrap());
    let document: Value = serde_json::from_slice(&body).unwrap();
    let paths: Vec<&Value> = document["events"].as_array().unwrap().iter().map(|event| &event["path"]).collect();
    assert_eq!(paths, ["/a", "/b", "/b"]);
    assert_eq!(document["next"], "0x10,0x12.3");
}

#[test]
fn a_document_that_breaks_off_within_an_initial_state_has_to_begin_anew() {
    let mut frames = told(Format::Document, true);
    frames.push(0, WatchEvent::Created { zxid: 0x10 });
    frames.end(Some(&Problem::bad_arguments("")));
    let document: Value = serde_json::from_slice(&frames.take().unwrap()).unwrap();
    assert_eq!(document, json!({"events": [], "next": null}));
}
