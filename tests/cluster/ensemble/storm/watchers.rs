//! Those who are told of every change, through whatever happens to the servers that tell them; and what all of them
//! together know.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use quorate_client::{Client, Event, Reason, WatchEvent, WatchKind};
use tokio::sync::watch;

/// A server that is silent for three times as long is left.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(300);

/// All changes of one txn, in their order.
pub(super) type Txn = Vec<Event>;

/// What one watcher was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) txns: BTreeMap<u64, Txn>,
    /// Everything up to this was told.
    pub(super) through: u64,
    /// How often a server could not go on where another one had stopped, and a third had to be found.
    pub(super) moved: u32,
}

/// Follows everything from `after` on, until everything through `last` was told, once that is known. `clients` are
/// different ways to the ensemble.
pub(super) async fn follow(clients: Vec<Client>, after: u64, mut last: watch::Receiver<Option<u64>>) -> Told {
    let mut told = Told { through: after, ..Told::default() };
    // The last change told, to begin again after it.
    let mut position = (after, None);
    for client in clients.iter().cycle() {
        let watch = client.watch("/").kind(WatchKind::Recursive).with_data().progress_interval(PROGRESS_INTERVAL);
        let mut watch = watch.from(position.0, position.1).start();
        loop {
            let end = *last.borrow_and_update();
            if let Some(end) = end.filter(|end| *end <= told.through) {
                // Sessions may still end after it.
                told.txns.retain(|zxid, _| *zxid <= end);
                return told;
            }
            let event = tokio::select! {
                event = watch.next() => event,
                // Its sender is there until everybody has finished.
                _ = last.changed() => continue,
            };
            match event.expect("a watch ends with an error") {
                Ok(WatchEvent::Events(events)) => {
                    for event in events {
                        assert!(event.zxid >= told.through, "{event:?} is told after {:#x}", told.through);
                        position = (event.zxid, Some(event.index));
                        let txn = told.txns.entry(event.zxid).or_default();
                        assert_eq!(event.index as usize, txn.len(), "{event:?} after {txn:?}");
                        txn.push(event);
                    }
                    // The whole txn is one item.
                    told.through = told.through.max(position.0);
                }
                Ok(WatchEvent::Progress { zxid }) => {
                    assert!(zxid >= told.through, "progress goes back to {zxid:#x} from {:#x}", told.through);
                    told.through = zxid;
                    position = (zxid, None);
                }
                Ok(WatchEvent::Created { .. }) => {}
                Ok(other) => panic!("nobody asked for {other:?}"),
                // That server was given a copy and has no history before it.
                Err(error) if error.reason() == Reason::Compacted => {
                    told.moved += 1;
                    tokio::time::sleep(PROGRESS_INTERVAL).await;
                    break;
                }
                Err(error) => panic!("a watch ends with {error:?}"),
            }
        }
    }
    unreachable!("the clients come round again and again")
}

/// What all watchers were told is one history: returns it.
///
/// # Panics
/// If two of them were told different things.
pub(super) fn agree(watchers: Vec<Told>) -> BTreeMap<u64, Txn> {
    let mut watchers = watchers.into_iter();
    let first = watchers.next().expect("somebody watches");
    for (number, other) in (2..).zip(watchers) {
        for zxid in first.txns.keys().chain(other.txns.keys()) {
            assert_eq!(first.txns.get(zxid), other.txns.get(zxid), "watcher {number}, txn {zxid:#x}");
        }
    }
    first.txns
}
