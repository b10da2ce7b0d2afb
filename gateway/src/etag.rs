//! Entity tags, and the conditions that requests build with them (RFC 9110, section 13).
//!
//! A tag is built on the mzxid: unlike a version, it never returns when a znode is deleted and created again. The
//! raw representation is the data alone, so its tag is the mzxid alone; the envelope also shows the stat, which
//! changes with the znode's children and ACL, so its tag names their txn and version, too. A condition on a write is
//! about the data: the leader compares the mzxid that either tag begins with. An ACL has tags of its own.

use bytes::BufMut;
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use quorate_client::Stat;

use crate::hex::{Hex, write_signed};

/// The parts of a stat that tags are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tagged {
    /// The txn that last changed the data.
    pub(crate) mzxid: u64,
    /// The txn that last created or deleted a child.
    pub(crate) pzxid: u64,
    /// Changes of the ACL.
    pub(crate) aversion: i32,
}

/// Which of the two representations a tag is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The data, and nothing else.
    Raw,
    /// JSON with the data and the stat.
    Envelope,
}

impl Tagged {
    /// Appends the tag of the representation in `form` to `out`, quotes included.
    pub(crate) fn write(self, form: Form, out: &mut impl BufMut) {
        out.put_u8(b'"');
        Hex(self.mzxid).write(out);
        if form == Form::Envelope {
            out.put_u8(b'-');
            Hex(self.pzxid).write(out);
            out.put_u8(b'-');
            write_signed(self.aversion.into(), out);
        }
        out.put_u8(b'"');
    }

    /// Whether `If-None-Match` says that the caller has this representation already: 304.
    pub(crate) fn is_known(self, form: Form, headers: &HeaderMap) -> bool {
        let mut current = Vec::with_capacity(48);
        self.write(form, &mut current);
        is_known(&current[1..current.len() - 1], headers)
    }

    /// Whether `If-Match`, if there is one, allows a read: 412 if not.
    pub(crate) fn is_wanted(self, form: Form, headers: &HeaderMap) -> bool {
        let mut current = Vec::with_capacity(48);
        self.write(form, &mut current);
        match Tags::read(headers, &IF_MATCH) {
            None | Some(Tags::Any) => true,
            Some(Tags::List(tags)) => {
                tags.iter().any(|tag| !tag.weak && tag.opaque.as_bytes() == &current[1..current.len() - 1])
            }
            Some(Tags::Malformed) => false,
        }
    }
}

/// What the tag of a compressed representation ends with: its bytes are others.
const GZIP_SUFFIX: &str = "-gzip";

/// The tag that a representation has if it is compressed, from the one that it has as it is.
pub(crate) fn of_gzip(tag: &HeaderValue) -> Option<HeaderValue> {
    let opaque = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{opaque}{GZIP_SUFFIX}\"")).ok()
}

/// Whether `If-None-Match` names the tag with this text.
fn is_known(current: &[u8], headers: &HeaderMap) -> bool {
    match Tags::read(headers, &IF_NONE_MATCH) {
        Some(Tags::Any) => true,
        // The comparison is the weak one: a cache may hand tags back weakened.
        Some(Tags::List(tags)) => tags.iter().any(|tag| tag.opaque.as_bytes() == current),
        None | Some(Tags::Malformed) => false,
    }
}

/// What the tag of an ACL is made of: whose it is, and how often it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AclTag {
    /// The txn that created the znode.
    czxid: u64,
    /// Changes of its ACL.
    aversion: i32,
}

impl AclTag {
    /// How the text of every such tag begins: none of a znode's does.
    const MARK: &str = "acl-";

    /// The tag, quotes included.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::try_from(format!("\"{}\"", self.text())).expect("digits and letters are visible ASCII")
    }

    /// Whether `If-None-Match` says that the caller has this ACL already: 304.
    pub(crate) fn is_known(self, headers: &HeaderMap) -> bool {
        is_known(self.text().as_bytes(), headers)
    }

    fn text(self) -> String {
        format!("{}{}-{}", AclTag::MARK, Hex(self.czxid), self.aversion)
    }

    /// The aversion in the text of such a tag.
    fn aversion_in(text: &str) -> Option<i32> {
        let (czxid, aversion) = text.strip_prefix(AclTag::MARK)?.split_once('-')?;
        Hex::parse(czxid).and(aversion.parse().ok())
    }
}

