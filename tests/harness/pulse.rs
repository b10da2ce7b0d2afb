//! `Pulse`: a writer that never rests, to find out for how long nobody could write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quorate_proto::v1;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// After a refusal. Short, since it is counted as if the server had been away for so long.
const RETRY_DELAY: Duration = Duration::from_millis(1);

/// An answer that takes longer does not count, and its connection is given up.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// One writer, which has one write under way at a time, through one server alone.
pub struct Pulse {
    stop: Arc<AtomicBool>,
    writing: JoinHandle<Vec<Instant>>,
}

impl Pulse {
    /// Writes to `path` through the gRPC door at `address`, from now on.
    #[must_use]
    pub fn through(address: &str, path: &str) -> Pulse {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = write(format!("http://{address}"), path.to_owned(), Arc::clone(&stop));
        Pulse { stop, writing: tokio::spawn(writer) }
    }

    /// Stops, and says when each write was acknowledged.
    ///
    /// # Panics
    /// If the writer did.
    pub async fn stop(self) -> Vec<Instant> {
        self.stop.store(true, Ordering::SeqCst);
        self.writing.await.expect("the writer does not fail")
    }
}

/// The longest time within `from..to` in which nothing was acknowledged.
#[must_use]
pub fn longest_gap(acknowledged: &[Instant], from: Instant, to: Instant) -> Duration {
    let within = acknowledged.iter().copied().filter(|at| (from..to).contains(at));
    let moments: Vec<Instant> = [from].into_iter().chain(within).chain([to]).collect();
    moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

async fn write(address: String, path: String, stop: Arc<AtomicBool>) -> Vec<Instant> {
    let mut acknowledged = Vec::new();
    let mut znodes = None;
    while !stop.load(Ordering::SeqCst) {
        let writer = match &mut znodes {
            Some(writer) => writer,
            None => match connect(&address).await {
                Some(connected) => znodes.insert(connected),
                None => {
                    tokio::time::sleep(RETRY_DELAY).await;
                    continue;
                }
            },
        };
        let request =
            v1::SetDataRequest { path: path.clone(), data: Some("pulse".into()), upsert: true, ..Default::default() };
        match tokio::time::timeout(ANSWER_MAX, writer.set_data(request)).await {
            Ok(Ok(_)) => acknowledged.push(Instant::now()),
            Ok(Err(_)) => tokio::time::sleep(RETRY_DELAY).await,
            Err(_) => znodes = None,
        }
    }
    acknowledged
}

async fn connect(address: &str) -> Option<ZnodeServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address is a URI");
    endpoint.connect_timeout(ANSWER_MAX).connect().await.ok().map(ZnodeServiceClient::new)
}
