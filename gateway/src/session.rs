//! The session that a request names, and the text form of its secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use quorate_client::SessionCredential;

use crate::header;
use crate::hex::Hex;
use crate::problem::Problem;

/// Bytes of a session's secret.
const SECRET_BYTES: usize = 16;

/// The session that `headers` name, if they name one.
pub(crate) fn named(headers: &HeaderMap) -> Result<Option<SessionCredential>, Problem> {
    match (one(headers, &header::SESSION)?, secret(headers)?) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => Ok(Some(SessionCredential { session_id: read_id(id)?, secret })),
        (Some(_), None) => Err(Problem::bad_arguments("Quorate-Session needs Quorate-Session-Secret beside it")),
        (None, Some(_)) => Err(Problem::bad_arguments("Quorate-Session-Secret needs Quorate-Session beside it")),
    }
}

/// The session that the URL names by `id` and `headers` prove to own.
pub(crate) fn owned(id: &str, headers: &HeaderMap) -> Result<SessionCredential, Problem> {
    let session_id = read_id(id)?;
    if let Some(named) = one(headers, &header::SESSION)?
        && read_id(named)? != session_id
    {
        return Err(Problem::bad_arguments("Quorate-Session names another session than the URL"));
    }
    match secret(headers)? {
        Some(secret) => Ok(SessionCredential { session_id, secret }),
        None => Err(Problem::bad_arguments("the header Quorate-Session-Secret is missing")),
    }
}

/// A secret as text.
pub(crate) fn secret_text(secret: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(secret)
}

fn read_id(text: &str) -> Result<u64, Problem> {
    match Hex::parse(text) {
        Some(Hex(id)) if id != 0 => Ok(id),
        _ => Err(Problem::bad_arguments(format!("{text:?} is no session id: it is written 0x.. in hexadecimal"))),
    }
}

fn secret(headers: &HeaderMap) -> Result<Option<Bytes>, Problem> {
    let Some(text) = one(headers, &header::SESSION_SECRET)? else { return Ok(None) };
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if bytes.len() == SECRET_BYTES => Ok(Some(bytes.into())),
        _ => Err(Problem::bad_arguments("Quorate-Session-Secret is not of the form that opening the session answered")),
    }
}

/// The header's only value.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return Ok(None) };
    match (first.to_str(), lines.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(Problem::bad_arguments(format!("the header {name} must be one line of ASCII text"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODw";

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_session_is_named_by_both_headers_or_by_none() {
        let named = |lines: &[(HeaderName, &'static str)]| named(&headers(lines)).map_err(|_| ());
        let bytes = Bytes::from((0..16).collect::<Vec<u8>>());
        assert_eq!(secret_text(&bytes), SECRET);
        assert_eq!(named(&[]), Ok(None));
        let credential = SessionCredential { session_id: 0x1f, secret: bytes };
        assert_eq!(named(&[(header::SESSION, "0x1f"), (header::SESSION_SECRET, SECRET)]), Ok(Some(credential)));
        assert_eq!(named(&[(header::SESSION, "0x1f")]), Err(()));
        assert_eq!(named(&[(header::SESSION_SECRET, SECRET)]), Err(()));
        assert_eq!(named(&[(header::SESSION, "31"), (header::SESSION_SECRET, SECRET)]), Err(()));
        assert_eq!(named(&[(header::SESSION, "0x0"), (header::SESSION_SECRET, SECRET)]), Err(()));
        assert_eq!(named(&[(header::SESSION, "0x1f"), (header::SESSION_SECRET, "AAEC")]), Err(()));
        let twice = [(header::SESSION, "0x1f"), (header::SESSION, "0x1f"), (header::SESSION_SECRET, SECRET)];
        assert_eq!(named(&twice), Err(()));
    }

    #[test]
    fn the_url_and_the_header_name_the_same_session() {
        let owned =
            |id, lines: &[(HeaderName, &'static str)]| owned(id, &headers(lines)).map(|named| named.session_id).ok();
        assert_eq!(owned("0x1f", &[(header::SESSION_SECRET, SECRET)]), Some(0x1f));
        assert_eq!(owned("0x1f", &[(header::SESSION, "0x1F"), (header::SESSION_SECRET, SECRET)]), Some(0x1f));
        assert_eq!(owned("0x1f", &[(header::SESSION, "0x2f"), (header::SESSION_SECRET, SECRET)]), None);
        assert_eq!(owned("0x1f", &[]), None);
        assert_eq!(owned("x", &[(header::SESSION_SECRET, SECRET)]), None);
    }
}