impl From<&Stat> for AclTag {
    fn from(stat: &Stat) -> AclTag {
        AclTag { czxid: stat.czxid, aversion: stat.aversion }
    }
}

/// What has to hold of a znode for its ACL to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AclCondition {
    /// Nothing.
    None,
    /// `If-Match: *`: that it exists, as it has to anyway.
    Exists,
    /// `If-Match: "<tag>"` or `?aversion=`: that its ACL was changed so many times.
    Aversion(i32),
    /// `If-Match` with tags that no ACL ever has.
    Never,
}

impl AclCondition {
    /// The one condition of a write, from its headers and its `?aversion=`.
    pub(crate) fn of_write(headers: &HeaderMap, aversion: Option<i32>) -> Result<AclCondition, BadCondition> {
        if headers.contains_key(IF_NONE_MATCH) {
            return Err(BadCondition("the ACL of what does not exist cannot be replaced: use If-Match or aversion"));
        }
        match (Tags::read(headers, &IF_MATCH), aversion) {
            (None, None) => Ok(AclCondition::None),
            (None, Some(aversion)) => Ok(AclCondition::Aversion(aversion)),
            (Some(_), Some(_)) => Err(BadCondition("name one condition: If-Match or aversion")),
            (Some(Tags::Any), None) => Ok(AclCondition::Exists),
            (Some(Tags::Malformed), None) => Err(BadCondition("If-Match is neither '*' nor a list of entity tags")),
            (Some(Tags::List(tags)), None) => {
                let mut known = tags.iter().filter(|tag| !tag.weak).filter_map(|tag| AclTag::aversion_in(tag.opaque));
                let Some(first) = known.next() else { return Ok(AclCondition::Never) };
                if known.any(|other| other != first) {
                    return Err(BadCondition("If-Match of a write takes one entity tag"));
                }
                Ok(AclCondition::Aversion(first))
            }
        }
    }
}

/// What has to hold of a znode for a write to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    None,
    /// `If-Match: *`: that it exists.
    Exists,
    /// `If-None-Match: *`: that it does not.
    Absent,
    /// `If-Match: "<tag>"`: that its data was last changed by this txn.
    Mzxid(u64),
    /// `?version=`: that its data was changed so many times.
    Version(i32),
    /// `If-Match` with tags that no znode ever has.
    Never,
}

/// Conditions that contradict each other, or that a write cannot be made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadCondition(pub(crate) &'static str);

impl Condition {
    /// The one condition of a write, from its headers and its `?version=`.
    pub(crate) fn of_write(headers: &HeaderMap, version: Option<i32>) -> Result<Condition, BadCondition> {
        let matching = match Tags::read(headers, &IF_MATCH) {
            None => Condition::None,
            Some(Tags::Any) => Condition::Exists,
            Some(Tags::Malformed) => return Err(BadCondition("If-Match is neither '*' nor a list of entity tags")),
            Some(Tags::List(tags)) => mzxid_of(&tags)?,
        };
        let not_matching = match Tags::read(headers, &IF_NONE_MATCH) {
            None => Condition::None,
            Some(Tags::Any) => Condition::Absent,
            Some(_) => {
                return Err(BadCondition("a write understands only '*' in If-None-Match: that there is no such znode"));
            }
        };
        let version = version.map_or(Condition::None, Condition::Version);
        match (matching, not_matching, version) {
            (one, Condition::None, Condition::None)
            | (Condition::None, one, Condition::None)
            | (Condition::None, Condition::None, one) => Ok(one),
            _ => Err(BadCondition("name one condition: If-Match, If-None-Match or version")),
        }
    }
}

