//! `DoubleBarrier`: so many begin together, and end together.

use super::line::{Contender, Line, Stand};
use super::names::Wish;
use super::patience::{below, list, name_of, persist, rung, until_children};
use crate::{Data, Error, Reason, Session, Stat};

/// The znode whose change lets everybody in.
const READY: &str = "ready";

/// Has so many sessions begin something together, and go on together when all of them are through (Curator's
/// `DistributedDoubleBarrier`). It can be used again and again by the same or by others.
///
/// It promises that nobody is let in before so many were there at once, and that nobody returns from [`Inside::leave`]
/// while one of those is still inside who came before it left; a session that ends leaves as well. More than so many may get
/// in. It does not promise that all who were let in are still there: one of them may have ended since.
/// ```no_run
/// # async fn example(session: quorate_client::Session) -> Result<(), quorate_client::Error> {
/// use quorate_client::recipes::DoubleBarrier;
///
/// let barrier = DoubleBarrier::new(&session, "/barriers/round", 3);
/// let inside = barrier.enter().await?;
/// println!("three of us are here");
/// inside.leave().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DoubleBarrier {
    line: Line,
    count: usize,
}

/// Whoever was let in. Dropping it leaves without waiting for the others.
#[must_use = "dropping it leaves"]
#[derive(Debug)]
pub struct Inside {
    contender: Contender,
    ready_mzxid: u64,
}

impl DoubleBarrier {
    /// A barrier at a path for so many, in the name of a session.
    #[must_use]
    pub fn new(session: &Session, path: impl Into<String>, count: usize) -> DoubleBarrier {
        DoubleBarrier { line: Line::new(session, path.into()), count }
    }

    /// Waits until so many are there. Dropping the future goes away again.
    ///
    /// # Errors
    /// See [`Error`]; among them, that the session was lost meanwhile.
    pub async fn enter(&self) -> Result<Inside, Error> {
        let (contender, stand) = Contender::enter(&self.line, Wish::Part, &Data::null()).await?;
        let ready_mzxid = self.line.holder.while_alive(self.be_let_in(&stand)).await?;
        Ok(Inside { contender, ready_mzxid })
    }

    /// Whoever completes the number rings; the others wait for that. What was rung before one came does not count: it is
    /// from an earlier round.
    async fn be_let_in(&self, stand: &Stand) -> Result<u64, Error> {
        let Line { holder, directory } = &self.line;
        let ready = below(directory, READY);
        let here = list(&holder.client, directory, false).await?;
        let count = here.iter().filter(|child| is_part(&child.name)).count();
        if count >= self.count {
            let ring = persist(|| holder.client.set(&ready, Data::null()).upsert().send());
            return Ok(ring.await?.stat.mzxid);
        }
        rung(&holder.client, &ready, stand.czxid).await
    }
}

/// Whether a znode is that of somebody who is there. Those whose names end so settle what somebody has given up.
fn is_part(name: &str) -> bool {
    name != READY && !name.ends_with('-')
}

impl Inside {
    /// Waits until all who are inside leave, or are gone.
    ///
    /// # Errors
    /// See [`Error`]; among them, that the session was lost meanwhile. This one has left then, too.
    pub async fn leave(self) -> Result<(), Error> {
        let Line { holder, directory } = self.contender.line.clone();
        let left = self.contender.leave().await?;
        let ready = below(&directory, READY);
        let leaving = async {
            // Those who came after this one has left are the next round.
            let all_out = until_children(&holder.client, &directory, |children| {
                let inside = |(path, stat): (&String, &Stat)| is_part(name_of(path)) && stat.czxid <= left;
                (!children.iter().any(inside)).then_some(())
            });
            all_out.await?;
            // Of this round; if the next one has rung already, it stays.
            match persist(|| holder.client.delete(&ready).mzxid(self.ready_mzxid).send()).await {
                Ok(_) => Ok(()),
                Err(error) if matches!(error.reason(), Reason::NoNode | Reason::BadVersion) => Ok(()),
                Err(error) => Err(error),
            }
        };
        holder.while_alive(leaving).await
    }
}
