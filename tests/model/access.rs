//! Who may do what: ACLs as clients write them, as znodes keep them, as they are checked and as they are shown.

use quorate_types::{AclEntry, Caller, Code, Identity, Perms, limits};

use super::{Model, error};

/// The schemes whose identities were proven, so that `auth` stands for them.
const PROVEN: &[&str] = &["digest"];

impl Model {
    /// Whether the ACL of the znode at `path` grants the caller any of these permissions.
    pub(super) fn permits(&self, path: &str, caller: &Caller, wanted: Perms) -> bool {
        permits(&self.znodes[path].acl, caller, wanted)
    }

    pub(super) fn demand(&self, path: &str, caller: &Caller, wanted: Perms) -> Result<(), quorate_types::Error> {
        if self.permits(path, caller, wanted) { Ok(()) } else { Err(error(Code::NoAuth)) }
    }
}

/// Whether an ACL grants the caller any of these permissions.
fn permits(acl: &[AclEntry], caller: &Caller, wanted: Perms) -> bool {
    let is_super = caller.identities.iter().any(|identity| identity.scheme == "super");
    is_super || acl.iter().any(|entry| entry.perms.intersects(wanted) && concerns(entry, caller))
}

/// What an ACL grants the caller, and by which entries, as he sees them.
pub(super) fn granted(acl: &[AclEntry], caller: &Caller) -> (Perms, Vec<AclEntry>) {
    if caller.identities.iter().any(|identity| identity.scheme == "super") {
        return (Perms::ALL, Vec::new());
    }
    let his: Vec<AclEntry> = acl.iter().filter(|entry| concerns(entry, caller)).cloned().collect();
    let perms = his.iter().fold(Perms(0), |sum, entry| sum.union(entry.perms));
    (perms, if perms.intersects(Perms::ADMIN) { his } else { mask(&his) })
}

fn concerns(entry: &AclEntry, caller: &Caller) -> bool {
    let is_met = |identity: &Identity| identity.scheme == entry.scheme && identity.id == entry.id;
    (entry.scheme == "world" && entry.id == "anyone") || caller.identities.iter().any(is_met)
}

/// An ACL as a client wrote it, as a znode keeps it.
pub(super) fn resolve(acl: &[AclEntry], caller: &Caller) -> Result<Vec<AclEntry>, quorate_types::Error> {
    if acl.is_empty() {
        return Err(error(Code::InvalidAcl));
    }
    let mut resolved: Vec<AclEntry> = Vec::new();
    let mut add = |entry: AclEntry| {
        if !resolved.contains(&entry) {
            resolved.push(entry);
        }
    };
    for entry in acl {
        if entry.scheme == "auth" {
            let proven: Vec<_> = caller.identities.iter().filter(|i| PROVEN.contains(&i.scheme.as_str())).collect();
            if proven.is_empty() {
                return Err(error(Code::InvalidAcl));
            }
            for identity in proven {
                add(AclEntry { perms: entry.perms, scheme: identity.scheme.clone(), id: identity.id.clone() });
            }
        } else if is_valid(entry) {
            add(entry.clone());
        } else {
            return Err(error(Code::InvalidAcl));
        }
    }
    if resolved.len() > limits::ACL_ENTRIES_MAX { Err(error(Code::TooLarge)) } else { Ok(resolved) }
}

fn is_valid(entry: &AclEntry) -> bool {
    if entry.scheme.len() + entry.id.len() > limits::ACL_ID_BYTES_MAX {
        return false;
    }
    match entry.scheme.as_str() {
        "world" => entry.id == "anyone",
        "digest" => entry.id.split(':').count() == 2,
        _ => false,
    }
}

/// An ACL as somebody sees who may not change it: whose digests are whose, but not the digests.
pub(super) fn mask(acl: &[AclEntry]) -> Vec<AclEntry> {
    let masked = |entry: &AclEntry| match (entry.scheme.as_str(), entry.id.split_once(':')) {
        ("digest", Some((user, _))) => AclEntry { id: format!("{user}:x"), ..entry.clone() },
        _ => entry.clone(),
    };
    acl.iter().map(masked).collect()
}
