//! The file that `export` writes and `import` reads.
//!
//! In the form NDJSON each line is an object: a head, the znodes (parents before their children), and an end by which
//! a file that was cut off is told from a whole one. In the form JSON the same stands in one object; in the form tar, in
//! files: see `export_tar`.

use std::io::Read;

use bytes::Bytes;
use quorate_client::{Acl, CreateMode, Error, TreeNode};
use serde::{Deserialize, Serialize};

use super::export_tar;
use crate::document::{
    AclEntryDocument, DataDocument, ModeDocument, StatDocument, acl_document, acl_from_document, hex,
};

/// The version of this format.
const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The version of the format.
    pub(super) quorate_export: u32,
    /// The top of the tree.
    pub(super) path: String,
    /// The state that was exported.
    pub(super) zxid: String,
    /// Of which ensemble.
    pub(super) cluster_id: String,
}

impl Head {
    pub(super) fn new(path: &str, zxid: u64, cluster_id: u64) -> Head {
        Head { quorate_export: FORMAT, path: path.to_owned(), zxid: hex(zxid), cluster_id: hex(cluster_id) }
    }
}

/// One znode.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    path: String,
    #[serde(flatten)]
    data: DataDocument,
    #[serde(flatten)]
    kind: Kind,
}

/// What there is of a znode besides its path and data.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kind {
    #[serde(default)]
    mode: ModeDocument,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    /// Absent: everybody may do everything, or it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acl: Option<Vec<AclEntryDocument>>,
    /// For readers; an import gives znodes new metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stat: Option<StatDocument>,
}

impl Node {
    pub(super) fn new(node: &TreeNode) -> Node {
        Node { path: node.path.clone(), data: DataDocument::new(node.data.as_ref()), kind: Kind::new(node) }
    }
}

impl Kind {
    pub(super) fn new(node: &TreeNode) -> Kind {
        let (mode, ttl_ms) = ModeDocument::new(node.mode);
        Kind {
            mode,
            ttl_ms,
            acl: node.acl.as_ref().filter(|acl| **acl != Acl::open()).map(acl_document),
            stat: Some(StatDocument::from(&node.stat)),
        }
    }
}

/// The last line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct End {
    /// How many znodes there are.
    pub(super) znodes: u64,
}

/// What a line can be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Head(Head),
    Node(Box<Node>),
    End(EndLine),
}

/// The last line as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EndLine {
    pub(super) end: End,
}

/// The form JSON.
#[derive(Deserialize)]
struct Whole {
    #[serde(flatten)]
    head: Head,
    znodes: Vec<Node>,
}

/// A znode that is to be created.
#[derive(Debug, PartialEq)]
pub(super) struct Planned {
    pub(super) path: String,
    pub(super) data: Option<Bytes>,
    pub(super) mode: CreateMode,
    pub(super) acl: Option<Acl>,
}

impl Planned {
    pub(super) fn new(path: String, data: Option<Bytes>, kind: Kind) -> Result<Planned, String> {
        if !path.starts_with('/') {
            return Err(format!("`{path}` is no path"));
        }
        let wrong = |error: Error| format!("{path}: {}", error.message());
        let mode = kind.mode.to_mode(kind.ttl_ms).map_err(wrong)?;
        let acl = kind.acl.map(acl_from_document).transpose().map_err(wrong)?;
        Ok(Planned { path, data, mode, acl })
    }
}

impl TryFrom<Node> for Planned {
    type Error = String;

    fn try_from(node: Node) -> Result<Planned, String> {
        let data = node.data.decode().map_err(|error| format!("{}: {error}", node.path))?;
        Planned::new(node.path, data, node.kind)
    }
}

/// A whole export.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) head: Head,
    pub(super) nodes: Vec<Planned>,
}

