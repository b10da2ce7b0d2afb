//! `Rest`: the least client of the HTTP door that a test needs.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::SseReader;

/// A client of one server's HTTP door.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    client: reqwest::Client,
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether it went well.
    pub status: StatusCode,
    /// What stands before the body.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Rest {
    /// A client of the door at `address`.
    ///
    /// # Panics
    /// If the system has no room for another client.
    #[must_use]
    pub fn new(address: &str) -> Rest {
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        Rest { base: format!("http://{address}"), client }
    }

    /// Sends a request. An answer of any status is an answer; that none came is an error.
    ///
    /// # Errors
    /// If the connection fails or the answer ends early.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{target}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    /// `GET`, for an answer that must come.
    ///
    /// # Errors
    /// As [`Rest::send`].
    pub async fn get(&self, target: &str) -> Result<Answer, reqwest::Error> {
        self.send(Method::GET, target, &[], "").await
    }

    /// `PUT`.
    ///
    /// # Errors
    /// As [`Rest::send`].
    pub async fn put(&self, target: &str, body: impl Into<reqwest::Body>) -> Result<Answer, reqwest::Error> {
        self.send(Method::PUT, target, &[], body).await
    }

    /// Begins to read server-sent events.
    ///
    /// # Errors
    /// If the connection fails.
    ///
    /// # Panics
    /// If the answer is no event stream.
    pub async fn events(&self, target: &str, last_event_id: Option<&str>) -> Result<SseReader, reqwest::Error> {
        let mut request = self.client.get(format!("{}{target}", self.base)).header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with("text/event-stream"), "{target} answers {} with {kind}", response.status());
        Ok(SseReader::new(response))
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// A header as text; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The reason that a problem document gives; empty for anything else.
    #[must_use]
    pub fn reason(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A path as it stands in a URL: everything escaped but slashes and what never needs to be.
#[must_use]
pub fn escape(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => escaped.push(byte as char),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
