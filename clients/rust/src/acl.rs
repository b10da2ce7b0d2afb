//! `Acl`: who may do what with a znode, and ZooKeeper's way of writing it.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

use quorate_proto::v1;

use crate::{Error, Reason};

/// What an ACL entry grants: a set of permissions. CREATE and DELETE are about children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Perms(pub u32);

/// In the order in which they are written.
const LETTERS: [(char, Perms); 5] =
    [('c', Perms::CREATE), ('d', Perms::DELETE), ('r', Perms::READ), ('w', Perms::WRITE), ('a', Perms::ADMIN)];

impl Perms {
    /// Read data, list children.
    pub const READ: Perms = Perms(1);
    /// Set data.
    pub const WRITE: Perms = Perms(2);
    /// Create children.
    pub const CREATE: Perms = Perms(4);
    /// Delete children.
    pub const DELETE: Perms = Perms(8);
    /// Set the ACL.
    pub const ADMIN: Perms = Perms(16);
    /// All of them.
    pub const ALL: Perms = Perms(31);

    /// Whether every permission of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Perms) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Perms {
    type Output = Perms;

    fn bitor(self, other: Perms) -> Perms {
        Perms(self.0 | other.0)
    }
}

/// As ZooKeeper writes them: letters of `cdrwa`.
impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LETTERS.iter().filter(|(_, perm)| self.contains(*perm)).try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

impl FromStr for Perms {
    type Err = Error;

    fn from_str(text: &str) -> Result<Perms, Error> {
        let perm = |letter| LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, perm)| *perm);
        text.chars().try_fold(Perms(0), |perms, letter| match perm(letter) {
            Some(perm) => Ok(perms | perm),
            None => Err(Error::new(
                Reason::InvalidAcl,
                format!("`{letter}` is no permission: use the letters c(reate) d(elete) r(ead) w(rite) a(dmin)"),
            )),
        })
    }
}

/// One entry of an ACL: what it grants, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// What is granted.
    pub perms: Perms,
    /// How `id` is to be read: `world`, `digest`, `auth`, ...
    pub scheme: String,
    /// Who: `anyone` for `world`, `user:base64(sha1(user:password))` for `digest`, ignored for `auth`.
    pub id: String,
}

/// `scheme:id:perms`.
impl fmt::Display for AclEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.scheme, self.id, self.perms)
    }
}

/// `scheme:id:perms`, split at the first and the last colon: a digest's id contains one.
impl FromStr for AclEntry {
    type Err = Error;

    fn from_str(text: &str) -> Result<AclEntry, Error> {
        let parts = text.split_once(':').and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
        let Some((scheme, (id, perms))) = parts else {
            return Err(Error::new(
                Reason::InvalidAcl,
                format!("`{text}` is no ACL entry: write scheme:id:perms, for example world:anyone:cdrwa"),
            ));
        };
        Ok(AclEntry { perms: perms.parse()?, scheme: scheme.to_owned(), id: id.to_owned() })
    }
}

/// Who may do what with a znode. What no entry grants is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl(pub Vec<AclEntry>);

impl Acl {
    /// Everybody may do everything.
    #[must_use]
    pub fn open() -> Acl {
        Acl::world(Perms::ALL)
    }

    /// Everybody may do `perms`.
    #[must_use]
    pub fn world(perms: Perms) -> Acl {
        Acl(vec![AclEntry { perms, scheme: "world".into(), id: "anyone".into() }])
    }

    /// Every authenticated identity of the caller may do everything, nobody else anything.
    #[must_use]
    pub fn creator_all() -> Acl {
        Acl(vec![AclEntry { perms: Perms::ALL, scheme: "auth".into(), id: String::new() }])
    }

    pub(crate) fn into_wire(self) -> v1::Acl {
        let entries = self.0.into_iter();
        v1::Acl {
            entries: entries
                .map(|entry| v1::AclEntry { perms: entry.perms.0, scheme: entry.scheme, id: entry.id })
                .collect(),
        }
    }
}

impl From<v1::Acl> for Acl {
    fn from(acl: v1::Acl) -> Acl {
        let entries = acl.entries.into_iter();
        Acl(entries.map(|entry| AclEntry { perms: Perms(entry.perms), scheme: entry.scheme, id: entry.id }).collect())
    }
}

/// Entries with commas between.
impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in self.0.iter().enumerate() {
            write!(f, "{}{entry}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Acl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Acl, Error> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Acl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_is_written_as_zookeeper_writes_it() {
        for text in ["world:anyone:cdrwa", "digest:bob:XY=z:rw,ip:10.0.0.0/8:r", "auth::cdrwa"] {
            assert_eq!(text.parse::<Acl>().expect("valid").to_string(), text);
        }
        assert_eq!("world:anyone:wr".parse::<AclEntry>().expect("valid").perms, Perms::READ | Perms::WRITE);
        for wrong in ["", "world", "world:anyone", "world:anyone:x", "world:anyone:r,"] {
            assert_eq!(wrong.parse::<Acl>().expect_err("invalid").reason(), Reason::InvalidAcl, "{wrong}");
        }
    }
}
