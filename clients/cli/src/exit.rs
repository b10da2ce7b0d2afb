//! `Failure`: why a command did not do what it should, what to say about it, and the exit code.

use std::fmt;
use std::io;

use quorate_client::{Error, Reason};
use serde::Serialize;

/// What exit codes mean, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed for another reason
  2  wrong usage
  3  no such znode (or no parent), no such server
  4  a precondition does not hold: it exists, its version differs, it has children, a server is not ready
  5  no permission
  6  cannot reach a server, or the ensemble has no quorum
  7  no answer in time, or not one's turn
  8  what was held was lost: a lock, leadership";

/// Examples, and what exit codes mean: for the long help.
pub fn with_exit_codes(examples: &str) -> String {
    format!("{examples}\n\n{EXIT_CODES}")
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub enum Failure {
    /// The ensemble refused, or could not be asked.
    Client(Error),
    /// A multi was refused for one of its changes; none was made.
    Change {
        /// Which one, from 1.
        number: usize,
        /// Of so many.
        of: usize,
        /// Why.
        error: Error,
    },
    /// The command makes no sense as given.
    Usage(String),
    /// Something else; the text says what and what to do.
    Other(String),
    /// It was not one's turn in time.
    InVain(String),
    /// What was held was lost.
    Lost(String),
    /// A command that was run in the name of this one has ended so, and this is the exit code; it has mostly said itself
    /// what there was to say.
    Ended {
        /// Of 0 to 255.
        code: u8,
        /// What it could not say.
        message: Option<String>,
    },
    /// Nobody reads the output any more, which is no failure.
    BrokenPipe,
}

impl Failure {
    /// A failure with a file, or with standard input or output.
    pub fn io(what: &str, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Other(format!("{what}: {error}")),
        }
    }

    /// See [`EXIT_CODES`].
    pub fn code(&self) -> u8 {
        match self {
            Failure::Client(error) | Failure::Change { error, .. } => code_of(error.reason()),
            Failure::Usage(_) => 2,
            Failure::Other(_) => 1,
            Failure::InVain(_) => 7,
            Failure::Lost(_) => 8,
            Failure::Ended { code, .. } => *code,
            Failure::BrokenPipe => 0,
        }
    }

    /// As JSON, for standard error.
    pub fn to_json(&self) -> String {
        let document = match self {
            Failure::Client(error) => ErrorDocument::of(error, None),
            Failure::Change { number, error, .. } => ErrorDocument::of(error, Some(*number)),
            Failure::Usage(message) => ErrorDocument::other("USAGE", message),
            Failure::Other(message) => ErrorDocument::other("FAILED", message),
            Failure::InVain(message) => ErrorDocument::other("IN_VAIN", message),
            Failure::Lost(message) => ErrorDocument::other("LOST", message),
            Failure::Ended { message, .. } => ErrorDocument::other("ENDED", message.as_deref().unwrap_or_default()),
            Failure::BrokenPipe => ErrorDocument::other("FAILED", "nobody reads the output"),
        };
        serde_json::to_string(&Envelope { error: document }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorDocument<'a>,
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    /// Which change of a multi it is about, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<usize>,
    maybe_applied: bool,
}

impl<'a> ErrorDocument<'a> {
    fn of(error: &'a Error, change: Option<usize>) -> ErrorDocument<'a> {
        ErrorDocument {
            reason: error.reason().as_str(),
            message: error.message(),
            path: error.path(),
            change,
            maybe_applied: error.maybe_applied(),
        }
    }

    fn other(reason: &'a str, message: &'a str) -> ErrorDocument<'a> {
        ErrorDocument { reason, message, path: None, change: None, maybe_applied: false }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Client(error)
    }
}

fn code_of(reason: Reason) -> u8 {
    match reason {
        Reason::InvalidPath | Reason::BadArguments | Reason::InvalidAcl => 2,
        Reason::NoNode | Reason::NoParent | Reason::NoServer => 3,
        Reason::NodeExists
        | Reason::BadVersion
        | Reason::NotEmpty
        | Reason::NoChildrenForEphemerals
        | Reason::TooMany
        | Reason::ReconfigInProgress
        | Reason::RestoreInProgress
        | Reason::ServersNotReady => 4,
        Reason::NoAuth | Reason::AuthFailed => 5,
        Reason::Unreachable | Reason::ConnectionLost | Reason::Unavailable => 6,
        Reason::Timeout | Reason::DeadlineExceeded => 7,
        Reason::SessionExpired
        | Reason::SessionMoved
        | Reason::SessionRequired
        | Reason::TooLarge
        | Reason::QuotaExceeded
        | Reason::Throttled
        | Reason::DiskFull
        | Reason::Compacted
        | Reason::Lagged
        | Reason::NoWatcher
        | Reason::RequestIdReused
        | Reason::RequestIdForgotten
        | Reason::ZxidUnknown
        | Reason::NotApplied
        | Reason::Unimplemented
        | Reason::DigestMismatch
        | Reason::Internal
        | Reason::Closed
        | Reason::Protocol => 1,
    }
}

/// What to do about it.
fn advice(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::NoParent => "create the parent first, or it with all that is missing by `create --parents`",
        Reason::NodeExists => "change it with `set`, or let a number be appended with `create -s`",
        Reason::BadVersion => "somebody else changed it: read it again, then decide",
        Reason::NotEmpty => "delete what is below it, too, with `deleteall`",
        Reason::NoChildrenForEphemerals => "an ephemeral znode cannot have children: choose another parent",
        Reason::NoAuth => "`getAcl` shows whom its ACL lets; whoever it grants ADMIN can change that",
        Reason::Unreachable => "is a server running there? Others can be named with --server or QUORATE_SERVER",
        Reason::ConnectionLost | Reason::Unavailable => "try again, or ask another server with --server",
        Reason::Timeout | Reason::DeadlineExceeded => "try again, or wait longer with --timeout",
        Reason::Compacted => "begin again with --initial",
        Reason::ReconfigInProgress => "`quorate members` shows when it is done",
        Reason::RestoreInProgress => "wait until it is done; one that nobody goes on with is given up after 30 s",
        Reason::ServersNotReady => "`quorate members` shows who is connected, and how far behind",
        Reason::NoServer => "`quorate members` lists those that there are",
        Reason::DiskFull => "the server needs space on its disk",
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Failure::Client(error) => error,
            Failure::Change { number, of, error } => {
                write!(f, "nothing was changed, for change {number} of {of} cannot be made: ")?;
                error
            }
            Failure::Usage(text) | Failure::Other(text) | Failure::InVain(text) | Failure::Lost(text) => {
                return f.write_str(text);
            }
            Failure::Ended { message, .. } => return f.write_str(message.as_deref().unwrap_or_default()),
            Failure::BrokenPipe => return f.write_str("nobody reads the output"),
        };
        match error.path() {
            // Many of the server's texts name the path already.
            Some(path) if !error.message().contains(path) => write!(f, "{path}: {}", error.message())?,
            _ => f.write_str(error.message())?,
        }
        // What is wrong with TLS is told with what to do.
        let is_told = error.reason() == Reason::Unreachable && error.message().contains("TLS");
        if let Some(advice) = advice(error.reason()).filter(|_| !is_told) {
            write!(f, "\n  {advice}")?;
        }
        if error.maybe_applied() {
            f.write_str("\n  the change may have been made nevertheless: look before you repeat it")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_as_documented() {
        let check = |reason, code| assert_eq!(Failure::Client(Error::new(reason, "")).code(), code, "{reason}");
        check(Reason::InvalidPath, 2);
        check(Reason::NoNode, 3);
        check(Reason::BadVersion, 4);
        check(Reason::NodeExists, 4);
        check(Reason::NoAuth, 5);
        check(Reason::Unreachable, 6);
        check(Reason::Unavailable, 6);
        check(Reason::Timeout, 7);
        check(Reason::TooLarge, 1);
        assert_eq!(Failure::io("x", &io::ErrorKind::BrokenPipe.into()).code(), 0);
        assert_eq!(Failure::io("x", &io::ErrorKind::NotFound.into()).code(), 1);
        for code in 0..=8 {
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")));
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let failure = Failure::from(Error::new(Reason::NotEmpty, "the znode has children"));
        assert_eq!(failure.to_string(), "the znode has children\n  delete what is below it, too, with `deleteall`");
        let json = r#"{"error":{"reason":"NOT_EMPTY","message":"the znode has children","maybe_applied":false}}"#;
        assert_eq!(failure.to_json(), json);
    }
}
