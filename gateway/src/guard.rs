//! Whether a request may have been sent by a page that has no business here: see [`Origins`].

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;

use crate::config::Origins;
use crate::cors::Cors;
use crate::problem::{Problem, Refusal};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses the request if its `Host` or its `Origin` is not allowed. Pages of some origins are: `cors` says which.
pub(crate) fn check(origins: &Origins, cors: &Cors, parts: &Parts) -> Result<(), Problem> {
    // HTTP/2 names the host in the target, HTTP/1.1 in a header. Only HTTP/1.0, which no browser speaks, has neither.
    let host = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => text(&parts.headers, &HOST)?,
    };
    match origins {
        Origins::Any => {
            // A page may call the host that it is from, by whatever name.
            let own = host.and_then(host_of);
            check_origin(&parts.headers, cors, |origin| own.is_some_and(|own| own.eq_ignore_ascii_case(origin)))
        }
        Origins::Only { hosts } => {
            if let Some(host) = host
                && !host_of(host).is_some_and(|host| is_allowed(host, hosts))
            {
                let detail = format!(
                    "this gateway is not called {host:?}; allow that name in its configuration, or call it localhost"
                );
                return Err(Problem::refusal(Refusal::HostRefused, detail));
            }
            check_origin(&parts.headers, cors, |origin| is_allowed(origin, hosts))
        }
    }
}

/// Refuses what a browser sends for a page of another host than those that `may_call`.
fn check_origin(headers: &HeaderMap, cors: &Cors, may_call: impl Fn(&str) -> bool) -> Result<(), Problem> {
    if cors.allowed(headers).is_some() {
        return Ok(());
    }
    if let Some(origin) = text(headers, &ORIGIN)? {
        // `null` is the origin of sandboxed pages and local files: anybody's.
        let host = origin.split_once("://").and_then(|(_, host)| host_of(host));
        if host.is_some_and(may_call) {
            return Ok(());
        }
        return Err(Problem::refusal(Refusal::OriginRefused, format!("pages of {origin:?} may not call this gateway")));
    }
    // A page can send some requests without an Origin, such as that of an image. Following a link is not one of those.
    let says =
        |name: &HeaderName, value: &str| headers.get(name).is_some_and(|actual| actual.as_bytes() == value.as_bytes());
    if says(&SEC_FETCH_SITE, "cross-site") && !says(&SEC_FETCH_MODE, "navigate") {
        return Err(Problem::refusal(Refusal::OriginRefused, "pages of other sites may not call this gateway"));
    }
    Ok(())
}

/// The header's text. Several lines, or bytes that are no text, are as good as a forbidden name.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return Ok(None) };
    match (first.to_str(), lines.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(Problem::refusal(Refusal::HostRefused, format!("the header {name} must be one line of ASCII text"))),
    }
}

fn is_allowed(host: &str, hosts: &[String]) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
}

/// `host` of `host`, `host:port`, `[address]` and `[address]:port`; `None` if it has another form.
fn host_of(authority: &str) -> Option<&str> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    (!host.is_empty() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn verdict(lines: &[(&str, &str)]) -> Option<&'static str> {
        verdict_of(&Origins::Only { hosts: vec!["quorate.example".to_owned()] }, lines)
    }

    fn verdict_of(origins: &Origins, lines: &[(&str, &str)]) -> Option<&'static str> {
        let mut request = Request::builder().uri("/v1/znodes/a");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let cors = Cors::new(vec!["https://page.example".to_owned()]);
        check(origins, &cors, &parts).err().map(|problem| problem.code())
    }

    #[test]
    fn only_allowed_names_may_be_called() {
        for host in [
            "localhost",
            "localhost:7180",
            "LocalHost:1",
            "127.0.0.1",
            "127.0.0.1:7180",
            "127.9.9.9",
            "[::1]",
            "[::1]:7180",
            "quorate.example",
            "Quorate.Example:443",
            "localhost:",
        ] {
            assert_eq!(verdict(&[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7180",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "localhost:7180:1",
            "localhost@evil.example",
            "",
            ":7180",
            "user:pass@localhost",
            "evil.example:80@localhost",
        ] {
            assert_eq!(verdict(&[("host", host)]), Some("HOST_REFUSED"), "{host}");
        }
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[("host", "localhost"), ("host", "evil.example")]), Some("HOST_REFUSED"));
    }

    #[test]
    fn only_pages_of_allowed_hosts_may_call() {
        let from = |origin| verdict(&[("host", "localhost:7180"), ("origin", origin)]);
        for origin in [
            "http://localhost:7180",
            "http://localhost:3000",
            "https://127.0.0.1",
            "http://[::1]:7180",
            "https://quorate.example",
        ] {
            assert_eq!(from(origin), None, "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://localhost.evil.example",
            "localhost",
            "http://",
            "http://10.0.0.1:7180",
        ] {
            assert_eq!(from(origin), Some("ORIGIN_REFUSED"), "{origin}");
        }
    }

    #[test]
    fn pages_of_an_origin_that_is_named_may_call() {
        for origins in [Origins::loopback(), Origins::Any] {
            let from = |origin| verdict_of(&origins, &[("host", "localhost"), ("origin", origin)]);
            assert_eq!(from("https://page.example"), None, "{origins:?}");
            assert_eq!(from("https://page.example:1"), Some("ORIGIN_REFUSED"), "{origins:?}");
            let elsewhere = [("host", "evil.example"), ("origin", "https://page.example")];
            let refused = (origins == Origins::loopback()).then_some("HOST_REFUSED");
            assert_eq!(verdict_of(&origins, &elsewhere), refused, "{origins:?}");
        }
    }

    #[test]
    fn where_anybody_may_call_pages_of_another_host_may_not() {
        let verdict = |lines: &[(&str, &str)]| verdict_of(&Origins::Any, lines);
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[("host", "10.0.0.1:7180")]), None);
        assert_eq!(verdict(&[("host", "any.example")]), None);
        let from = |origin| verdict(&[("host", "any.example:7180"), ("origin", origin)]);
        assert_eq!(from("http://any.example:7180"), None);
        assert_eq!(from("https://Any.Example"), None);
        for origin in ["https://evil.example", "http://localhost", "http://any.example.evil.example", "null", ""] {
            assert_eq!(from(origin), Some("ORIGIN_REFUSED"), "{origin}");
        }
        assert_eq!(verdict(&[("origin", "http://any.example")]), Some("ORIGIN_REFUSED"));
        let fetch = |mode| verdict(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode)]);
        assert_eq!((fetch("no-cors"), fetch("navigate")), (Some("ORIGIN_REFUSED"), None));
    }

    #[test]
    fn pages_of_other_sites_may_link_here_but_not_embed() {
        let fetch = |site, mode| verdict(&[("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)]);
        assert_eq!(fetch("cross-site", "no-cors"), Some("ORIGIN_REFUSED"));
        assert_eq!(fetch("cross-site", "navigate"), None);
        assert_eq!(fetch("same-origin", "cors"), None);
        assert_eq!(fetch("none", "navigate"), None);
    }
}
