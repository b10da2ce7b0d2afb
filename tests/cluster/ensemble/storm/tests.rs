//! The judges themselves: each history here is right but for one thing, which has to be found.

use std::collections::BTreeMap;
use std::time::Instant;

use quorate_client::{Event, EventKind, Stat};
use quorate_tests::model::{Ask, Model};
use quorate_types::{
    Caller, Change, ChangeKind, CreateMode, Op, Precondition, ReadOp, Reply, SessionId, WriteOp, Zxid,
};

use super::blind;
use super::clients::{COUNTER, GUARDED, LOCK, MEMBERS, QUEUE, REGISTER, SEQUENCE};
use super::door::{create, create_as, delete, get, list, path, set_data};
use super::journal::{Answer, Entry};
use super::replay::{check_order, replay};
use super::watchers::Txn;

/// What happens when requests come one after the other and nothing goes wrong.
struct Story {
    base: Model,
    model: Model,
    entries: Vec<Entry>,
    txns: BTreeMap<u64, Txn>,
    zxid: u64,
    now: u64,
}

impl Story {
    /// Begins with what clients expect to be there.
    fn new() -> Story {
        let mut story = Story {
            base: Model::new(),
            model: Model::new(),
            entries: Vec::new(),
            txns: BTreeMap::new(),
            zxid: 0,
            now: 1,
        };
        for parent in [MEMBERS, SEQUENCE, QUEUE, GUARDED] {
            story.write(create(parent, "".into()));
        }
        story.entries.clear();
        story.txns.clear();
        story.base = story.model.clone();
        story
    }

    fn write(&mut self, op: WriteOp) -> Reply {
        self.ask(Op::Write(op))
    }

    fn ask(&mut self, op: Op) -> Reply {
        self.zxid += 1;
        let zxid = Zxid(self.zxid);
        let ask = Ask {
            op: op.clone(),
            caller: Caller::anonymous(),
            session: SessionId::NONE,
            request_id: None,
            zxid,
            wall_ms: self.zxid as i64,
            new_session: SessionId::NONE,
        };
        let outcome = self.model.write(&ask);
        self.txns.insert(self.zxid, outcome.changes.iter().map(event).collect());
        let reply = outcome.response.unwrap();
        self.add(op, false, zxid, reply.clone());
        reply
    }

    fn read(&mut self, op: ReadOp) {
        let reply = self.model.read(&op, &Caller::anonymous(), SessionId::NONE).unwrap();
        self.add(Op::Read { op, watch: false }, true, Zxid(self.zxid), reply);
    }

    fn add(&mut self, op: Op, is_linearizable: bool, zxid: Zxid, reply: Reply) {
        let (called, at) = (self.now, self.now + 1);
        self.now += 2;
        let answer = Answer::Done { at, zxid, reply };
        let (began, ended) = (Instant::now(), Instant::now());
        let (client, session) = (0, SessionId::NONE);
        self.entries.push(Entry { client, op, session, is_linearizable, called, answer, began, ended });
    }

    /// A bit of everything.
    fn whole() -> Story {
        let mut story = Story::new();
        let (register, counter) = (format!("{REGISTER}0"), format!("{COUNTER}0"));
        story.write(create(&register, "r0".into()));
        story.write(set_data(&register, "r1".into(), Precondition::Version(0)));
        story.read(get(&register));
        story.write(create(&counter, "0:c0".into()));
        story.write(set_data(&counter, "1:c1".into(), Precondition::None));
        story.write(set_data(&counter, "2:c2".into(), Precondition::None));
        story.write(create(&format!("{MEMBERS}/one"), "m1".into()));
        story.write(create(&format!("{MEMBERS}/two"), "m2".into()));
        story.read(list(MEMBERS));
        for token in ["s1", "s2"] {
            story.write(create_as(&format!("{SEQUENCE}/n-"), token.into(), CreateMode::PersistentSequential));
        }
        for token in ["q1", "q2"] {
            story.write(create(&format!("{QUEUE}/{token}"), token.into()));
        }
        story.read(list(QUEUE));
        story.write(delete(&format!("{QUEUE}/q1"), Precondition::None));
        story.read(list(QUEUE));
        for token in ["l1", "l2"] {
            let Reply::Created { stat, .. } = story.write(create(LOCK, token.into())) else { panic!("a lock") };
            let guard = WriteOp::Check { path: path(LOCK), precondition: Precondition::Mzxid(stat.czxid) };
            let change = set_data(GUARDED, format!("g-{token}").into(), Precondition::None);
            story.ask(Op::Multi(vec![guard, change]));
            story.write(delete(LOCK, Precondition::Mzxid(stat.czxid)));
        }
        story
    }

