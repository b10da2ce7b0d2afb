//! `Local`: what is true of this server whatever its role: its log and promises, its clock, what it knows of others.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use quorate_types::mutation::mutated;
use quorate_types::{Epoch, Frame, FrameKind, Member, Members, Role, ServerId, Zxid};

use crate::config::Config;
use crate::disk::{Disk, Submitted};
use crate::hearsay::Hearsay;
use crate::history::History;
use crate::input::SnapshotBase;
use crate::links::Links;
use crate::message::{ConnectionId, Digest, Message, Notification, Position, Standing, Vote};
use crate::output::{Output, PeerOutput, Promise};
use crate::quorum::Configs;

/// What is true of this server whatever its role.
///
/// Invariant, at every moment: `delivered <= min(commit, durable)` and `durable <= last`.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) config: Config,
    pub(crate) now_ms: u64,
    /// The promise that was last submitted.
    pub(crate) promise: Promise,
    pub(crate) standing: Standing,
    /// See [`crate::Start::may_found`].
    pub(crate) may_found: bool,
    pub(crate) history: History,
    /// `history.configs()`, or what stands in for it while the log says nothing. Nothing else ever counts a quorum.
    pub(crate) configs: Configs,
    /// Newer configurations that others have told of: for finding a leader only.
    pub(crate) hearsay: Hearsay,
    pub(crate) disk: Disk,
    /// When the disk last reported, or began to have something to do.
    pub(crate) disk_moved_ms: u64,
    /// The last record that is durable here.
    pub(crate) durable: Zxid,
    /// The last record that is known to be committed.
    pub(crate) commit: Zxid,
    /// Before the first record that the log still holds.
    pub(crate) log_start: Zxid,
    /// The newest snapshot that can be sent to a learner.
    pub(crate) snapshot: Option<Position>,
    /// Of this server's replicated state.
    pub(crate) digest: Digest,
    /// The logical clock of elections.
    pub(crate) round: u64,
    /// Whom this server last followed in vain, how often in a row, and when last.
    pub(crate) failures: Option<(ServerId, u32, u64)>,
    /// The replica was told that there is a leader: this server, or the one that it follows.
    pub(crate) has_leader: bool,
    pub(crate) links: Links,
}

impl Local {
    pub(crate) fn me(&self) -> ServerId {
        self.config.server
    }

    /// Whether this server may try to lead. One that the end of its log does not name any more may still be needed,
    /// until that is committed: nobody else may have so long a log.
    pub(crate) fn may_lead(&self) -> bool {
        let was_voter = || match self.history.delivered_configs() {
            Some(configs) => configs.is_voter(self.me()),
            None => self.config.founding.is_voter(self.me()),
        };
        self.standing == Standing::Voter && (self.configs.is_voter(self.me()) || was_voter())
    }

    /// Whether this server may support another one in an election. It need not know yet from its own log that it votes:
    /// a leader whose log says so needs it nevertheless, and nobody else counts it.
    pub(crate) fn supports(&self) -> bool {
        self.standing == Standing::Voter
    }

    /// Whether this server has neither promised nor logged anything, ever.
    pub(crate) fn is_blank(&self) -> bool {
        let is_trusted = self.standing == Standing::Voter || self.may_found;
        is_trusted && self.promise == Promise::default() && self.history.last() == Zxid::ZERO
    }

    /// A server was followed, and did not come to lead.
    pub(crate) fn note_failure(&mut self, leader: ServerId) {
        let (failed, times, _) = self.failures.unwrap_or((leader, 0, 0));
        let times = if failed == leader { times + 1 } else { 1 };
        self.failures = Some((leader, times, self.now_ms));
    }

    /// Whether that has happened more than once lately. The longest log may belong to a server that cannot lead, and
    /// those who can must not vote for it for ever.
    pub(crate) fn has_failed(&self, leader: ServerId) -> bool {
        let is_recent = |since_ms| self.now_ms < since_ms + self.config.timing.sync_limit_ms;
        self.failures.is_some_and(|(failed, times, since_ms)| failed == leader && times > 1 && is_recent(since_ms))
    }

    // ---- The log and the promises ----------------------------------------------------------------------------------

    /// Encodes the next record, takes note of it, and has it logged.
    pub(crate) fn extend(&mut self, kind: FrameKind, zxid: Zxid, payload: &[u8], out: &mut Vec<Output>) {
        let frame = self.history.extend(kind, zxid, payload);
        self.log(frame, out);
    }

