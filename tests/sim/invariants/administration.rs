//! ConfigSafety, AdminTruth: who asks for other members, or another leader, is told that it is done when it is, and that it
//! is refused only if it is never done. The records themselves are judged in `history`.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};
use quorate_types::{
    Code, Ensemble, Error, Member, Members, MembersChange, Op, OutboxId, Reply, Response, ServerId, Tag, Zxid,
};

use super::history::History;

/// What was asked for, and when.
pub(crate) struct Asked {
    pub(crate) tag: Tag,
    pub(crate) op: Op,
    pub(crate) since_us: u64,
    /// The version that was final by then.
    version: Zxid,
}

impl Asked {
    pub(crate) fn new(tag: Tag, op: Op, since_us: u64, history: &History) -> Asked {
        Asked { tag, op, since_us, version: history.final_members().version }
    }
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Refused,
    /// It may be done, or not.
    Unknown,
}

/// All that was answered.
#[derive(Default)]
pub(crate) struct Administration {
    /// Where the answer to a change went that was refused.
    refused: BTreeSet<(ServerId, OutboxId, Tag)>,
    led: BTreeSet<ServerId>,
    pub(crate) changed: u64,
    pub(crate) handed_over: u64,
}

impl Administration {
    /// A server leads.
    pub(crate) fn leads(&mut self, server: ServerId) {
        self.led.insert(server);
    }

    /// An answer has come.
    pub(crate) fn judge(
        &mut self,
        asked: &Asked,
        server: ServerId,
        outbox: OutboxId,
        response: &Response,
        history: &History,
    ) -> Verdict {
        match (&asked.op, response) {
            (Op::Members, Ok(Reply::Ensemble(ensemble))) => check_ensemble(ensemble, history),
            (Op::Reconfigure { change, .. }, Ok(Reply::Reconfigured(members))) => {
                self.changed += u64::from(members.version > asked.version);
                check_members(change, members, history);
            }
            (Op::TransferLeadership { target }, Ok(Reply::LeadershipTransferred { leader })) => {
                self.handed_over += u64::from(*leader != server);
                assert!(self.led.contains(leader), "AdminTruth: {leader:?} has never led");
                let is_right = target.is_none_or(|target| target == *leader);
                assert!(is_right, "AdminTruth: {leader:?} leads, and {target:?} was to lead");
            }
            (_, Err(error)) => return self.judge_refusal(asked, (server, outbox), error, history),
            (op, answer) => panic!("AdminTruth: {op:?} is answered with {answer:?}"),
        }
        Verdict::Done
    }

    fn judge_refusal(
        &mut self,
        asked: &Asked,
        (server, outbox): (ServerId, OutboxId),
        error: &Error,
        history: &History,
    ) -> Verdict {
        match error.code() {
            Code::Unavailable | Code::DeadlineExceeded => return Verdict::Unknown,
            Code::BadVersion => {
                let Op::Reconfigure { if_version: Some(expected), .. } = asked.op else {
                    panic!("AdminTruth: {:?} is refused with {error:?}", asked.op)
                };
                let was_so = asked.version == expected && history.newest_version() == expected;
                assert!(!was_so, "AdminTruth: the version was {expected:?} all the time, and is said to be another");
            }
            Code::ReconfigInProgress
            | Code::ServersNotReady
            | Code::NoServer
            | Code::BadArguments
            | Code::DiskFull
            | Code::Throttled => {}
            other => panic!("AdminTruth: {:?} is refused with {other:?}", asked.op),
        }
        self.refused.insert((server, outbox, asked.tag));
        Verdict::Refused
    }

    /// At the end of a run.
    pub(crate) fn check(&self, history: &History) {
        for frame in history.reconfigs() {
            let (_, mut asker) = Members::of_reconfig(frame.payload()).expect("a record that was applied can be read");
            let asker: (ServerId, OutboxId, Tag) = route(&mut asker);
            assert!(!self.refused.contains(&asker), "AdminTruth: {:?} was refused, and is done", frame.zxid());
        }
    }
}

/// Who is told of a change, as its record says.
fn route(context: &mut Bytes) -> (ServerId, OutboxId, Tag) {
    (ServerId(context.get_u8()), OutboxId(context.get_u64_le()), Tag(context.get_u64_le()))
}

/// The members that somebody is told of are those of the version that he is told of.
fn check_ensemble(ensemble: &Ensemble, history: &History) {
    if ensemble.told_by != ensemble.leader {
        // Whoever does not lead says what he was told when he was started, and by hearsay.
        return;
    }
    let newest = ensemble.pending.unwrap_or(ensemble.version);
    let known = history.members_of(newest).unwrap_or_else(|| panic!("ConfigSafety: nobody has logged {newest:?}"));
    for member in &ensemble.members {
        let role = known.servers.get(&member.server).map(|member| member.role);
        // During a change those of both configurations are told of.
        let is_right = role == member.role || (role.is_none() && ensemble.pending.is_some());
        assert!(is_right, "ConfigSafety: told of {member:?}, which is {role:?} in {newest:?}");
    }
}

/// What is done is final, and is what was asked for.
fn check_members(change: &MembersChange, members: &Members, history: &History) {
    assert!(history.is_final(members.version), "ConfigSafety: {:?} is told, and is not final", members.version);
    assert_eq!(history.members_of(members.version), Some(members), "ConfigSafety: other members are told");
    let has = |server: &ServerId, role| members.servers.get(server).is_some_and(|member: &Member| member.role == role);
    let (add, is_whole) = match change {
        MembersChange::Whole(whole) => (whole, members.servers.len() == whole.len()),
        MembersChange::Steps { add, remove } => {
            (add, remove.iter().all(|server| !members.servers.contains_key(server)))
        }
    };
    let is_so = is_whole && add.iter().all(|(server, member)| has(server, member.role));
    assert!(is_so, "AdminTruth: {change:?} is said to be done, and the members are {members:?}");
}
