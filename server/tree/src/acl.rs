//! Who may do what: the one function that decides every operation on one znode, and every event about one.
//!
//! Deny by default: an ACL grants, nothing inherits, and there are no deny entries, so their order means nothing.
//! What a scheme means is one row of [`SCHEMES`]; nothing outside this file knows a scheme by name.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorate_types::{Acl, AclEntry, Caller, Code, Error, Identity, Perms, limits};
use sha1::{Digest, Sha1};

/// The scheme of identities that pass every check. No ACL entry can name it.
const SUPER: &str = "super";

/// The scheme of ACL entries that stand for all of the caller's own authenticated identities.
const AUTH: &str = "auth";

/// What an ACL entry's `scheme` means.
struct Scheme {
    name: &'static str,
    /// Whether an ACL entry may hold this id.
    is_valid: fn(&str) -> bool,
    /// Whether an entry's id (first) is met by a caller's identity of the same scheme (second); `None` if by anybody.
    matches: Option<fn(&str, &str) -> bool>,
    /// Whether an identity of this scheme proves who somebody is, so that an `auth` entry expands to it.
    authenticates: bool,
    /// What callers who may not change the ACL see of an entry's id.
    mask: fn(&str) -> String,
}

const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "world",
        is_valid: |id| id == "anyone",
        matches: None,
        authenticates: false,
        mask: |id| String::from(id),
    },
    Scheme {
        name: "digest",
        is_valid: |id| id.split(':').count() == 2,
        matches: Some(|entry, identity| entry == identity),
        authenticates: true,
        mask: |id| format!("{}:x", id.split(':').next().unwrap_or_default()),
    },
];

fn scheme(name: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|scheme| scheme.name == name)
}

/// Whether `acl` grants `caller` at least one of `wanted`.
#[must_use]
pub fn permits(acl: &Acl, caller: &Caller, wanted: Perms) -> bool {
    let Some(entries) = acl.restricted() else { return true };
    is_super(caller) || entries.iter().any(|entry| entry.perms.intersects(wanted) && is_met(entry, caller))
}

/// Whether the caller passes every check.
#[must_use]
pub fn is_super(caller: &Caller) -> bool {
    caller.identities.iter().any(|identity| identity.scheme == SUPER)
}

fn is_met(entry: &AclEntry, caller: &Caller) -> bool {
    let Some(scheme) = scheme(&entry.scheme) else { return false };
    let Some(matches) = scheme.matches else { return (scheme.is_valid)(&entry.id) };
    caller.identities.iter().any(|identity| identity.scheme == entry.scheme && matches(&entry.id, &identity.id))
}

/// The ACL that a client's entries mean: `auth` is resolved to the caller's own identities, exact duplicates go.
///
/// # Errors
/// [`Code::InvalidAcl`] if there are none, one is malformed, or `auth` stands for nobody; [`Code::TooLarge`] if there
/// are too many.
pub fn normalize(entries: &[AclEntry], caller: &Caller) -> Result<Acl, Error> {
    if let [only] = entries
        && only.perms == Perms::ALL
        && only.scheme == "world"
        && only.id == "anyone"
    {
        return Ok(Acl::OPEN);
    }
    if entries.is_empty() {
        return Err(Error::new(Code::InvalidAcl, "the ACL has no entry; grant world:anyone to leave a znode open"));
    }
    let mut resolved = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.scheme == AUTH {
            expand_auth(entry.perms, caller, &mut resolved)?;
        } else {
            check_entry(entry)?;
            push_distinct(&mut resolved, entry.clone());
        }
        if resolved.len() > limits::ACL_ENTRIES_MAX {
            let detail = format!("an ACL has at most {} entries", limits::ACL_ENTRIES_MAX);
            return Err(Error::new(Code::TooLarge, detail));
        }
    }
    Ok(Acl::new(resolved))
}

fn expand_auth(perms: Perms, caller: &Caller, resolved: &mut Vec<AclEntry>) -> Result<(), Error> {
    let authenticates = |identity: &&Identity| scheme(&identity.scheme).is_some_and(|scheme| scheme.authenticates);
    let mut identities = caller.identities.iter().filter(authenticates).peekable();
    if identities.peek().is_none() {
        return Err(Error::new(Code::InvalidAcl, "an auth entry needs a caller who has authenticated"));
    }
    for Identity { scheme, id } in identities {
        let entry = AclEntry { perms, scheme: scheme.clone(), id: id.clone() };
        check_entry(&entry)?;
        push_distinct(resolved, entry);
    }
    Ok(())
}

fn push_distinct(resolved: &mut Vec<AclEntry>, entry: AclEntry) {
    if !resolved.contains(&entry) {
        resolved.push(entry);
    }
}

fn check_entry(entry: &AclEntry) -> Result<(), Error> {
    let detail = match scheme(&entry.scheme) {
        None => format!("unknown scheme {:?}", entry.scheme),
        Some(_) if entry.scheme.len() + entry.id.len() > limits::ACL_ID_BYTES_MAX => {
            format!("scheme and id of an entry have at most {} bytes", limits::ACL_ID_BYTES_MAX)
        }
        Some(scheme) if !(scheme.is_valid)(&entry.id) => format!("{:?} is no id of scheme {}", entry.id, scheme.name),
        Some(_) => return Ok(()),
    };
    Err(Error::new(Code::InvalidAcl, detail))
}

/// The entries as `caller` may see them: without secrets, unless he may change them.
#[must_use]
pub fn visible(acl: &Acl, caller: &Caller) -> Vec<AclEntry> {
    let mut entries = acl.entries();
    if !permits(acl, caller, Perms::ADMIN) {
        for entry in &mut entries {
            if let Some(scheme) = scheme(&entry.scheme) {
                entry.id = (scheme.mask)(&entry.id);
            }
        }
    }
    entries
}

/// What `acl` grants `caller`, and by which of its entries, as he may see them; by none if he passes every check.
#[must_use]
pub fn granted(acl: &Acl, caller: &Caller) -> (Perms, Vec<AclEntry>) {
    if is_super(caller) {
        return (Perms::ALL, Vec::new());
    }
    let shown = acl.entries().into_iter().zip(visible(acl, caller));
    let met: Vec<AclEntry> = shown.filter(|(entry, _)| is_met(entry, caller)).map(|(_, shown)| shown).collect();
    (met.iter().fold(Perms(0), |perms, entry| perms.union(entry.perms)), met)
}

/// The identity of somebody who presents `user:password`: `user:base64(sha1(user:password))`.
#[must_use]
pub fn digest_identity(credentials: &str) -> Identity {
    let user = credentials.split(':').next().unwrap_or_default();
    let hash = STANDARD.encode(Sha1::digest(credentials.as_bytes()));
    Identity { scheme: String::from("digest"), id: format!("{user}:{hash}") }
}

/// A hash of who somebody is, for remembering the requests of callers without a session. Where he calls from does
/// not count: after a lost connection he may call from elsewhere.
#[must_use]
pub fn caller_hash(caller: &Caller) -> u64 {
    let proven = caller.identities.iter().filter(|identity| identity.scheme != "ip");
    proven.fold(0, |sum, Identity { scheme, id }| {
        let seed = xxhash_rust::xxh3::xxh3_64(scheme.as_bytes());
        sum.wrapping_add(xxhash_rust::xxh3::xxh3_64_with_seed(id.as_bytes(), seed))
    })
}

#[cfg(test)]
mod tests;