/// The txn that the tags of `If-Match` agree on. A weak tag never matches here, nor does one that is not ours.
fn mzxid_of(tags: &[Tag<'_>]) -> Result<Condition, BadCondition> {
    let mut known = tags.iter().filter(|tag| !tag.weak).filter_map(|tag| {
        let mzxid = tag.opaque.split('-').next().unwrap_or_default();
        Hex::parse(mzxid).map(|Hex(mzxid)| mzxid)
    });
    let Some(first) = known.next() else { return Ok(Condition::Never) };
    if known.any(|other| other != first) {
        return Err(BadCondition("If-Match of a write takes one entity tag"));
    }
    Ok(Condition::Mzxid(first))
}

#[derive(Debug, PartialEq, Eq)]
struct Tag<'a> {
    weak: bool,
    opaque: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
enum Tags<'a> {
    Any,
    List(Vec<Tag<'a>>),
    Malformed,
}

impl<'a> Tags<'a> {
    /// The tags of all lines of the header `name`; `None` if there is none.
    fn read(headers: &'a HeaderMap, name: &HeaderName) -> Option<Tags<'a>> {
        let mut lines = headers.get_all(name).iter().peekable();
        lines.peek()?;
        let mut tags = Vec::new();
        for line in lines {
            match line.to_str().map(str::trim) {
                Ok("*") => return Some(Tags::Any),
                Ok(text) if parse_list(text, &mut tags).is_some() => {}
                _ => return Some(Tags::Malformed),
            }
        }
        Some(if tags.is_empty() { Tags::Malformed } else { Tags::List(tags) })
    }
}

/// Reads `"a", W/"b"`; commas may stand within the quotes.
fn parse_list<'a>(mut text: &'a str, tags: &mut Vec<Tag<'a>>) -> Option<()> {
    while !text.is_empty() {
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (opaque, rest) = quoted.strip_prefix('"')?.split_once('"')?;
        // Compressed or not, what a condition is about is the same.
        tags.push(Tag { weak, opaque: opaque.strip_suffix(GZIP_SUFFIX).unwrap_or(opaque) });
        let rest = rest.trim_start();
        text = match rest.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const STAT: Tagged = Tagged { mzxid: 0x1_0000_0002, pzxid: 0x1_0000_0005, aversion: 3 };

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn tag(form: Form) -> String {
        let mut out = Vec::new();
        STAT.write(form, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tags_differ_by_representation() {
        assert_eq!(tag(Form::Raw), r#""0x100000002""#);
        assert_eq!(tag(Form::Envelope), r#""0x100000002-0x100000005-3""#);
    }

    #[test]
    fn a_known_representation_is_not_sent_again() {
        let check = |form, value: &'static str, expected: bool| {
            assert_eq!(STAT.is_known(form, &headers(&[(IF_NONE_MATCH, value)])), expected, "{form:?} {value}");
        };
        check(Form::Raw, "*", true);
        check(Form::Raw, r#""0x100000002""#, true);
        check(Form::Raw, r#"W/"0x100000002""#, true);
        check(Form::Raw, r#""x", "0x100000002""#, true);
        check(Form::Raw, r#""a,b" ,W/"c","0x100000002""#, true);
        check(Form::Raw, r#""0x100000002-gzip""#, true);
        check(Form::Raw, r#""0x100000003""#, false);
        check(Form::Raw, r#""0x100000002-0x100000005-3""#, false);
        check(Form::Raw, "0x100000002", false);
        check(Form::Envelope, r#""0x100000002-0x100000005-3""#, true);
        check(Form::Envelope, r#"W/"0x100000002-0x100000005-3-gzip""#, true);
        check(Form::Envelope, r#""0x100000002-0x100000005-4""#, false);
        check(Form::Envelope, r#""0x100000002""#, false);
        assert!(!STAT.is_known(Form::Raw, &HeaderMap::new()));
        let lines = headers(&[(IF_NONE_MATCH, r#""x""#), (IF_NONE_MATCH, r#""0x100000002""#)]);
        assert!(STAT.is_known(Form::Raw, &lines));
    }

    #[test]
    fn an_acl_has_tags_of_its_own() {
        let tag = AclTag { czxid: 0x1_0000_0002, aversion: 3 };
        assert_eq!(tag.header(), r#""acl-0x100000002-3""#);
        let known = |value: &'static str| tag.is_known(&headers(&[(IF_NONE_MATCH, value)]));
        assert!(known(r#""acl-0x100000002-3""#) && known(r#"W/"acl-0x100000002-3""#) && known("*"));
        // Created again, it may have another ACL of the same version.
        assert!(!known(r#""acl-0x100000003-3""#) && !known(r#""acl-0x100000002-4""#) && !known(r#""0x100000002""#));
    }

    #[test]
    fn an_acl_is_replaced_under_one_condition() {
        let check = |lines: &[(HeaderName, &'static str)], aversion, expected| {
            assert_eq!(AclCondition::of_write(&headers(lines), aversion).ok(), expected, "{lines:?} {aversion:?}");
        };
        check(&[], None, Some(AclCondition::None));
        check(&[], Some(-1), Some(AclCondition::Aversion(-1)));
        check(&[(IF_MATCH, "*")], None, Some(AclCondition::Exists));
        check(&[(IF_MATCH, r#""acl-0x2-3""#)], None, Some(AclCondition::Aversion(3)));
        check(&[(IF_MATCH, r#""acl-0x2-3-gzip""#)], None, Some(AclCondition::Aversion(3)));
        check(&[(IF_MATCH, r#""acl-0x2--7", "foreign""#)], None, Some(AclCondition::Aversion(-7)));
        check(&[(IF_MATCH, r#""0x100000002""#)], None, Some(AclCondition::Never));
        check(&[(IF_MATCH, r#"W/"acl-0x2-3""#)], None, Some(AclCondition::Never));
        check(&[(IF_MATCH, r#""acl-0x2-3", "acl-0x2-4""#)], None, None);
        check(&[(IF_MATCH, r#""acl-0x2-3""#)], Some(3), None);
        check(&[(IF_MATCH, "acl")], None, None);
        check(&[(IF_NONE_MATCH, "*")], None, None);
    }

    #[test]
    fn a_read_under_if_match_compares_strongly() {
        let check = |value: &'static str, expected: bool| {
            assert_eq!(STAT.is_wanted(Form::Raw, &headers(&[(IF_MATCH, value)])), expected, "{value}");
        };
        check("*", true);
        check(r#""0x100000002""#, true);
        check(r#""0x1", "0x100000002""#, true);
        check(r#"W/"0x100000002""#, false);
        check(r#""0x1""#, false);
        check("nonsense", false);
        assert!(STAT.is_wanted(Form::Raw, &HeaderMap::new()));
    }

    #[test]
    fn a_write_has_one_condition() {
        let check = |lines: &[(HeaderName, &'static str)], version, expected| {
            assert_eq!(Condition::of_write(&headers(lines), version).ok(), expected, "{lines:?} {version:?}");
        };
        check(&[], None, Some(Condition::None));
        check(&[(IF_MATCH, "*")], None, Some(Condition::Exists));
        check(&[(IF_MATCH, r#""0x10""#)], None, Some(Condition::Mzxid(0x10)));
        check(&[(IF_MATCH, r#""0x10-0x12-0""#)], None, Some(Condition::Mzxid(0x10)));
        check(&[(IF_MATCH, r#""0x10", "0x10-0x12-0""#)], None, Some(Condition::Mzxid(0x10)));
        check(&[(IF_MATCH, r#""0x10", "foreign""#)], None, Some(Condition::Mzxid(0x10)));
        check(&[(IF_MATCH, r#"W/"0x10""#)], None, Some(Condition::Never));
        check(&[(IF_MATCH, r#""foreign""#)], None, Some(Condition::Never));
        check(&[(IF_MATCH, r#""""#)], None, Some(Condition::Never));
        check(&[(IF_NONE_MATCH, "*")], None, Some(Condition::Absent));
        check(&[], Some(7), Some(Condition::Version(7)));
        check(&[(IF_MATCH, r#""0x10", "0x11""#)], None, None);
        check(&[(IF_MATCH, "0x10")], None, None);
        check(&[(IF_MATCH, "")], None, None);
        check(&[(IF_MATCH, r#""0x10"#)], None, None);
        check(&[(IF_MATCH, r#""0x10" "0x10""#)], None, None);
        check(&[(IF_NONE_MATCH, r#""0x10""#)], None, None);
        check(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")], None, None);
        check(&[(IF_MATCH, r#""0x10""#)], Some(1), None);
        check(&[(IF_NONE_MATCH, "*")], Some(1), None);
    }
}
