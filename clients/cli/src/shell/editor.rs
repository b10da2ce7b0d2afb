//! `Editor`: the thread that reads lines, from a terminal with history and completion, or from a pipe.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::{Command, CommandFactory as _};
use quorate_client::Client;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, ExternalPrinter, Helper};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::completion::{CANDIDATES_MAX, complete};
use super::line::Line;
use crate::exit::Failure;

/// What a person waits for names of children, at most.
const COMPLETION_TIMEOUT: Duration = Duration::from_millis(700);

/// Lines that are remembered.
const HISTORY_MAX: usize = 1_000;

/// What reading a line has come to.
pub(crate) enum Typed {
    Line(String),
    /// Ctrl-C, which takes back what was typed.
    Interrupted,
    /// There are no more lines.
    End,
    Failed(Failure),
}

/// A line is wanted.
struct Ask {
    prompt: String,
    answer: oneshot::Sender<Typed>,
}

/// The thread that reads lines.
pub(crate) struct Editor {
    asks: mpsc::Sender<Ask>,
    thread: JoinHandle<()>,
    is_interactive: bool,
    /// What was typed since the shell began.
    typed: Vec<String>,
}

/// Says something while a line may be being typed.
#[derive(Clone)]
pub(crate) struct Announcer(Option<Arc<Mutex<dyn ExternalPrinter + Send>>>);

impl Announcer {
    pub(crate) fn say(&self, text: &str) {
        let said = self
            .0
            .as_ref()
            .is_some_and(|printer| printer.lock().is_ok_and(|mut printer| printer.print(format!("{text}\n")).is_ok()));
        if !said {
            eprintln!("{text}");
        }
    }
}

impl Editor {
    /// Begins to read. Paths are completed by asking `client`.
    pub(crate) fn start(client: &Client, history: Option<PathBuf>) -> Result<(Editor, Announcer), Failure> {
        let (asks, asked) = mpsc::channel();
        let is_interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
        let (thread, announcer) = if is_interactive {
            let (mut terminal, announcer) = terminal(client).map_err(|error| from_terminal(&error))?;
            let history = history.or_else(default_history);
            let read = move || read_terminal(&mut terminal, &asked, history.as_deref());
            (std::thread::spawn(read), announcer)
        } else {
            (std::thread::spawn(move || read_pipe(&asked)), Announcer(None))
        };
        Ok((Editor { asks, thread, is_interactive, typed: Vec::new() }, announcer))
    }

    /// Whether a person types.
    pub(crate) fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// The next line.
    pub(crate) async fn next(&mut self, prompt: &str) -> Typed {
        let (answer, typed) = oneshot::channel();
        // The thread only ends when it is not asked any more.
        let _ = self.asks.send(Ask { prompt: prompt.to_owned(), answer });
        let typed = typed.await.unwrap_or(Typed::End);
        if let Typed::Line(line) = &typed
            && !line.trim().is_empty()
        {
            self.typed.push(line.clone());
        }
        typed
    }

    /// What was typed, with its numbers.
    pub(crate) fn typed(&self) -> Vec<(usize, &str)> {
        self.typed.iter().enumerate().map(|(at, line)| (at + 1, line.as_str())).collect()
    }

    /// The line with this number.
    pub(crate) fn line(&self, number: usize) -> Option<String> {
        self.typed.get(number.checked_sub(1)?).cloned()
    }

    /// Lets the thread write its history, and end.
    pub(crate) fn end(self) {
        drop(self.asks);
        // It would have been said if it had panicked.
        let _ = self.thread.join();
    }
}

type Terminal = rustyline::Editor<Completions, FileHistory>;

fn terminal(client: &Client) -> rustyline::Result<(Terminal, Announcer)> {
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .build();
    let mut editor = rustyline::Editor::with_config(config)?;
    editor.set_helper(Some(Completions { shell: Line::command(), client: client.clone(), runtime: Handle::current() }));
    // A terminal that cannot move its cursor has lines mixed.
    let printer = editor.create_external_printer().ok();
    let announcer = Announcer(printer.map(|printer| Arc::new(Mutex::new(printer)) as Arc<Mutex<_>>));
    Ok((editor, announcer))
}

fn from_terminal(error: &ReadlineError) -> Failure {
    Failure::Other(format!("cannot read from the terminal: {error}"))
}

/// In the home directory, if there is one.
fn default_history() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".local/state/quorate/history"))
}

fn read_terminal(editor: &mut Terminal, asked: &mpsc::Receiver<Ask>, history: Option<&Path>) {
    if let Some(file) = history {
        // There is none before the first time.
        let _ = editor.load_history(file);
    }
    while let Ok(Ask { prompt, answer }) = asked.recv() {
        let typed = match editor.readline(&prompt) {
            Ok(line) => Typed::Line(line),
            Err(ReadlineError::Interrupted) => Typed::Interrupted,
            Err(ReadlineError::Eof) => Typed::End,
            Err(error) => Typed::Failed(from_terminal(&error)),
        };
        let _ = answer.send(typed);
    }
    let Some(file) = history else { return };
    let saved = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    if let Err(error) = saved.map_err(ReadlineError::from).and_then(|()| editor.append_history(file)) {
        eprintln!("quorate: what was typed could not be kept in {}: {error}", file.display());
    }
}

fn read_pipe(asked: &mpsc::Receiver<Ask>) {
    let mut lines = io::stdin().lock().lines();
    while let Ok(Ask { answer, .. }) = asked.recv() {
        let _ = answer.send(match lines.next() {
            Some(Ok(line)) => Typed::Line(line),
            Some(Err(error)) => Typed::Failed(Failure::io("cannot read standard input", &error)),
            None => Typed::End,
        });
    }
}

/// Completes words of the shell and paths.
struct Completions {
    shell: Command,
    client: Client,
    runtime: Handle,
}

impl Completions {
    /// The children of a znode whose names begin so; none if nobody answers in time.
    fn children(&self, parent: &str, prefix: &str) -> Vec<String> {
        let asked = async {
            let mut call = self.client.children(parent).limit(CANDIDATES_MAX as u32);
            if !prefix.is_empty() {
                // Strictly after what sorts just before the prefix.
                call = call.after(just_before(prefix));
            }
            tokio::time::timeout(COMPLETION_TIMEOUT, call).await
        };
        match self.runtime.block_on(asked) {
            Ok(Ok(page)) => page.children.into_iter().map(|child| child.name).collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }
}

/// A name that sorts before everything that begins with `prefix`, and close to it.
fn just_before(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    let Some(last) = chars.pop() else { return String::new() };
    let before = char::from_u32(u32::from(last).saturating_sub(1)).filter(|before| *before > ' ');
    if let Some(before) = before {
        chars.push(before);
        chars.push(char::MAX);
    }
    chars.into_iter().collect()
}

impl Completer for Completions {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(&self.shell, &line[..pos], |parent, prefix| self.children(parent, prefix)))
    }
}

impl Hinter for Completions {
    type Hint = String;
}

impl Highlighter for Completions {}

impl Validator for Completions {}

impl Helper for Completions {}
