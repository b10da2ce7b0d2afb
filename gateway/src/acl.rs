//! ACLs in JSON: who may do what, with ZooKeeper's letters for permissions.

use quorate_client::{Acl, AclEntry, Reason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// One entry of an ACL: what it grants, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AclEntry)]
pub(crate) struct EntryDocument {
    /// How `id` is to be read: `world`, `digest`, or `auth` for whoever sends the request.
    #[schema(example = "world")]
    scheme: String,
    /// Who: `anyone` for `world`, `user:base64(sha1(user:password))` for `digest`, nothing for `auth`. A digest is
    /// shown as `user:x` to callers who may not change the ACL.
    #[serde(default)]
    #[schema(example = "anyone")]
    id: String,
    /// What is granted: letters of `c` (create children), `d` (delete children), `r` (read), `w` (write data), `a`
    /// (change the ACL).
    #[schema(example = "cdrwa", pattern = "^[cdrwa]*$")]
    perms: String,
}

/// An ACL as JSON has it.
pub(crate) fn entries(acl: &Acl) -> Vec<EntryDocument> {
    let entry = |entry: &AclEntry| EntryDocument {
        scheme: entry.scheme.clone(),
        id: entry.id.clone(),
        perms: entry.perms.to_string(),
    };
    acl.0.iter().map(entry).collect()
}

/// The ACL that `entries` mean. Whether it makes sense is the servers' to say.
pub(crate) fn read(entries: Vec<EntryDocument>) -> Result<Acl, Problem> {
    let entry = |EntryDocument { scheme, id, perms }: EntryDocument| {
        let perms = perms.parse().map_err(|error: quorate_client::Error| {
            Problem::new(Reason::InvalidAcl, format!("the ACL is not valid: {}", error.message()))
        })?;
        Ok(AclEntry { perms, scheme, id })
    };
    entries.into_iter().map(entry).collect::<Result<_, _>>().map(Acl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_reads_back_as_it_is_shown() {
        for text in ["world:anyone:cdrwa", "digest:bob:XY=z:rw,world:anyone:r", "world:anyone:"] {
            let acl: Acl = text.parse().unwrap();
            let json = serde_json::to_string(&entries(&acl)).unwrap();
            let shown: Vec<EntryDocument> = serde_json::from_str(&json).unwrap();
            assert_eq!(read(shown).map_err(|_| ()), Ok(acl), "{json}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let parsed = |json: &str| serde_json::from_str::<Vec<EntryDocument>>(json).ok().map(read);
        let auth = parsed(r#"[{"scheme":"auth","perms":"cdrwa"}]"#).unwrap().unwrap();
        assert_eq!(auth, Acl::creator_all());
        let letters = parsed(r#"[{"scheme":"world","id":"anyone","perms":"x"}]"#).unwrap();
        assert_eq!(letters.unwrap_err().code(), "INVALID_ACL");
        for json in [r#"[{"id":"anyone","perms":"r"}]"#, r#"[{"scheme":"world","id":"anyone","perms":31}]"#, "[7]"] {
            assert!(parsed(json).is_none(), "{json}");
        }
    }
}
