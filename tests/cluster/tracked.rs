//! `Doors`: where the server's doors are now, for clients that outlive its process.

use std::time::Duration;

use quorate_tests::harness::Server;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

/// Between two attempts to reach a server that is down.
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(10);

/// The addresses of a server that is restarted now and then.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Addresses {
    pub(super) http: String,
    pub(super) grpc: String,
}

/// Hands out the present addresses.
#[derive(Clone)]
pub(super) struct Doors {
    present: watch::Receiver<Addresses>,
}

/// Keeps what [`Doors`] tell up to date.
pub(super) struct Signpost(watch::Sender<Addresses>);

impl Addresses {
    fn of(server: &Server) -> Addresses {
        Addresses { http: server.address("http").to_owned(), grpc: server.address("grpc").to_owned() }
    }
}

impl Signpost {
    pub(super) fn new(server: &Server) -> (Signpost, Doors) {
        let (sender, present) = watch::channel(Addresses::of(server));
        (Signpost(sender), Doors { present })
    }

    /// After a restart.
    pub(super) fn update(&self, server: &Server) {
        self.0.send_replace(Addresses::of(server));
    }
}

impl Doors {
    pub(super) fn http(&self) -> String {
        self.present.borrow().http.clone()
    }

    /// A new connection, as soon as the server is up.
    pub(super) async fn grpc(&self) -> Channel {
        loop {
            let address = self.present.borrow().grpc.clone();
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            match endpoint.connect().await {
                Ok(channel) => return channel,
                Err(_) => tokio::time::sleep(RETRY_DELAY).await,
            }
        }
    }
}
