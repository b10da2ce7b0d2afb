//! `Line`: what can be typed.

use clap::{Parser, Subcommand, ValueEnum};

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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::commands::add_watch::Mode;

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
        let mode = |line: &str| match typed(line) {
            Ok(Word::Command(command)) => match *command {
                Command::AddWatch(watch) => watch.mode,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(mode("addWatch -m PERSISTENT /a"), Mode::Persistent);
        assert_eq!(mode("addWatch /a"), Mode::PersistentRecursive);
        assert!(matches!(typed("printwatches off"), Ok(Word::Printwatches { state: Some(Switch::Off) })));
        assert!(matches!(typed("redo 3"), Ok(Word::Redo { number: 3 })));
        assert!(matches!(typed("exit"), Ok(Word::Quit)));
        assert!(typed("frobnicate").is_err());
        assert!(typed("get /a --server elsewhere:1").is_err(), "the servers are those of the shell");
    }
}
