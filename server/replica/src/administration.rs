//! What concerns the ensemble itself: who belongs to it, how that changes, who leads. Any server can be asked. The leader
//! decides; the server that was asked answers, by what becomes of the leader if need be.
//!
//! A change of the members takes the way of a write: its record says who waits for the answer, and the answer comes when
//! the record that makes the new configuration final is applied where it was asked for.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};
use quorate_types::codec::{DecodeError, Reader};
use quorate_types::{
    Code, Error, Frame, Member, MemberRole, Members, MembersChange, NewMember, Now, Op, OutboxId, Reply, Request,
    Response, Route, ServerId, Tag, Zxid,
};
use quorate_zab::{NotReconfigured, NotTransferred};

use crate::effect::Effects;
use crate::ensemble::no_leader;
use crate::limits;
use crate::peer::encode_write;
use crate::replica::Replica;
use crate::writes::Asker;

/// What was asked about the ensemble and is not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Administration {
    /// Clients here want to know the members, and until when the leader's word is waited for.
    curious: BTreeMap<(OutboxId, Tag), u64>,
    transfers: Vec<Transfer>,
    /// The change that is applied and not final: its version, and who waits for it.
    changing: Option<(Zxid, Route)>,
    /// While leading: those who have asked for that same change, by its version.
    joined: BTreeMap<Zxid, Vec<Asker>>,
}

/// Somebody waits until leadership is handed over.
#[derive(Debug)]
struct Transfer {
    asker: Asker,
    /// To whom, if that was said.
    target: Option<ServerId>,
    /// Who led when it was asked for.
    from: ServerId,
    give_up_ms: u64,
}

impl Administration {
    /// The leader has answered for a client of this server. `false` if that is not awaited.
    pub(crate) fn take(&mut self, outbox: OutboxId, tag: Tag) -> bool {
        let (here, before) = (Asker::Here(outbox, tag), self.transfers.len());
        self.transfers.retain(|transfer| transfer.asker != here);
        self.curious.remove(&(outbox, tag)).is_some() || self.transfers.len() < before
    }

    fn take_transfers(&mut self, mut wanted: impl FnMut(&Transfer) -> bool) -> Vec<Transfer> {
        let (taken, left) = core::mem::take(&mut self.transfers).into_iter().partition(|transfer| wanted(transfer));
        self.transfers = left;
        taken
    }
}

impl Replica {
    /// Takes a question for the members, or a transfer, of a client of this server. Its reply is awaited already.
    pub(crate) fn administer(&mut self, outbox: OutboxId, tag: Tag, request: Request, now: Now, out: &mut Effects) {
        if !self.is_following() {
            return self.decide_administration(Asker::Here(outbox, tag), &request.op, now, out);
        }
        let payload = encode_write(outbox, tag, u64::MAX, false, &request);
        if self.zab.to_leader(payload, &mut self.outputs).is_err() {
            return self.decide_administration(Asker::Here(outbox, tag), &request.op, now, out);
        }
        let from = self.leader();
        match request.op {
            Op::TransferLeadership { target } => self.await_transfer(Asker::Here(outbox, tag), target, from, now),
            _ => {
                let give_up_ms = now.monotonic_ms + limits::MEMBERS_WAIT_MS;
                self.administration.curious.insert((outbox, tag), give_up_ms);
            }
        }
        self.carry_out(now, out);
    }

    /// Likewise, at the server that has to know: the leader, if there is one.
    pub(crate) fn decide_administration(&mut self, asker: Asker, op: &Op, now: Now, out: &mut Effects) {
        let response = match op {
            Op::TransferLeadership { target } => match self.transfer(*target) {
                Ok(None) => return self.await_transfer(asker, *target, self.config.server, now),
                Ok(Some(reply)) => Ok(reply),
                Err(error) => Err(error),
            },
            _ => self.ensemble(),
        };
        // Rests on no state: it is true at once, wherever it is told.
        self.reply(asker, Zxid::ZERO, response, now, out);
    }

    fn ensemble(&self) -> Response {
        Ok(Reply::Ensemble(self.zab.ensemble().into()))
    }

    // ---- Who leads -------------------------------------------------------------------------------------------------

    /// Begins to hand over. An answer, if it is known by now.
    fn transfer(&mut self, target: Option<ServerId>) -> Result<Option<Reply>, Error> {
        if !self.is_established() {
            return Err(no_leader());
        }
        if target == Some(self.config.server) {
            return Ok(Some(Reply::LeadershipTransferred { leader: self.config.server }));
        }
        if let Some(target) = target {
            self.check_target(target)?;
        }
        match self.zab.transfer(target) {
            Ok(_) => Ok(None),
            Err(NotTransferred::NotLeading) => Err(no_leader()),
            Err(NotTransferred::Later) => {
                let detail = "the leader is between two epochs, or is handing over already; try again";
                Err(Error::new(Code::Unavailable, detail))
            }
            Err(NotTransferred::NoTarget) => {
                let detail = match target {
                    Some(target) => format!("server {target} is not connected and up to date"),
                    None => String::from("no other voter is connected and up to date"),
                };
                Err(Error::new(Code::ServersNotReady, detail))
            }
        }
    }

