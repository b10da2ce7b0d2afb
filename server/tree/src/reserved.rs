//! The znodes that are always there: the server makes them, and nobody can delete them.

use quorate_types::{Acl, AclEntry, Perms};

/// Their paths, parents first.
pub(crate) const PATHS: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// The znode that shows the ensemble's configuration: everybody may read it, nobody but the server may write it.
pub(crate) const CONFIG: &str = PATHS[2];

/// The ACL version of [`CONFIG`], as ZooKeeper shows it.
pub(crate) const CONFIG_AVERSION: i32 = -1;

/// The ACL of [`CONFIG`].
pub(crate) fn config_acl() -> Acl {
    let (scheme, id) = ("world".into(), "anyone".into());
    Acl::new(alloc::vec![AclEntry { perms: Perms::READ, scheme, id }])
}

/// Whether deleting `path` with everything below it would take a reserved znode along.
pub(crate) fn lies_at_or_below(path: &str) -> bool {
    PATHS.iter().any(|reserved| quorate_types::path::is_at_or_below(reserved, path))
}

/// Whether `path` is one of them.
pub(crate) fn contains(path: &str) -> bool {
    PATHS.contains(&path)
}
