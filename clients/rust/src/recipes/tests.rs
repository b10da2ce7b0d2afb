//! What recipes promise, against a server that breaks connections and falls silent: see [`crate::fake`].

mod leaders;
mod locks;

use std::time::Duration;

use crate::Session;
use crate::fake::Fake;

pub(super) const TIMEOUT: Duration = Duration::from_secs(6);

pub(super) async fn session(fake: &Fake) -> Session {
    fake.client().open_session(TIMEOUT).await.expect("opened")
}

/// Waits for something that is bound to come.
pub(super) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

/// Polls a future so many times, as far as it gets; then drops it. Returns its outcome if it had one. Only after many polls
/// does time pass between them.
pub(super) async fn poll_times<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for polls in 0..times {
        let others = async {
            match polls {
                ..100 => tokio::task::yield_now().await,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        tokio::select! {
            biased;
            done = &mut future => return Some(done),
            () = others => {}
        }
    }
    None
}