/// Reads and checks a whole export, so that nothing is created from a file that is wrong or cut off.
pub(super) fn read(mut input: impl Read) -> Result<Contents, String> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|error| format!("cannot read it: {error}"))?;
    if export_tar::is_tar(&bytes) {
        return export_tar::read(&bytes.into());
    }
    let no_whole = match serde_json::from_slice(&bytes) {
        Ok(Whole { head, znodes }) => {
            check_format(&head)?;
            let nodes = znodes.into_iter().map(Planned::try_from).collect::<Result<_, _>>()?;
            return Ok(Contents { head, nodes });
        }
        Err(error) => error,
    };
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let Some(Ok(Line::Head(head))) = lines.next().map(|(_, line)| serde_json::from_slice(line)) else {
        return Err(format!("it is no form of what `quorate export` writes: {no_whole}"));
    };
    check_format(&head)?;
    let mut nodes = Vec::new();
    let mut end = None;
    for (at, line) in lines {
        let wrong = |text: String| format!("line {}: {text}", at + 1);
        if end.is_some() {
            return Err(wrong("there is something after its end".to_owned()));
        }
        match serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))? {
            Line::Node(node) => nodes.push((*node).try_into().map_err(wrong)?),
            Line::End(line) => end = Some(line.end),
            Line::Head(_) => return Err(wrong("another export begins here".to_owned())),
        }
    }
    check_end(end, nodes.len())?;
    Ok(Contents { head, nodes })
}

/// Whether it is whole.
pub(super) fn check_end(end: Option<End>, znodes: usize) -> Result<(), String> {
    match end {
        Some(end) if end.znodes == znodes as u64 => Ok(()),
        Some(end) => Err(format!("it should have {} znodes and has {znodes}", end.znodes)),
        None => Err("it is cut off: its end is missing".to_owned()),
    }
}

pub(super) fn check_format(head: &Head) -> Result<(), String> {
    match head.quorate_export {
        FORMAT => Ok(()),
        newer => Err(format!("it has format {newer}, and this program reads format {FORMAT}")),
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::Stat;

    use super::*;

    fn node(path: &str) -> TreeNode {
        TreeNode {
            path: path.to_owned(),
            stat: Stat { czxid: 5, ..Stat::default() },
            data: Some(Bytes::from_static(&[0xfe])),
            acl: Some("world:anyone:r".parse().expect("valid")),
            mode: CreateMode::Container,
        }
    }

    fn file(lines: &[String]) -> String {
        lines.join("\n")
    }

    fn lines() -> [String; 4] {
        [
            json(&Head::new("/a", 16, 1)),
            json(&Node::new(&node("/a"))),
            json(&Node::new(&TreeNode { data: None, acl: Some(Acl::open()), ..node("/a/b") })),
            json(&EndLine { end: End { znodes: 2 } }),
        ]
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).expect("json")
    }

    /// The form JSON of `lines`.
    fn whole() -> String {
        let [head, first, second, _] = lines();
        format!("{},\"znodes\":[{first},\n{second}]}}", head.trim_end_matches('}'))
    }

    #[test]
    fn what_is_written_can_be_read() {
        let contents = read(file(&lines()).as_bytes()).expect("whole");
        assert_eq!(contents.head, Head::new("/a", 16, 1));
        let expected = [
            Planned {
                path: "/a".into(),
                data: Some(Bytes::from_static(&[0xfe])),
                mode: CreateMode::Container,
                acl: Some("world:anyone:r".parse().expect("valid")),
            },
            Planned { path: "/a/b".into(), data: None, mode: CreateMode::Container, acl: None },
        ];
        assert_eq!(contents.nodes, expected);
        assert_eq!(read(whole().as_bytes()).expect("whole").nodes, expected);
    }

    #[test]
    fn a_file_that_is_wrong_or_cut_off_is_refused() {
        let check = |text: &str, part: &str| {
            let error = read(text.as_bytes()).expect_err("wrong");
            assert!(error.contains(part), "{error}");
        };
        let [head, first, second, end] = lines();
        check("", "EOF while parsing a value");
        check("{}", "missing field");
        check(&whole().replacen("container", "contained", 2), "unknown variant `contained`");
        check(&whole()[..whole().len() - 1], "EOF while parsing an object at line 2");
        check(&file(&[head.clone(), first.clone()]), "cut off");
        check(&file(&[head.clone(), first.clone(), end.clone()]), "2 znodes and has 1");
        check(&file(&[head.clone(), first.clone(), second.clone(), end.clone(), second.clone()]), "after its end");
        check(&file(&[head.clone(), first.clone(), second[..9].to_owned()]), "line 3");
        check(&file(&[head.replace(":1,", ":2,"), end]), "format 2");
    }
}
