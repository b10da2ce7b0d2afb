//! Asks before something is destroyed.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::exit::Failure;

/// Asks whether to do what `what` says; without a person to ask, `--yes` must have been given.
///
/// # Errors
/// The answer is no, or there was nobody to ask.
pub fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{what} needs --yes, since nobody can be asked")));
    }
    let failed = |error| Failure::io("cannot ask", &error);
    let mut terminal = io::stderr();
    write!(terminal, "{what}? [y/N] ").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Other("nothing was done".to_owned())),
    }
}
