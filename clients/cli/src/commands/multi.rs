//! `multi`.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Parser as _};
use quorate_client::{Client, MultiResult, Stat};
use serde::Serialize;

use crate::commands::change::{Change, Line};
use crate::document::{StatDocument, hex};
use crate::exit::Failure;
use crate::printer::Printer;
use crate::text;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate multi 'check /lock -v 3' 'set /a 1' 'create -s /b/c- 2' 'delete /d'
  quorate multi --file changes.txt      one on each line; # begins a comment
  quorate multi < changes.txt
  quorate multi 'check /a --absent' 'create /b'

All are made in one txn, or none is: then the message says which cannot be, and
the exit code is that one's. Each is written as the command of its name; check
changes nothing, and the others are made only if it holds.";

/// The arguments of `multi`.
#[derive(Args, Debug)]
pub struct Multi {
    /// What is to be done, each in quotes
    #[arg(value_name = "CHANGE")]
    changes: Vec<String>,

    /// Read it from a file, one change on each line; `-` is standard input, as is nothing at all
    #[arg(short, long, value_name = "FILE", conflicts_with = "changes")]
    file: Option<PathBuf>,
}

/// The changes, understood.
pub(crate) struct Changes(Vec<Change>);

/// What came of them, as JSON.
#[derive(Serialize)]
struct MultiDocument<'a> {
    zxid: String,
    results: Vec<ResultDocument<'a>>,
}

#[derive(Serialize)]
struct ResultDocument<'a> {
    op: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stat: Option<StatDocument>,
}

impl Multi {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let changes = self.read()?;
        if changes.need_a_session() {
            let text = "an ephemeral znode lives as long as a session: make this in `quorate shell`, which has one";
            return Err(Failure::Usage(text.to_owned()));
        }
        changes.make(client, printer).await
    }

    /// Whether it would read what somebody else reads in a shell.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.changes.is_empty() && self.file.as_deref().is_none_or(|file| file == Path::new("-"))
    }

    /// What is to be done; nothing is done if one of it makes no sense.
    pub(crate) fn read(self) -> Result<Changes, Failure> {
        let reads_stdin = self.reads_stdin();
        let lines = match self.file.as_deref().filter(|_| !reads_stdin) {
            Some(file) => {
                let read = fs::read_to_string(file);
                let what = || format!("cannot read {}", file.display());
                lines_of(&read.map_err(|error| Failure::io(&what(), &error))?)
            }
            None if reads_stdin => {
                let mut text = String::new();
                let read = io::stdin().lock().read_to_string(&mut text);
                read.map_err(|error| Failure::io("cannot read standard input", &error))?;
                lines_of(&text)
            }
            None => self.changes,
        };
        let changes: Vec<Change> = lines.iter().map(|line| parse(line)).collect::<Result<_, _>>()?;
        if changes.is_empty() {
            return Err(Failure::Usage("there is nothing to be done".to_owned()));
        }
        if reads_stdin && changes.iter().any(Change::reads_stdin) {
            return Err(Failure::Usage("`-` is not left to read from: the changes come from there".to_owned()));
        }
        Ok(Changes(changes))
    }
}

