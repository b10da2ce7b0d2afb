//! `lock`.

use clap::Args;
use quorate_client::Client;
use quorate_client::recipes::{Lock as Exclusive, RwLock};

use crate::exit::Failure;
use crate::holding::{self, ENVIRONMENT, Holding};
use crate::printer::Printer;
use crate::signals::Signals;

const EXAMPLES: &str = "\
Examples:
  quorate lock /locks/deploy --exec -- make deploy
  quorate lock /locks/report --wait 1s --exec -- ./report   or not at all
  quorate lock /locks/data -s --exec -- ./read              beside other readers
  quorate lock /locks/deploy                                until interrupted";

/// Examples, and what a command can rely on.
pub(crate) fn help() -> String {
    format!("{EXAMPLES}\n\n{ENVIRONMENT}")
}

/// The arguments of `lock`.
#[derive(Args, Debug)]
pub struct Lock {
    /// The lock: a znode, which need not exist
    path: String,

    /// Hold it beside others who share it, and nobody else
    #[arg(short, long)]
    shared: bool,

    #[command(flatten)]
    holding: Holding,
}

impl Lock {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let Lock { path, shared, holding } = self;
        let what = format!("the lock {path}");
        let mut signals = Signals::new()?;
        let session = client.open_session(holding.session_timeout).await?;
        let acquire = async {
            let data = holding.data();
            if shared {
                RwLock::new(&session, &path).data(data).read().await
            } else {
                Exclusive::new(&session, &path).data(data).acquire().await
            }
        };
        let held = match holding.turn(&what, acquire, &mut signals).await {
            Ok(guard) => holding.hold(&what, guard, &mut signals, printer).await,
            Err(failure) => Err(failure),
        };
        holding::close(session).await;
        held?.into_result(&what)
    }
}
