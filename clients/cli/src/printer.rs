//! `Printer`: standard output, in the form that was asked for.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use serde::Serialize;

use crate::exit::Failure;
use crate::global::OutputFormat;

/// Prints results. Whoever prints the last result before waiting for something has to flush.
pub struct Printer {
    out: Box<dyn Write + Send>,
    format: OutputFormat,
    is_terminal: bool,
}

impl Printer {
    pub(crate) fn stdout(format: OutputFormat) -> Printer {
        let is_terminal = io::stdout().is_terminal();
        Printer { out: Box::new(BufWriter::new(io::stdout())), format, is_terminal }
    }

    /// Whether results are printed as JSON.
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Whether a person watches.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// One JSON object on a line.
    pub fn json(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(document).map_err(|error| Failure::Other(error.to_string()))?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// A line of text.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Text or data as it is.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(failed)
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(failed)
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::io("cannot write to standard output", &error)
}
