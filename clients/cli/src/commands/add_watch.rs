//! `addWatch` and `removewatches`.

use clap::{Args, ValueEnum};
use quorate_client::{Client, WatchKind};

use crate::commands::watch::Watch;
use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate addWatch /app                  it and everything below it
  quorate addWatch -m PERSISTENT /app    it alone

In a shell, changes are told while it goes on; outside of one, until this is
interrupted, as by `watch`, which can do more.";

pub(crate) const REMOVE_EXAMPLES: &str = "\
Examples, in a shell:
  removewatches /app       whatever was to be told of it
  removewatches /app -d    only what `get -w` and `stat -w` wait for

Outside of one there is nothing to be removed: a watch ends with its command.";

/// The arguments of `addWatch`.
#[derive(Args, Debug)]
pub struct AddWatch {
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

impl AddWatch {
    /// Outside of a shell.
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        Watch::plain(self.path, self.mode == Mode::PersistentRecursive).run(client, printer).await
    }
}

/// The arguments of `removewatches`.
#[derive(Args, Debug)]
pub struct RemoveWatches {
    /// As it was given to addWatch or to a command with -w
    pub(crate) path: String,

    #[command(flatten)]
    pub(crate) which: Which,

    /// Even if no server can be told, which is always so: a shell's watches are its own
    #[arg(short, long, hide = true)]
    local: bool,
}

/// Which watches of a path, with zkCli's letters.
#[derive(Args, Clone, Copy, Debug, Default)]
#[group(multiple = false)]
pub(crate) struct Which {
    /// What `ls -w` waits for
    #[arg(short, long)]
    children: bool,

    /// What `get -w` and `stat -w` wait for
    #[arg(short, long)]
    data: bool,

    /// Of addWatch with the mode PERSISTENT
    #[arg(short, long)]
    persistent: bool,

    /// Of addWatch with the mode PERSISTENT_RECURSIVE
    #[arg(short, long)]
    recursive: bool,

    /// All of them, which is the default
    #[arg(short, long)]
    any: bool,
}

impl Which {
    /// Whether a watch of this kind is meant: one of the next change, or of all.
    pub(crate) fn means(self, kind: WatchKind, is_once: bool) -> bool {
        let Which { children, data, persistent, recursive, any: _ } = self;
        match (children, data, persistent, recursive) {
            (true, ..) => is_once && kind == WatchKind::Children,
            (_, true, ..) => is_once && kind == WatchKind::Node,
            (_, _, true, _) => !is_once && kind == WatchKind::Node,
            (.., true) => kind == WatchKind::Recursive,
            (false, false, false, false) => true,
        }
    }
}

impl RemoveWatches {
    /// Outside of a shell.
    pub(crate) fn refuse(&self) -> Failure {
        let path = &self.path;
        Failure::Usage(format!(
            "nothing is watched here: a watch of {path} ends with the command that has begun it, as by Ctrl-C; in \
             `quorate shell`, removewatches ends those of the shell"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_mean_what_they_mean_in_zkcli() {
        let none = Which::default();
        let all = [
            (WatchKind::Node, true),
            (WatchKind::Children, true),
            (WatchKind::Node, false),
            (WatchKind::Recursive, false),
        ];
        let meant = |which: Which| all.map(|(kind, is_once)| which.means(kind, is_once));
        assert_eq!(meant(Which { data: true, ..none }), [true, false, false, false]);
        assert_eq!(meant(Which { children: true, ..none }), [false, true, false, false]);
        assert_eq!(meant(Which { persistent: true, ..none }), [false, false, true, false]);
        assert_eq!(meant(Which { recursive: true, ..none }), [false, false, false, true]);
        assert_eq!((meant(none), meant(Which { any: true, ..none })), ([true; 4], [true; 4]));
    }
}
