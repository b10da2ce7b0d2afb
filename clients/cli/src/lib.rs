//! Quorate's command line: create, get, set, ls, watch, export and the rest of the client's commands.
//!
//! The names and flags are those of ZooKeeper's `zkCli` where it has them. Data goes to standard output, everything
//! else to standard error; the exit code says what happened (see [`EXIT_CODES`]); `--output json` prints one documented
//! object for each result. It speaks to the ensemble through `quorate-client` and nothing else.

mod command;
mod commands;
mod confirm;
mod document;
mod duration;
mod exit;
mod global;
mod holding;
mod input;
mod member_spec;
mod precondition;
mod printer;
mod shell;
mod signals;
mod text;
mod time;

pub use self::command::{Command, report, run, run_with};
pub use self::confirm::confirm;
pub use self::exit::{EXIT_CODES, Failure, with_exit_codes};
pub use self::global::{Global, OutputFormat};
pub use self::printer::Printer;
pub use self::time::rfc3339;
