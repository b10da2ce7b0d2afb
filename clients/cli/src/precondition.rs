//! `Precondition`: what has to hold of a znode for it to be changed.

use clap::Args;

use crate::document::parse_id;

/// What has to hold of a znode for it to be changed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Precondition {
    /// Only if this is its version; -1 is any, as in zkCli
    #[arg(
        short = 'v',
        long = "if-version",
        id = "version",
        value_name = "VERSION",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-1..),
        conflicts_with = "mzxid"
    )]
    version: Option<i32>,

    /// Only if this txn was the last to change it; notices that it was deleted and created again
    #[arg(long = "if-mzxid", id = "mzxid", value_name = "ZXID", value_parser = parse_id)]
    pub(crate) mzxid: Option<u64>,
}

impl Precondition {
    pub(crate) fn version(self) -> Option<i32> {
        self.version.filter(|version| *version != ANY_VERSION)
    }
}

/// ZooKeeper's way to say that any version will do.
pub(crate) const ANY_VERSION: i32 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_minus_one_is_no_condition() {
        let version = |version| Precondition { version, mzxid: None }.version();
        assert_eq!((version(None), version(Some(-1)), version(Some(0))), (None, None, Some(0)));
    }
}