    fn judge(&self) {
        replay(self.base.clone(), &self.entries, &self.txns);
        check_order(&self.entries);
        blind::check_znodes(&self.entries, self.now);
        blind::check_counters(&self.entries);
        blind::check_lists(&self.entries);
        blind::check_fencing(&self.entries);
    }

    /// The entry of the write whose data is this.
    fn entry(&mut self, token: &str) -> &mut Entry {
        let is_it = |entry: &&mut Entry| match &entry.op {
            Op::Write(WriteOp::Create { data, .. } | WriteOp::SetData { data, .. }) => {
                data.as_ref().is_some_and(|data| data == token)
            }
            _ => false,
        };
        self.entries.iter_mut().find(is_it).unwrap()
    }

    /// The last list of a parent's children.
    fn listed(&mut self, parent: &str) -> &mut Vec<quorate_types::Child> {
        let mut lists = self.entries.iter_mut().rev().filter_map(|entry| match (&entry.op, &mut entry.answer) {
            (
                Op::Read { op: ReadOp::Children { path, .. }, .. },
                Answer::Done { reply: Reply::Children { children, .. }, .. },
            ) if path.as_str() == parent => Some(children),
            _ => None,
        });
        lists.next().unwrap()
    }
}

fn event(change: &Change) -> Event {
    let stat = change.stat;
    Event {
        zxid: change.zxid.0,
        index: change.index,
        kind: match change.kind {
            ChangeKind::Created => EventKind::Created,
            ChangeKind::Deleted => EventKind::Deleted,
            ChangeKind::DataChanged => EventKind::Changed,
        },
        path: change.path.clone(),
        stat: Stat {
            czxid: stat.czxid.0,
            mzxid: stat.mzxid.0,
            pzxid: stat.pzxid.0,
            ctime_ms: stat.ctime_ms,
            mtime_ms: stat.mtime_ms,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            ephemeral_owner: stat.ephemeral_owner.0,
            data_length: stat.data_length,
            num_children: stat.num_children,
        },
        data: change.data.clone(),
        previous_data: None,
    }
}

#[test]
fn a_history_in_which_nothing_went_wrong_is_accepted() {
    Story::whole().judge();
    let mut in_doubt = Story::whole();
    in_doubt.entry("r1").answer = Answer::Unknown;
    in_doubt.judge();
}

#[test]
#[should_panic(expected = "no watch was told")]
fn an_acknowledged_write_that_is_gone_is_found() {
    let mut story = Story::whole();
    let zxid = story.entry("s2").txn().unwrap();
    story.txns.remove(&zxid.0);
    replay(story.base, &story.entries, &story.txns);
}

#[test]
#[should_panic(expected = "or not again")]
fn a_write_that_was_made_twice_is_found() {
    let mut story = Story::new();
    story.write(create(&format!("{SEQUENCE}/n-1"), "same".into()));
    story.write(create(&format!("{SEQUENCE}/n-2"), "same".into()));
    story.entries.truncate(1);
    story.entries[0].answer = Answer::Unknown;
    replay(story.base, &story.entries, &story.txns);
}

#[test]
#[should_panic(expected = "is told")]
fn a_change_that_is_told_wrongly_is_found() {
    let mut story = Story::whole();
    let zxid = story.entry("r1").txn().unwrap();
    story.txns.get_mut(&zxid.0).unwrap()[0].stat.version += 1;
    replay(story.base, &story.entries, &story.txns);
}

