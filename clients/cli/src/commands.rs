//! The commands: each with its arguments, its examples and what it does.

pub(crate) mod acl;
pub(crate) mod add_watch;
pub(crate) mod bench;
pub(crate) mod change;
pub(crate) mod config;
pub(crate) mod count;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod elect;
pub(crate) mod ephemerals;
pub(crate) mod export;
pub(crate) mod export_file;
pub(crate) mod export_tar;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod members;
pub(crate) mod multi;
pub(crate) mod read;
pub(crate) mod reconfig;
pub(crate) mod set;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod tree;
pub(crate) mod version;
pub(crate) mod watch;