fn lines_of(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn parse(line: &str) -> Result<Change, Failure> {
    let words = shell_words::split(line).map_err(|error| Failure::Usage(format!("`{line}`: {error}")))?;
    Line::try_parse_from(words).map(|line| line.change).map_err(|error| {
        let text = error.to_string();
        // What follows is about how a program is called.
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Failure::Usage(format!("`{line}`: {first}"))
    })
}

impl Changes {
    /// Whether something of it belongs to a session.
    pub(crate) fn need_a_session(&self) -> bool {
        self.0.iter().any(|change| matches!(change, Change::Create(create) if create.is_ephemeral()))
    }

    /// Makes all of them, or none.
    pub(crate) async fn make(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let asked: Vec<Asked> = self.0.iter().map(Asked::of).collect();
        let all = self.0.into_iter().try_fold(client.multi(), |multi, change| change.add_to(multi, client))?;
        let mut reply = all.await?;
        let failed = reply.first_failure().map(|at| (at, reply.results.swap_remove(at)));
        if let Some((at, Err(error))) = failed {
            let (number, of) = (at + 1, asked.len());
            return Err(Failure::Change { number, of, error });
        }
        let results: Vec<MultiResult> = reply.results.into_iter().collect::<Result<_, _>>()?;
        if printer.is_json() {
            let results = asked.iter().zip(&results).map(|(asked, result)| ResultDocument {
                op: asked.op,
                path: asked.path_in(result),
                stat: stat(result).map(StatDocument::from),
            });
            return printer.json(&MultiDocument { zxid: hex(reply.zxid), results: results.collect() });
        }
        asked.iter().zip(&results).try_for_each(|(asked, result)| asked.print(result, printer))
    }
}

/// What was asked for, to tell of its result.
struct Asked {
    op: &'static str,
    path: String,
    wants_stat: bool,
}

impl Asked {
    fn of(change: &Change) -> Asked {
        Asked { op: change.name(), path: change.path().to_owned(), wants_stat: change.wants_stat() }
    }

    /// A sequential znode has its name from the ensemble.
    fn path_in<'a>(&'a self, result: &'a MultiResult) -> &'a str {
        match result {
            MultiResult::Created(created) => &created.path,
            _ => &self.path,
        }
    }

    fn print(&self, result: &MultiResult, printer: &mut Printer) -> Result<(), Failure> {
        let (op, path) = (self.op, self.path_in(result));
        printer.line(&match result {
            MultiResult::Updated(updated) => format!("{op} {path} version={}", updated.stat.version),
            MultiResult::AclSet(updated) => format!("{op} {path} aversion={}", updated.stat.aversion),
            MultiResult::Created(_) | MultiResult::Deleted(_) | MultiResult::Checked => format!("{op} {path}"),
        })?;
        match stat(result).filter(|_| self.wants_stat) {
            Some(stat) => printer.bytes(text::stat_block(stat).as_bytes()),
            None => Ok(()),
        }
    }
}

/// After the change.
fn stat(result: &MultiResult) -> Option<&Stat> {
    match result {
        MultiResult::Created(created) => Some(&created.stat),
        MultiResult::Updated(updated) | MultiResult::AclSet(updated) => Some(&updated.stat),
        MultiResult::Deleted(_) | MultiResult::Checked => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[&str]) -> Result<Changes, Failure> {
        Multi { changes: changes.iter().map(|change| (*change).to_owned()).collect(), file: None }.read()
    }

    #[test]
    fn changes_are_written_as_commands() {
        let changes = read(&["create -s /a/b- 'two words' world:anyone:r", "set /a x -v 3", "delete /b", "check /c"]);
        let changes = changes.expect("all make sense");
        let asked: Vec<Asked> = changes.0.iter().map(Asked::of).collect();
        let named: Vec<_> = asked.iter().map(|asked| (asked.op, &*asked.path)).collect();
        assert_eq!(named, [("create", "/a/b-"), ("set", "/a"), ("delete", "/b"), ("check", "/c")]);
        assert!(!changes.need_a_session());
        assert!(read(&["check /a", "create -e /b"]).expect("makes sense").need_a_session());
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        let check = |change: &str, part: &str| {
            let failure = read(&["check /a", change]).err().expect("wrong");
            assert_eq!(failure.code(), 2);
            assert!(failure.to_string().contains(part), "{failure}");
        };
        check("frobnicate /a", "`frobnicate /a`: unrecognized subcommand 'frobnicate'");
        check("set /a 'x", "missing closing quote");
        check("check /a -v 1 --absent", "cannot be used with");
        check("get /a", "unrecognized");
    }

    #[test]
    fn a_file_has_one_on_each_line() {
        assert_eq!(lines_of("# all\n\n  create /a\nset /a x # y\r\n"), ["create /a", "set /a x # y"]);
    }
}