#[test]
#[should_panic(expected = "looks different")]
fn a_read_of_a_state_that_never_was_is_found() {
    let mut story = Story::whole();
    let at =
        story.entries.iter().position(|entry| matches!(entry.answer, Answer::Done { reply: Reply::Data { .. }, .. }));
    let Answer::Done { reply: Reply::Data { data, .. }, .. } = &mut story.entries[at.unwrap()].answer else { panic!() };
    *data = Some("r0".into());
    replay(story.base, &story.entries, &story.txns);
}

#[test]
#[should_panic(expected = "was acknowledged or seen before")]
fn a_read_of_the_past_is_found_by_its_zxid() {
    let mut story = Story::whole();
    let (register, before) = (format!("{REGISTER}0"), story.zxid);
    story.write(set_data(&register, "r2".into(), Precondition::None));
    story.read(get(&register));
    let last = story.entries.last_mut().unwrap();
    last.client = 1;
    let Answer::Done { zxid, .. } = &mut last.answer else { panic!("it was answered") };
    *zxid = Zxid(before);
    check_order(&story.entries);
}

#[test]
#[should_panic(expected = "not linearizable")]
fn a_read_of_the_past_is_found_without_its_zxid() {
    let mut story = Story::whole();
    let register = format!("{REGISTER}0");
    story.read(get(&register));
    let stale = story.entries.pop().unwrap();
    story.write(set_data(&register, "r2".into(), Precondition::None));
    story.entries.push(Entry { called: story.now, ..stale });
    let Answer::Done { at, .. } = &mut story.entries.last_mut().unwrap().answer else { panic!("it was answered") };
    *at = story.now + 1;
    blind::check_znodes(&story.entries, story.now + 2);
}

#[test]
#[should_panic(expected = "an increment is lost")]
fn a_lost_increment_is_found() {
    let mut story = Story::whole();
    story.write(set_data(&format!("{COUNTER}0"), "2:c3".into(), Precondition::None));
    blind::check_counters(&story.entries);
}

#[test]
#[should_panic(expected = "is missing")]
fn a_member_that_is_missing_in_a_list_is_found() {
    let mut story = Story::whole();
    story.listed(MEMBERS).pop();
    blind::check_lists(&story.entries);
}

#[test]
#[should_panic(expected = "comes from nowhere")]
fn a_member_that_nobody_added_is_found() {
    let mut story = Story::whole();
    story.listed(MEMBERS)[0].name = "three".to_owned();
    blind::check_lists(&story.entries);
}

#[test]
#[should_panic(expected = "after it was removed")]
fn a_job_that_is_there_again_is_found() {
    let mut story = Story::whole();
    story.listed(QUEUE)[0].name = "q1".to_owned();
    blind::check_lists(&story.entries);
}

#[test]
#[should_panic(expected = "taken twice")]
fn a_job_that_was_taken_twice_is_found() {
    let mut story = Story::whole();
    let taken = story.entries.iter().find(|entry| entry.deletes().is_some_and(|path| path.starts_with(QUEUE)));
    let again = taken.unwrap().clone();
    story.entries.push(again);
    blind::check_lists(&story.entries);
}

#[test]
#[should_panic(expected = "comes after")]
fn a_fencing_token_that_is_too_small_is_found() {
    let mut story = Story::whole();
    let first = story.entry("l1").txn().unwrap();
    let Answer::Done { reply: Reply::Created { stat, .. }, .. } = &mut story.entry("l2").answer else {
        panic!("a lock")
    };
    stat.czxid = Zxid(first.0 - 1);
    blind::check_fencing(&story.entries);
}

#[test]
#[should_panic(expected = "is newer")]
fn a_change_by_somebody_who_has_lost_the_lock_is_found() {
    let mut story = Story::whole();
    let is_guarded = |entry: &&Entry| matches!(entry.op, Op::Multi(_));
    let mut late = story.entries.iter().find(is_guarded).unwrap().clone();
    late.called = story.now;
    story.entries.push(late);
    blind::check_fencing(&story.entries);
}