    fn check_target(&self, target: ServerId) -> Result<(), Error> {
        let configs = self.zab.history().configs();
        match configs.and_then(|configs| configs.newest()?.servers.get(&target)) {
            None => Err(Error::new(Code::NoServer, format!("the ensemble has no server {target}"))),
            Some(Member { role: MemberRole::Observer, .. }) => Err(Error::new(
                Code::BadArguments,
                format!("server {target} is an observer, and only a voter can lead"),
            )),
            Some(Member { role: MemberRole::Participant, .. }) => Ok(()),
        }
    }

    fn await_transfer(&mut self, asker: Asker, target: Option<ServerId>, from: ServerId, now: Now) {
        let give_up_ms = now.monotonic_ms + limits::TRANSFER_WAIT_MS;
        self.administration.transfers.push(Transfer { asker, target, from, give_up_ms });
    }

    /// Somebody leads, this server or another one.
    pub(crate) fn leader_found(&mut self, now: Now, out: &mut Effects) {
        let (leader, me) = (self.leader(), self.config.server);
        // If it is the same one as before, it may still be about to hand over; unless that is this server, who knows.
        let over = self.administration.take_transfers(|transfer| transfer.from != leader || leader == me);
        for Transfer { asker, target, from, .. } in over {
            let response = if leader != from && target.is_none_or(|target| target == leader) {
                Ok(Reply::LeadershipTransferred { leader })
            } else {
                Err(Error::new(
                    Code::ServersNotReady,
                    format!("leadership did not go where it was to go: server {leader} leads now"),
                ))
            };
            self.reply(asker, Zxid::ZERO, response, now, out);
        }
    }

    /// There is no leader any more. Whoever wants to know the members is told what this server knows; a transfer may
    /// just be taking place. Learners see for themselves.
    pub(crate) fn administration_lost_leader(&mut self, now: Now, out: &mut Effects) {
        self.administration.joined.clear();
        self.administration.transfers.retain(|transfer| matches!(transfer.asker, Asker::Here(..)));
        for (outbox, tag) in core::mem::take(&mut self.administration.curious).into_keys() {
            let response = self.ensemble();
            self.answer(outbox, tag, response, now, out);
        }
    }

    /// Answers those who have waited too long, and those whose transfer was given up.
    pub(crate) fn give_up_administration(&mut self, now: Now, out: &mut Effects) {
        let now_ms = now.monotonic_ms;
        let curious = self.administration.curious.extract_if(.., |_, give_up_ms| *give_up_ms <= now_ms);
        for ((outbox, tag), _) in curious.collect::<Vec<_>>() {
            let response = self.ensemble();
            self.answer(outbox, tag, response, now, out);
        }
        let goes_on = self.is_established() && !self.zab.is_handing_over();
        for Transfer { asker, .. } in self.administration.take_transfers(|_| goes_on) {
            let detail = format!("the other server did not take over in time; server {} goes on", self.config.server);
            self.reply(asker, Zxid::ZERO, Err(Error::new(Code::ServersNotReady, detail)), now, out);
        }
        for Transfer { asker, .. } in self.administration.take_transfers(|transfer| transfer.give_up_ms <= now_ms) {
            let detail = "nobody has taken over so far; whether somebody will is unknown";
            self.reply(asker, Zxid::ZERO, Err(Error::new(Code::Unavailable, detail)), now, out);
        }
    }

    // ---- Who belongs to the ensemble -------------------------------------------------------------------------------

    /// Changes the members, as their leader, who could propose now.
    pub(crate) fn reconfigure(
        &mut self,
        asker: Asker,
        change: &MembersChange,
        if_version: Option<Zxid>,
        now: Now,
        out: &mut Effects,
    ) {
        match self.begin_change(asker, change, if_version) {
            Ok(None) => self.carry_out(now, out),
            Ok(Some(members)) => self.conclude_without_txn(asker, Ok(Reply::Reconfigured(members)), now, out),
            Err(error) => self.conclude_without_txn(asker, Err(error), now, out),
        }
    }

