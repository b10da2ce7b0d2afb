//! ReadYourWrites, MonotonicReads: a read shows exactly the state at the zxid that its reply states.

use std::collections::HashMap;

use quorate_types::{Change, ChangeKind, Code, Reply, Response, Zxid};

use super::judged::SHARED;
use crate::sim::backup::Backup;

/// What a znode was from some zxid on: its version and data, or nothing.
type Value = Option<(i32, Vec<u8>)>;

/// Every value that a znode which clients read has ever had.
#[derive(Default)]
pub(crate) struct Reads {
    values: HashMap<String, Vec<(Zxid, Value)>>,
    pub(crate) checked: u64,
}

impl Reads {
    /// A change is committed.
    pub(crate) fn committed(&mut self, change: Change) {
        if !is_read(&change.path) {
            return;
        }
        let value = match change.kind {
            ChangeKind::Created | ChangeKind::DataChanged => {
                Some((change.stat.version, change.data.map(|data| data.to_vec()).unwrap_or_default()))
            }
            ChangeKind::Deleted => None,
        };
        self.values.entry(change.path).or_default().push((change.zxid, value));
    }

    /// A backup is the state from `zxid` on: one of ours holds what was there, one of others what it says.
    pub(crate) fn replaced(&mut self, zxid: Zxid, backup: &Backup) {
        for path in SHARED {
            self.values.entry(path.to_owned()).or_default();
        }
        for (path, values) in &mut self.values {
            let value = backup.value(path);
            if backup.is_own {
                assert_eq!(&value, at(values, backup.zxid), "RestoreTruth: {path} in the backup of {:?}", backup.zxid);
            }
            values.push((zxid, value));
        }
    }

    /// A client has read a znode, in the state at `zxid`.
    pub(crate) fn read(&mut self, path: &str, zxid: Zxid, response: &Response) {
        let values = self.values.get(path).map_or(&[][..], Vec::as_slice);
        let expected = at(values, zxid).clone();
        let seen = match response {
            Ok(Reply::Data { data, stat }) => {
                Some((stat.version, data.as_ref().map(|data| data.to_vec()).unwrap_or_default()))
            }
            Err(error) if error.code() == Code::NoNode => None,
            _ => return,
        };
        self.checked += 1;
        assert_eq!(seen, expected, "ReadYourWrites: {path} is not this at {zxid:?}");
    }
}

/// The last of these values that was there at `zxid`.
fn at(values: &[(Zxid, Value)], zxid: Zxid) -> &Value {
    let upto = values.partition_point(|(since, _)| *since <= zxid);
    upto.checked_sub(1).map_or(&None, |at| &values[at].1)
}

/// Whether clients read it.
fn is_read(path: &str) -> bool {
    path.starts_with("/r/") || path.starts_with("/shared/")
}
