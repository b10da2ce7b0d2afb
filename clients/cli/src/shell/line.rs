//! `Line`: what can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use quorate_client::WatchKind;

use crate::command::Command;
use crate::global::OutputFormat;

/// A line of the shell.
#[derive(Parser, Debug)]
#[command(no_binary_name = true, name = "", disable_version_flag = true, about = None, long_about = None)]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) word: Word,

    /// How this command's results are printed
    #[arg(long, global = true, value_enum)]
    pub(crate) output: Option<OutputFormat>,
}

/// What a line begins with.
#[derive(Subcommand, Debug)]
pub(crate) enum Word {
    #[command(flatten)]
    Command(Box<Command>),
    /// Tell of changes from now on, while the shell goes on
    #[command(name = "addWatch", visible_alias = "add-watch")]
    AddWatch(AddWatch),
    /// Tell no more of a path
    #[command(name = "removewatches", visible_alias = "remove-watches")]
    RemoveWatches {
        /// As it was given to addWatch or to a command with -w
        path: String,
    },
    /// Whether changes are told: on, off, or what it is now
    Printwatches { state: Option<Switch> },
    /// List what was typed
    History,
    /// Do once more what `history` shows with this number
    Redo { number: usize },
    /// End the shell, and with it its session
    #[command(visible_aliases = ["exit", "close"])]
    Quit,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// The arguments of `addWatch`.
#[derive(Args, Debug)]
pub(crate) struct AddWatch {
    /// Which znode; it need not exist
    pub(crate) path: String,

    /// Of it alone, or of everything below it, too
    #[arg(short, long, value_enum, ignore_case = true, default_value = "PERSISTENT_RECURSIVE")]
    pub(crate) mode: Mode,
}

/// What `addWatch` is told of, with ZooKeeper's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Mode {
    Persistent,
    PersistentRecursive,
}

impl Mode {
    pub(crate) fn kind(self) -> WatchKind {
        match self {
            Mode::Persistent => WatchKind::Node,
            Mode::PersistentRecursive => WatchKind::Recursive,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn typed(line: &str) -> Result<Word, clap::Error> {
        Line::try_parse_from(shell_words::split(line).expect("quotes are closed")).map(|line| line.word)
    }

    #[test]
    fn the_definition_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn commands_are_typed_without_the_programs_name() {
        assert!(matches!(typed("create -e /a 'two words'"), Ok(Word::Command(_))));
        assert!(matches!(typed("ls"), Ok(Word::Command(_))));
        assert!(matches!(
            typed("addWatch -m PERSISTENT /a"),
            Ok(Word::AddWatch(AddWatch { mode: Mode::Persistent, .. }))
        ));
        assert!(matches!(typed("addWatch /a"), Ok(Word::AddWatch(AddWatch { mode: Mode::PersistentRecursive, .. }))));
        assert!(matches!(typed("printwatches off"), Ok(Word::Printwatches { state: Some(Switch::Off) })));
        assert!(matches!(typed("redo 3"), Ok(Word::Redo { number: 3 })));
        assert!(matches!(typed("exit"), Ok(Word::Quit)));
        assert!(typed("frobnicate").is_err());
        assert!(typed("get /a --server elsewhere:1").is_err(), "the servers are those of the shell");
    }
}