    /// Begins a change, or joins the one that is under way. The members, if they are what is asked for already.
    fn begin_change(
        &mut self,
        asker: Asker,
        change: &MembersChange,
        if_version: Option<Zxid>,
    ) -> Result<Option<Members>, Error> {
        let configs = self.zab.history().configs();
        let newest = configs.and_then(|configs| configs.newest()).cloned().unwrap_or_default();
        let is_changing = configs.is_some_and(|configs| configs.pending().is_some());
        let wanted = Members { version: newest.version, servers: changed(&newest, change)? };
        match (wanted == newest, is_changing) {
            (true, false) => return Ok(Some(newest)),
            (true, true) => {
                self.administration.joined.entry(newest.version).or_default().push(asker);
                return Ok(None);
            }
            (false, _) => {}
        }
        let context = encode_route(asker.route(self.config.server));
        let begun = self.zab.reconfigure(wanted.servers.clone(), if_version, &context, &mut self.outputs);
        match begun {
            Ok(_) => Ok(None),
            Err(refused) => Err(self.not_reconfigured(refused, &wanted, if_version)),
        }
    }

    fn not_reconfigured(&self, refused: NotReconfigured, wanted: &Members, if_version: Option<Zxid>) -> Error {
        match refused {
            NotReconfigured::NotLeading | NotReconfigured::Later => no_leader(),
            NotReconfigured::InProgress => {
                let detail = "the ensemble is being changed already; try again when that is done";
                Error::new(Code::ReconfigInProgress, detail)
            }
            NotReconfigured::BadVersion { current } => {
                let expected = if_version.unwrap_or_default();
                let detail = format!("expected version {expected} of the configuration, found {current}");
                Error::new(Code::BadVersion, detail)
            }
            NotReconfigured::NoVoters => {
                Error::new(Code::BadArguments, "nobody would vote: at least one server has to")
            }
            NotReconfigured::NewQuorumNotReady => {
                let absent: Vec<String> =
                    self.zab.not_ready(wanted.voters()).iter().map(|id| format!("{id}")).collect();
                let detail = format!(
                    "a quorum of the new voters has to be connected and up to date; these are not: {}",
                    absent.join(", ")
                );
                Error::new(Code::ServersNotReady, detail)
            }
        }
    }

    /// A change has begun, and is committed.
    pub(crate) fn change_applied(&mut self, frame: &Frame) {
        let zxid = frame.zxid();
        let read = Members::of_reconfig(frame.payload()).and_then(|(_, context)| decode_route(context));
        match read {
            Ok(route) => self.administration.changing = Some((zxid, route)),
            Err(error) => panic!("the committed change of the members {zxid} cannot be read: {error}"),
        }
    }

    /// A configuration is the only one that counts from now on.
    pub(crate) fn change_final(&mut self, frame: &Frame, now: Now, out: &mut Effects) {
        let zxid = frame.zxid();
        let members = match Members::decode(&mut Reader::new(frame.payload())) {
            Ok(members) => members,
            Err(error) => panic!("the committed configuration {zxid} cannot be read: {error}"),
        };
        for asker in self.administration.joined.remove(&members.version).unwrap_or_default() {
            self.reply(asker, zxid, Ok(Reply::Reconfigured(members.clone())), now, out);
        }
        let Some((version, Route { server, outbox, tag })) = self.administration.changing.take() else { return };
        if version == members.version && server == self.config.server {
            self.forwarded.remove(&(outbox, tag));
            self.answer_at(zxid, outbox, tag, Ok(Reply::Reconfigured(members)), now, out);
        }
    }
}

/// What a change makes of the members.
fn changed(present: &Members, change: &MembersChange) -> Result<BTreeMap<ServerId, Member>, Error> {
    let mut servers = present.servers.clone();
    let added = match change {
        MembersChange::Whole(whole) => {
            servers.retain(|server, _| whole.contains_key(server));
            whole
        }
        MembersChange::Steps { add, remove } => {
            if let Some(server) = remove.iter().find(|server| add.contains_key(server)) {
                let detail = format!("server {server} cannot both join and leave");
                return Err(Error::new(Code::BadArguments, detail));
            }
            servers.retain(|server, _| !remove.contains(server));
            add
        }
    };
    for (server, NewMember { role, address }) in added {
        let address = match (address, servers.get(server)) {
            (Some(address), _) => address.clone(),
            (None, Some(member)) => member.address.clone(),
            (None, None) => {
                let detail = format!("the ensemble has no server {server}; to add it, say how it is reached");
                return Err(Error::new(Code::NoServer, detail));
            }
        };
        servers.insert(*server, Member { role: *role, address });
    }
    Ok(servers)
}

fn encode_route(route: Route) -> Vec<u8> {
    let mut out = Vec::with_capacity(17);
    out.put_u8(route.server.0);
    out.put_u64_le(route.outbox.0);
    out.put_u64_le(route.tag.0);
    out
}

/// Nobody waits for a change that somebody else than a client has made.
fn decode_route(context: Bytes) -> Result<Route, DecodeError> {
    if context.is_empty() {
        return Ok(Route::default());
    }
    let mut reader = Reader::new(context);
    let route = Route { server: ServerId(reader.u8()?), outbox: OutboxId(reader.u64()?), tag: Tag(reader.u64()?) };
    reader.finish()?;
    Ok(route)
}

#[cfg(test)]
mod tests;
