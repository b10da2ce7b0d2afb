//! Paths of znodes in URLs: what stands behind `/v1/znodes`, raw or percent-encoded, and back for `Location`.
//!
//! Only what makes a URL dangerous or ambiguous is refused here, before proxies and servers can disagree about it:
//! dots, empty segments, control characters, bytes that are no UTF-8. The rules of znodes' names are the server's.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What `Location` escapes: everything that is not a character of a URL's path, and `%` itself.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Why the text in a URL names no znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathFault {
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// The bytes are no UTF-8.
    NotUtf8,
    /// It does not begin with `/`.
    NotAbsolute,
    /// Two slashes follow each other, or the last character is one.
    EmptySegment,
    /// A segment is `.` or `..`.
    DotSegment,
    /// It holds a control character.
    ControlCharacter,
}

/// The znode that `url_path` names below `prefix`, which ends with `/`: `/v1/znodes/a/b`, `/v1/znodes/a%2Fb` and
/// `/v1/znodes/%2Fa%2Fb` are all `/a/b`, and `/v1/znodes/` is the root.
pub(crate) fn from_url<'a>(url_path: &'a str, prefix: &str) -> Result<Cow<'a, str>, PathFault> {
    let path = absolute(url_path, prefix)?;
    check(&path)?;
    Ok(path)
}

/// Like [`from_url`], for a create: what is named may end with `/`, since a sequential mode appends digits to it.
pub(crate) fn prefix_from_url<'a>(url_path: &'a str, prefix: &str) -> Result<Cow<'a, str>, PathFault> {
    let path = absolute(url_path, prefix)?;
    check_prefix(&path)?;
    Ok(path)
}

/// Checks a path that came already decoded, from a query or a body.
pub(crate) fn check(path: &str) -> Result<(), PathFault> {
    let Some(rest) = path.strip_prefix('/') else { return Err(PathFault::NotAbsolute) };
    if path.chars().any(char::is_control) {
        return Err(PathFault::ControlCharacter);
    }
    if rest.is_empty() {
        return Ok(());
    }
    rest.split('/').try_for_each(|segment| match segment {
        "" => Err(PathFault::EmptySegment),
        "." | ".." => Err(PathFault::DotSegment),
        _ => Ok(()),
    })
}

/// Likewise, for a create whose sequential mode appends digits to it: it may end with `/`.
pub(crate) fn check_prefix(path: &str) -> Result<(), PathFault> {
    match path.strip_suffix('/') {
        Some("/") => Err(PathFault::EmptySegment),
        Some(parent) if !parent.is_empty() => check(parent),
        _ => check(path),
    }
}

/// Appends `path` to `out` as it stands in a URL, slashes unescaped.
pub(crate) fn write_url(path: &str, out: &mut String) {
    out.extend(utf8_percent_encode(path, ESCAPED));
}

/// The decoded text with its leading slash. Unescaped text is borrowed: the slash that ends `prefix` is the path's.
fn absolute<'a>(url_path: &'a str, prefix: &str) -> Result<Cow<'a, str>, PathFault> {
    debug_assert!(url_path.starts_with(prefix) && prefix.ends_with('/'), "{url_path} is routed below {prefix}");
    let with_slash = &url_path[prefix.len() - 1..];
    if !with_slash.contains('%') {
        return Ok(Cow::Borrowed(with_slash));
    }
    check_escapes(with_slash)?;
    // Callers that escape a whole path escape its leading slash, too; that one is not a second slash.
    let escaped_slash = with_slash.get(1..4).is_some_and(|start| start.eq_ignore_ascii_case("%2f"));
    let encoded = if escaped_slash { &with_slash[1..] } else { with_slash };
    percent_decode_str(encoded).decode_utf8().map_err(|_| PathFault::NotUtf8)
}

