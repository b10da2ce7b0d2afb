//! ACLs, and the identities that they are held against.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A set of permissions, with ZooKeeper's bits (`org.apache.zookeeper.ZooDefs.Perms`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Perms(pub u32);

impl Perms {
    /// Read the data and list the children.
    pub const READ: Perms = Perms(1);
    /// Change the data.
    pub const WRITE: Perms = Perms(2);
    /// Create a child.
    pub const CREATE: Perms = Perms(4);
    /// Delete a child.
    pub const DELETE: Perms = Perms(8);
    /// Change the ACL.
    pub const ADMIN: Perms = Perms(16);
    /// All of them.
    pub const ALL: Perms = Perms(31);

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Perms) -> Perms {
        Perms(self.0 | other.0)
    }

    /// Whether the two sets share a permission.
    #[must_use]
    pub const fn intersects(self, other: Perms) -> bool {
        self.0 & other.0 != 0
    }
}

/// Permissions for everybody who has an identity that matches `scheme:id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclEntry {
    /// What is granted.
    pub perms: Perms,
    /// How `id` is to be read: `world`, `digest`, `ip`, ...
    pub scheme: String,
    /// Who it is granted to.
    pub id: String,
}

/// The ACL of a znode: what is not granted is denied; entries only add; children inherit nothing.
///
/// The open ACL (`world:anyone`, all permissions), which most znodes have, takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acl(Option<Arc<[AclEntry]>>);

impl Acl {
    /// Everybody may do everything.
    pub const OPEN: Acl = Acl(None);

    /// An ACL of these entries. None at all means that nobody may do anything.
    #[must_use]
    pub fn new(entries: Vec<AclEntry>) -> Acl {
        match entries.as_slice() {
            [only] if only.perms == Perms::ALL && only.scheme == "world" && only.id == "anyone" => Acl::OPEN,
            _ => Acl(Some(entries.into())),
        }
    }

    /// Whether this is [`Acl::OPEN`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// The entries; [`Acl::OPEN`] is written out.
    #[must_use]
    pub fn entries(&self) -> Vec<AclEntry> {
        match &self.0 {
            Some(entries) => entries.to_vec(),
            None => {
                alloc::vec![AclEntry { perms: Perms::ALL, scheme: String::from("world"), id: String::from("anyone") }]
            }
        }
    }

    /// The entries of an ACL that is not open.
    #[must_use]
    pub fn restricted(&self) -> Option<&[AclEntry]> {
        self.0.as_deref()
    }
}

/// One thing that is known about who is calling: established at a door, trusted in the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// How it was established: `digest`, `ip`, `x509`, ...; `super` passes every check.
    pub scheme: String,
    /// The name, in the form that the scheme's ACL entries hold.
    pub id: String,
}

/// Everything that is known about who is calling. `world:anyone` is implied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// In the order in which they were established.
    pub identities: Vec<Identity>,
}

impl Caller {
    /// Somebody of whom nothing is known.
    #[must_use]
    pub fn anonymous() -> Caller {
        Caller::default()
    }

    /// The server itself, which passes every check: it ends sessions and removes znodes whose time is up.
    #[must_use]
    pub fn server() -> Caller {
        Caller { identities: alloc::vec![Identity { scheme: String::from("super"), id: String::new() }] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_single_open_entry_is_the_open_acl() {
        let open = AclEntry { perms: Perms::ALL, scheme: "world".into(), id: "anyone".into() };
        assert!(Acl::new(alloc::vec![open.clone()]).is_open());
        assert!(!Acl::new(alloc::vec![]).is_open());
        assert!(!Acl::new(alloc::vec![open.clone(), open.clone()]).is_open());
        assert!(!Acl::new(alloc::vec![AclEntry { perms: Perms::READ, ..open }]).is_open());
        assert_eq!(Acl::new(Acl::OPEN.entries()), Acl::OPEN);
    }
}