    /// Takes a record that the leader has sent, if it continues the log.
    pub(crate) fn append(&mut self, frame: Frame, out: &mut Vec<Output>) -> bool {
        let continues = self.history.try_append(frame.clone());
        if continues {
            self.log(frame, out);
        }
        continues
    }

    fn log(&mut self, frame: Frame, out: &mut Vec<Output>) {
        let changes_configs = frame.kind() != FrameKind::Txn;
        let token = self.submit(Submitted::Record(frame.zxid()));
        out.push(Output::Append { token, frame });
        if changes_configs {
            self.update_configs(out);
        }
    }

    /// Promises an epoch to a leader, unless exactly that is promised already.
    pub(crate) fn promise(&mut self, promise: Promise, out: &mut Vec<Output>) {
        assert!(promise.epoch >= self.promise.epoch, "{promise:?} would take back {:?}", self.promise);
        if self.promise != promise {
            self.promise = promise;
            let token = self.submit(Submitted::Promise);
            out.push(Output::Promise { token, promise });
        }
    }

    /// Removes what follows `after` from the log.
    pub(crate) fn truncate(&mut self, after: Zxid, out: &mut Vec<Output>) {
        assert!(self.durable == self.history.last(), "truncated while records were on their way to the disk");
        self.history.truncate(after);
        self.durable = after;
        let token = self.submit(Submitted::Truncation);
        out.push(Output::Truncate { token, after });
        self.update_configs(out);
    }

    /// Has a received snapshot put in the place of the log.
    pub(crate) fn install(&mut self, base: SnapshotBase, out: &mut Vec<Output>) {
        let position = base.position;
        let token = self.submit(Submitted::Installation(Box::new(base)));
        out.push(Output::InstallSnapshot { token, base: position });
    }

    /// Has it made durable that this server counts, again or from the beginning.
    pub(crate) fn readmit(&mut self, out: &mut Vec<Output>) {
        let token = self.submit(Submitted::Readmission);
        out.push(Output::Readmit { token });
    }

    fn submit(&mut self, what: Submitted) -> u64 {
        if self.disk.is_idle() {
            self.disk_moved_ms = self.now_ms;
        }
        self.disk.submit(what)
    }

    /// Whether the disk owes something and has done nothing for so long.
    pub(crate) fn is_disk_stalled(&self, for_ms: u64) -> bool {
        !self.disk.is_idle() && self.now_ms >= self.disk_moved_ms + for_ms
    }

    /// Takes note of everything that is durable now.
    pub(crate) fn synced(&mut self, token: u64, out: &mut Vec<Output>) {
        self.disk_moved_ms = self.now_ms;
        while let Some(what) = self.disk.complete(token) {
            match what {
                Submitted::Record(zxid) => {
                    assert!(zxid > self.durable, "{zxid:?} became durable after {:?}", self.durable);
                    self.durable = zxid;
                }
                Submitted::Promise | Submitted::Truncation => {}
                Submitted::Readmission => self.readmitted(out),
                Submitted::Installation(base) => self.installed(&base, out),
            }
        }
    }

    fn readmitted(&mut self, out: &mut Vec<Output>) {
        let before = self.known_servers();
        self.standing = Standing::Voter;
        self.configs = Local::configs_of(&self.history, &self.config, self.standing);
        self.tell_members(&before, out);
    }

    fn installed(&mut self, base: &SnapshotBase, out: &mut Vec<Output>) {
        let Position { zxid, .. } = base.position;
        self.history = History::from_snapshot(base);
        self.history.keep_bytes(self.config.limits.cache_bytes);
        self.durable = zxid;
        self.commit = self.commit.max(zxid);
        self.log_start = zxid;
        self.snapshot = Some(base.position);
        out.push(Output::Restored(base.position));
        self.update_configs(out);
    }

    /// Delivers, in order, what is both committed and durable here.
    pub(crate) fn deliver(&mut self, out: &mut Vec<Output>) {
        let through = match () {
            () if mutated("apply-before-disk") => self.commit,
            () if mutated("apply-before-commit") => self.durable,
            () => self.commit.min(self.durable),
        };
        while let Some(frame) = self.history.deliver(through) {
            out.push(Output::Deliver(frame));
        }
    }

    /// The version of the newest configuration that is known to be committed.
    pub(crate) fn committed_version(&self) -> Zxid {
        self.history.delivered_configs().and_then(Configs::newest).map_or(Zxid::ZERO, |members| members.version)
    }

    // ---- Who belongs to the ensemble -------------------------------------------------------------------------------

