//! Stats, ACLs, roles and headers: the parts that many messages share.

use quorate_proto::v1;
use quorate_types::limits::{ACL_ENTRIES_MAX, ACL_ID_BYTES_MAX};
use quorate_types::{Acl, AclEntry, Code, NodeKind, Perms, Role, Stat, TreeNode};

use super::Refusal;

/// A stat as the contract has it.
pub(in crate::grpc) fn stat(stat: &Stat) -> v1::Stat {
    let Stat {
        czxid,
        mzxid,
        pzxid,
        ctime_ms,
        mtime_ms,
        version,
        cversion,
        aversion,
        ephemeral_owner,
        data_length,
        num_children,
    } = *stat;
    v1::Stat {
        czxid: czxid.0,
        mzxid: mzxid.0,
        pzxid: pzxid.0,
        ctime_ms,
        mtime_ms,
        version,
        cversion,
        aversion,
        ephemeral_owner: ephemeral_owner.0,
        data_length,
        num_children,
    }
}

/// An ACL that a client sent. Whether it makes sense is for the core to say.
pub(in crate::grpc) fn acl_entries(acl: v1::Acl) -> Result<Vec<AclEntry>, Refusal> {
    if acl.entries.len() > ACL_ENTRIES_MAX {
        let detail = format!("{} entries, more than {ACL_ENTRIES_MAX}", acl.entries.len());
        return Err(Refusal::new("acl", Code::TooLarge, detail));
    }
    acl.entries.into_iter().map(acl_entry).collect()
}

fn acl_entry(entry: v1::AclEntry) -> Result<AclEntry, Refusal> {
    let v1::AclEntry { perms, scheme, id } = entry;
    if scheme.len() + id.len() > ACL_ID_BYTES_MAX {
        let detail = format!("an entry's scheme and id have more than {ACL_ID_BYTES_MAX} bytes");
        return Err(Refusal::new("acl", Code::TooLarge, detail));
    }
    if perms & !Perms::ALL.0 != 0 {
        return Err(Refusal::new("acl", Code::InvalidAcl, format!("{perms:#x} has bits that are no permission")));
    }
    Ok(AclEntry { perms: Perms(perms), scheme, id })
}

/// The ACL of a znode whose creator gave none.
pub(in crate::grpc) fn acl_entries_or_open(acl: Option<v1::Acl>) -> Result<Vec<AclEntry>, Refusal> {
    acl.map_or_else(|| Ok(Acl::OPEN.entries()), acl_entries)
}

/// An ACL for a client.
pub(in crate::grpc) fn acl(entries: Vec<AclEntry>) -> v1::Acl {
    let entry = |AclEntry { perms, scheme, id }| v1::AclEntry { perms: perms.0, scheme, id };
    v1::Acl { entries: entries.into_iter().map(entry).collect() }
}

/// What a server does.
pub(in crate::grpc) fn role(role: Role) -> v1::Role {
    match role {
        Role::Looking => v1::Role::Looking,
        Role::Following => v1::Role::Following,
        Role::Leading => v1::Role::Leading,
        Role::Observing => v1::Role::Observing,
    }
}

/// A znode of a streamed tree.
pub(in crate::grpc) fn tree_node(node: TreeNode, with_acl: bool) -> v1::TreeNode {
    let TreeNode { path, stat: node_stat, data, acl: node_acl, kind } = node;
    let (mode, ttl_ms) = match kind {
        NodeKind::Persistent => (v1::CreateMode::Persistent, 0),
        NodeKind::Ephemeral(_) => (v1::CreateMode::Ephemeral, 0),
        NodeKind::Container => (v1::CreateMode::Container, 0),
        NodeKind::Ttl { ttl_ms } => (v1::CreateMode::Ttl, ttl_ms),
    };
    v1::TreeNode {
        path,
        stat: Some(stat(&node_stat)),
        data,
        acl: with_acl.then(|| acl(node_acl.entries())),
        mode: mode.into(),
        ttl_ms,
    }
}
