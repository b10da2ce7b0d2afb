//! `Case`: the vectors as their files have them.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chapter {
    #[serde(rename = "about")]
    _about: String,
    cases: Vec<Case>,
}

/// A sequence of steps that stands for itself.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(default = "every_door")]
    pub(super) doors: Vec<String>,
    pub(super) steps: Vec<Step>,
}

/// One operation and what must come of it.
#[derive(Clone, Deserialize)]
pub(super) struct Step {
    pub(super) op: String,
    pub(super) expect: Option<Value>,
    pub(super) error: Option<String>,
    pub(super) error_path: Option<Value>,
    #[serde(default)]
    pub(super) capture: Map<String, Value>,
    #[serde(default = "every_door")]
    pub(super) doors: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub(super) arguments: Map<String, Value>,
}

impl Case {
    /// Whether the door is one of the case's.
    pub(super) fn is_for(&self, door: &str) -> bool {
        self.doors.iter().any(|name| name == door)
    }

    /// The steps that are for the door.
    pub(super) fn steps_for<'a>(&'a self, door: &'a str) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(move |step| step.doors.iter().any(|name| name == door))
    }
}

fn every_door() -> Vec<String> {
    ["unary", "channel", "rest"].map(str::to_owned).to_vec()
}

/// All cases of all files, each named `file/case`, in the order of the files' names.
pub(super) fn load() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let chapter: Chapter =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let chapter_name = path.file_stem().unwrap().to_string_lossy().into_owned();
        cases.extend(
            chapter.cases.into_iter().map(|case| Case { name: format!("{chapter_name}/{}", case.name), ..case }),
        );
    }
    assert!(!cases.is_empty(), "there are no vectors");
    cases
}
