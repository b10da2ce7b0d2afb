//! `DataInput`: where the data of a znode comes from.

use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;

use crate::exit::Failure;

/// Where the data of a znode comes from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct DataInput {
    /// The data; `-` reads it from standard input
    #[arg(conflicts_with = "file", allow_negative_numbers = true)]
    pub(crate) data: Option<String>,

    /// Read the data from a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The data is given in base64
    #[arg(short, long)]
    base64: bool,
}

impl DataInput {
    /// Whether any is named.
    pub(crate) fn is_given(&self) -> bool {
        self.data.is_some() || self.file.is_some()
    }

    /// Whether it is to come from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.data.as_deref() == Some("-")
    }

    /// The data; null if none is named.
    pub(crate) fn read(self) -> Result<Option<Bytes>, Failure> {
        let bytes = match (self.data, self.file) {
            (_, Some(file)) => {
                let what = || format!("cannot read {}", file.display());
                fs::read(&file).map_err(|error| Failure::io(&what(), &error))?
            }
            (Some(text), None) if text == "-" => {
                let mut bytes = Vec::new();
                let read = io::stdin().lock().read_to_end(&mut bytes);
                read.map_err(|error| Failure::io("cannot read standard input", &error))?;
                bytes
            }
            (Some(text), None) => text.into_bytes(),
            (None, None) => return Ok(None),
        };
        if !self.base64 {
            return Ok(Some(Bytes::from(bytes)));
        }
        let text: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let decoded = STANDARD.decode(text);
        decoded
            .map(|bytes| Some(bytes.into()))
            .map_err(|error| Failure::Usage(format!("the data is no base64: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_from_where_it_is_said() {
        let read = |data: Option<&str>, base64| DataInput { data: data.map(str::to_owned), file: None, base64 }.read();
        assert_eq!(read(None, false).expect("none"), None);
        assert_eq!(read(Some(""), false).expect("empty"), Some(Bytes::new()));
        assert_eq!(read(Some("aGk=\n"), true).expect("base64"), Some(Bytes::from_static(b"hi")));
        assert_eq!(read(Some("?"), true).expect_err("wrong").code(), 2);
        let missing = DataInput { file: Some("/nonexistent/file".into()), ..DataInput::default() };
        assert!(missing.read().expect_err("missing").to_string().contains("/nonexistent/file"));
    }
}
