//! `Path`: the one set of rules for names of znodes, on every door.

use alloc::string::String;
use core::fmt;

use crate::limits::PATH_BYTES_MAX;

/// An absolute, valid path: `/`, or `/` and non-empty components separated by `/`.
///
/// The rules are ZooKeeper's (`PathUtils.validatePath`) read on code points, plus [`PATH_BYTES_MAX`]: no component
/// is empty, `.` or `..`, and no character is a control character (U+0000-001F, U+007F-009F), a private-use or
/// surrogate code unit (U+D800-F8FF), in U+FFF0-FFFF, or beyond the basic plane (two surrogates, to ZooKeeper).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(String);

/// Why a string is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It is empty or does not begin with `/`.
    NotAbsolute,
    /// It ends with `/` and is not the root.
    TrailingSlash,
    /// Two slashes follow each other, at this byte.
    EmptyComponent(usize),
    /// A component is `.` or `..`, at this byte.
    RelativeComponent(usize),
    /// This byte begins a character that is not allowed.
    BadCharacter(usize),
    /// It is longer than [`PATH_BYTES_MAX`] bytes.
    TooLong(usize),
}

impl Path {
    /// Checks `path` against the rules.
    ///
    /// # Errors
    /// [`PathError`], which says where the first fault is.
    pub fn new(path: impl Into<String>) -> Result<Path, PathError> {
        let path = path.into();
        validate(&path)?;
        Ok(Path(path))
    }

    /// The path whose znode a sequential create of `self` would make: `self` may then end with `/`, since a suffix
    /// of digits follows.
    ///
    /// # Errors
    /// [`PathError`] of the path that digits would complete.
    pub fn new_sequential_prefix(path: impl Into<String>) -> Result<Path, PathError> {
        let mut path = path.into();
        path.push('1');
        validate(&path)?;
        path.pop();
        Ok(Path(path))
    }

    /// `/`.
    #[must_use]
    pub fn root() -> Path {
        Path(String::from("/"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the text up.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The path of the parent, as text; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        parent(&self.0)
    }

    /// The last component; empty for the root and for a sequential prefix that ends with `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        name(&self.0)
    }

    /// The components from the root down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        components(&self.0)
    }
}

/// The parent of a valid path, as text; `None` for the root.
#[must_use]
pub fn parent(path: &str) -> Option<&str> {
    match path.rfind('/') {
        _ if path.len() <= 1 => None,
        Some(0) => Some("/"),
        Some(slash) => Some(&path[..slash]),
        None => None,
    }
}

/// The last component of a valid path; empty for the root.
#[must_use]
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or("")
}

/// The components of a valid path, from the root down.
pub fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty())
}

/// The text of the path of `name` below `parent`.
#[must_use]
pub fn join(parent: &str, name: &str) -> String {
    let mut path = String::with_capacity(parent.len() + 1 + name.len());
    if parent.len() > 1 {
        path.push_str(parent);
    }
    path.push('/');
    path.push_str(name);
    path
}

/// Whether the valid path `path` is `ancestor` or lies below it.
#[must_use]
pub fn is_at_or_below(path: &str, ancestor: &str) -> bool {
    ancestor.len() <= 1 || path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn validate(path: &str) -> Result<(), PathError> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    if bytes.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong(bytes.len()));
    }
    if bytes.len() == 1 {
        return Ok(());
    }
    if bytes.last() == Some(&b'/') {
        return Err(PathError::TrailingSlash);
    }
    let mut at = 1;
    for component in path[1..].split('/') {
        match component {
            "" => return Err(PathError::EmptyComponent(at)),
            "." | ".." => return Err(PathError::RelativeComponent(at)),
            _ => {}
        }
        if let Some((offset, _)) = component.char_indices().find(|(_, c)| is_forbidden(*c)) {
            return Err(PathError::BadCharacter(at + offset));
        }
        at += component.len() + 1;
    }
    Ok(())
}

fn is_forbidden(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{10ffff}')
}

impl AsRef<str> for Path {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::NotAbsolute => f.write_str("a path begins with '/'"),
            PathError::TrailingSlash => f.write_str("a path does not end with '/'"),
            PathError::EmptyComponent(at) => write!(f, "an empty component at byte {at}"),
            PathError::RelativeComponent(at) => write!(f, "a '.' or '..' component at byte {at}"),
            PathError::BadCharacter(at) => write!(f, "a character that paths cannot hold at byte {at}"),
            PathError::TooLong(len) => write!(f, "{len} bytes, more than the {PATH_BYTES_MAX} that a path may have"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn paths_follow_the_rules_of_zookeeper() {
        let check = |path: &str, expected| assert_eq!(Path::new(path).err(), expected, "{path:?}");
        check("/", None);
        check("/a/b", None);
        check("/a b/ü/漢", None);
        check("/...", None);
        check("", Some(PathError::NotAbsolute));
        check("a", Some(PathError::NotAbsolute));
        check("/a/", Some(PathError::TrailingSlash));
        check("/a//b", Some(PathError::EmptyComponent(3)));
        check("/a/./b", Some(PathError::RelativeComponent(3)));
        check("/a/..", Some(PathError::RelativeComponent(3)));
        check("/a\u{0}", Some(PathError::BadCharacter(2)));
        check("/a\u{1f}", Some(PathError::BadCharacter(2)));
        check("/ab/\u{7f}", Some(PathError::BadCharacter(4)));
        check("/\u{e000}", Some(PathError::BadCharacter(1)));
        check("/\u{fff0}", Some(PathError::BadCharacter(1)));
        check("/\u{1f600}", Some(PathError::BadCharacter(1)));
        check(&"/x".repeat(PATH_BYTES_MAX), Some(PathError::TooLong(2 * PATH_BYTES_MAX)));
    }

    #[test]
    fn a_sequential_prefix_may_end_with_a_slash() {
        assert_eq!(Path::new_sequential_prefix("/q/").map(|p| p.as_str().len()), Ok(3));
        assert_eq!(Path::new_sequential_prefix("/q//").err(), Some(PathError::EmptyComponent(3)));
        assert_eq!(Path::new_sequential_prefix("").err(), Some(PathError::NotAbsolute));
    }

    #[test]
    fn a_path_knows_its_parent_name_and_components() {
        let path = Path::new("/a/b/c").unwrap();
        assert_eq!(path.parent(), Some("/a/b"));
        assert_eq!(path.name(), "c");
        assert_eq!(path.components().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(Path::new("/a").unwrap().parent(), Some("/"));
        assert_eq!(Path::root().parent(), None);
        assert!(is_at_or_below("/a/b", "/a") && is_at_or_below("/a", "/a") && is_at_or_below("/x", "/"));
        assert!(!is_at_or_below("/ab", "/a"));
    }
}