fn check_escapes(text: &str) -> Result<(), PathFault> {
    let is_escape = |digits: &str| digits.len() >= 2 && digits.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    if text.split('%').skip(1).all(is_escape) { Ok(()) } else { Err(PathFault::BadEscape) }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathFault::BadEscape => "in the URL, '%' must be followed by two hexadecimal digits",
            PathFault::NotUtf8 => "the path is not valid UTF-8",
            PathFault::NotAbsolute => "a path begins with '/'",
            PathFault::EmptySegment => "the path has an empty segment: '//', or a '/' at its end",
            PathFault::DotSegment => "the path has a segment '.' or '..'",
            PathFault::ControlCharacter => "the path holds a control character",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_znodes_raw_or_encoded() {
        let check = |url: &str, expected: &str| {
            assert_eq!(from_url(&format!("/v1/znodes/{url}"), "/v1/znodes/").as_deref(), Ok(expected), "{url}");
        };
        check("", "/");
        check("%2F", "/");
        check("%2f", "/");
        check("a", "/a");
        check("a/b", "/a/b");
        check("a%2Fb", "/a/b");
        check("%2Fa%2Fb", "/a/b");
        check("%2fa/b", "/a/b");
        check("a%20b", "/a b");
        check("a+b", "/a+b");
        check("%C3%BC", "/ü");
        check("ü", "/ü");
        check("100%25", "/100%");
        check("%252F", "/%2F");
        check("...", "/...");
        check(".a/b..", "/.a/b..");
        check("children/acl", "/children/acl");
        check("a;b=c,d@e:f", "/a;b=c,d@e:f");
    }

    #[test]
    fn hostile_urls_name_nothing() {
        let check = |url: &str, expected: PathFault| {
            assert_eq!(from_url(&format!("/v1/znodes/{url}"), "/v1/znodes/"), Err(expected), "{url}");
        };
        check("/", PathFault::EmptySegment);
        check("/a", PathFault::EmptySegment);
        check("a/", PathFault::EmptySegment);
        check("a//b", PathFault::EmptySegment);
        check("a%2F/b", PathFault::EmptySegment);
        check("a%2F", PathFault::EmptySegment);
        check("%2F%2Fa", PathFault::EmptySegment);
        check("%2F/a", PathFault::EmptySegment);
        check("/%2Fa", PathFault::EmptySegment);
        check(".", PathFault::DotSegment);
        check("..", PathFault::DotSegment);
        check("%2E%2e", PathFault::DotSegment);
        check("a/../b", PathFault::DotSegment);
        check("a%2F..%2Fb", PathFault::DotSegment);
        check("a/%2e", PathFault::DotSegment);
        check("a%00", PathFault::ControlCharacter);
        check("a%0Ab", PathFault::ControlCharacter);
        check("a%0d%0aSet-Cookie:x", PathFault::ControlCharacter);
        check("%7F", PathFault::ControlCharacter);
        check("%C2%85", PathFault::ControlCharacter);
        check("%FF", PathFault::NotUtf8);
        check("%C3", PathFault::NotUtf8);
        check("%C0%AE%C0%AE", PathFault::NotUtf8);
        check("%ED%A0%80", PathFault::NotUtf8);
        check("%", PathFault::BadEscape);
        check("%2", PathFault::BadEscape);
        check("%zz", PathFault::BadEscape);
        check("a%%20", PathFault::BadEscape);
        check("%u0041", PathFault::BadEscape);
    }

    #[test]
    fn only_a_create_may_end_with_a_slash() {
        let prefix = |url: &str| prefix_from_url(&format!("/v1/znodes/{url}"), "/v1/znodes/").map(Cow::into_owned);
        assert_eq!(prefix("q/"), Ok("/q/".to_owned()));
        assert_eq!(prefix("q%2F"), Ok("/q/".to_owned()));
        assert_eq!(prefix(""), Ok("/".to_owned()));
        assert_eq!(prefix("q"), Ok("/q".to_owned()));
        assert_eq!(prefix("q//"), Err(PathFault::EmptySegment));
        assert_eq!(prefix("/"), Err(PathFault::EmptySegment));
        assert_eq!(prefix("../"), Err(PathFault::DotSegment));
    }

    #[test]
    fn what_is_written_reads_back() {
        for path in ["/", "/a/b", "/a b", "/100%", "/ü/漢", "/a?b#c", "/%2F", "/[x]{y}|\"<>\\^`", "/a+b"] {
            let mut url = String::from("/v1/znodes");
            write_url(path, &mut url);
            assert!(url.is_ascii());
            assert_eq!(from_url(&url, "/v1/znodes/").as_deref(), Ok(path), "{url}");
        }
    }
}