    /// The configurations at the end of the log; before anything is logged, the founding one. A server that is not sure
    /// to remember everything takes no configuration but that of its log.
    pub(crate) fn configs_of(history: &History, config: &Config, standing: Standing) -> Configs {
        let is_founder = standing == Standing::Voter && config.founding.voters().next().is_some();
        match history.configs() {
            Some(configs) => configs.clone(),
            None if is_founder => Configs::of(config.founding.clone()),
            None => Configs::default(),
        }
    }

    fn update_configs(&mut self, out: &mut Vec<Output>) {
        let before = self.known_servers();
        self.configs = Local::configs_of(&self.history, &self.config, self.standing);
        let version = self.version();
        self.hearsay.forget_through(version);
        self.tell_members(&before, out);
    }

    /// Says with whom to keep links from now on, if that is news.
    fn tell_members(&self, before: &BTreeMap<ServerId, Member>, out: &mut Vec<Output>) {
        let members = self.known_servers();
        if members != *before {
            out.push(Output::Peer(PeerOutput::MembersChanged(members)));
        }
    }

    fn version(&self) -> Zxid {
        self.configs.newest().map_or(Zxid::ZERO, |members| members.version)
    }

    /// Somebody has told of a configuration.
    pub(crate) fn hear_of(&mut self, from: ServerId, members: &Members, out: &mut Vec<Output>) {
        let (before, version) = (self.known_servers(), self.version());
        self.hearsay.hear(from, members, version);
        self.tell_members(&before, out);
    }

    /// Everybody worth a link: who belongs to the ensemble by the log, by hearsay, or, if neither says anything, by the
    /// configuration that this server was started with. The log of a server that is not sure to remember everything may
    /// end where nobody belonged to the ensemble who does now.
    pub(crate) fn known_servers(&self) -> BTreeMap<ServerId, Member> {
        let mut servers = self.configs.servers();
        if servers.is_empty() || self.standing == Standing::Amnesiac {
            for (server, member) in &self.config.founding.servers {
                servers.entry(*server).or_insert_with(|| member.clone());
            }
        }
        servers.extend(self.hearsay.servers());
        servers
    }

    /// Those of them who vote, as far as this server can know, and are not this server.
    pub(crate) fn known_voters(&self) -> Vec<ServerId> {
        // Whoever is an observer in an old log may be the leader by now.
        let may_vote = |server: &ServerId, member: &Member| {
            let is_named = member.role == crate::MemberRole::Participant || self.configs.is_voter(*server);
            is_named || self.hearsay.is_voter(*server) || self.standing == Standing::Amnesiac
        };
        let votes = |server: &ServerId, member: &Member| *server != self.me() && may_vote(server, member);
        self.known_servers()
            .iter()
            .filter(|(server, member)| votes(server, member))
            .map(|(server, _)| *server)
            .collect()
    }

    // ---- What is said ----------------------------------------------------------------------------------------------

    /// This server's own claim to lead.
    pub(crate) fn own_vote(&self) -> Vote {
        Vote { last: self.durable, priority: self.config.priority, leader: self.me() }
    }

    /// Tells a server what this one believes.
    pub(crate) fn notify(&self, to: ServerId, belief: &Belief, is_answer: bool, out: &mut Vec<Output>) {
        let members = self.configs.newest().or(self.hearsay.newest()).unwrap_or(&self.config.founding).clone();
        let Belief { role, vote, epoch } = *belief;
        let is_blank = role == Role::Looking && self.is_blank();
        let notification = Notification { role, round: self.round, vote, epoch, members, is_blank, is_answer };
        out.push(Output::Peer(PeerOutput::Notify { to, notification }));
    }

    /// Says something in a session, if it is still open.
    pub(crate) fn send(&self, connection: ConnectionId, message: Message, out: &mut Vec<Output>) {
        if self.links.is_open(connection) {
            out.push(Output::Peer(PeerOutput::Send { connection, message }));
        }
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        if self.links.closed(connection) {
            out.push(Output::Peer(PeerOutput::Close { connection }));
        }
    }

    /// The first byte of a marker names the leader, the rest the configurations that are active.
    pub(crate) fn marker_payload(&self) -> Bytes {
        [&[self.me().0][..], &self.configs.encode()].concat().into()
    }
}

/// What a server believes about who leads, as notifications say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Belief {
    pub(crate) role: Role,
    pub(crate) vote: Option<Vote>,
    pub(crate) epoch: Option<Epoch>,
}
