//! What goes wrong: sessions are cut, servers crash and lose what was not durable, a disk is wiped, leaders give up.

use quorate_types::ServerId;

use super::ensemble::Ensemble;
use super::server::{SERVERS, Server, Standing};

impl Ensemble {
    /// The session of a follower ends. Its leader does not notice.
    pub(crate) fn cut(mut self, server: ServerId) -> Option<Ensemble> {
        self.server(server).follows()?;
        self.left.cuts = self.left.cuts.checked_sub(1)?;
        self.server_mut(server).look();
        Some(self)
    }

    /// A leader is alone on its side of a partition, and goes on leading.
    pub(crate) fn isolate(mut self, server: ServerId) -> Option<Ensemble> {
        if self.followers(server).count() < 2 {
            return None;
        }
        self.left.cuts = self.left.cuts.checked_sub(1)?;
        for follower in self.followers(server) {
            self.server_mut(follower).look();
        }
        Some(self)
    }

    /// A leader whom nobody follows gives up.
    pub(crate) fn step_down(mut self, server: ServerId) -> Option<Ensemble> {
        self.leader(server)?;
        if self.followers(server).next().is_some() {
            return None;
        }
        self.look(server);
        Some(self)
    }

    /// A server stops, and starts again with what was durable and some of what was written after that, which it makes
    /// durable before it does anything else.
    pub(crate) fn crash(mut self, server: ServerId, kept: usize) -> Option<Ensemble> {
        let Server { log, durable, durable_promise, .. } = *self.server(server);
        if kept < usize::from(durable) || kept > log.len() {
            return None;
        }
        self.left.crashes = self.left.crashes.checked_sub(1)?;
        self.look(server);
        let own = self.server_mut(server);
        own.log = log.truncated(kept);
        own.promise = durable_promise;
        own.sync();
        Some(self)
    }

    /// A server loses its disk. Not while another has not recovered from that: with two of three wiped, nothing can
    /// be known.
    pub(crate) fn wipe(mut self, server: ServerId) -> Option<Ensemble> {
        if SERVERS.iter().any(|server| self.server(*server).standing == Standing::Amnesiac) {
            return None;
        }
        self.left.wipes = self.left.wipes.checked_sub(1)?;
        self.look(server);
        *self.server_mut(server) = Server { standing: Standing::Amnesiac, ..Server::default() };
        Some(self)
    }
}
