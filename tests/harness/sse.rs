//! `SseReader`: server-sent events, as the HTML standard says that a browser reads them.

use bytes::{Buf, BytesMut};
use serde_json::Value;

/// An open stream of events.
pub struct SseReader {
    response: reqwest::Response,
    buffer: BytesMut,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SseEvent {
    /// What a reconnect sends as `Last-Event-ID`.
    pub id: String,
    /// Its name.
    pub event: String,
    /// Its lines of data.
    pub data: String,
}

impl SseReader {
    pub(super) fn new(response: reqwest::Response) -> SseReader {
        SseReader { response, buffer: BytesMut::new() }
    }

    /// The next event; `None` when the stream has ended. What came of an event before the stream broke is dropped.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn next(&mut self) -> Result<Option<SseEvent>, reqwest::Error> {
        let mut event = SseEvent::default();
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                let line = String::from_utf8_lossy(&line);
                match line.trim_end_matches('\r') {
                    "" if event != SseEvent::default() => return Ok(Some(event)),
                    line => event.take(line),
                }
            }
            match self.response.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

impl SseEvent {
    /// The data as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in {:?}", self.data))
    }

    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = value.to_owned(),
            "event" => self.event = value.to_owned(),
            "data" if self.data.is_empty() => self.data = value.to_owned(),
            "data" => self.data = format!("{}\n{value}", self.data),
            // A comment (an empty field), `retry`, or what the standard says to ignore.
            _ => {}
        }
    }
}
