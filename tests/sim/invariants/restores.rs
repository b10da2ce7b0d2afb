//! RestoreTruth: a backup becomes the state whole and in one txn, from steps of one epoch; until then nothing changes; and
//! who restores it is told what has come of that.
//!
//! After it, the state is what some of the history has led to: everything up to the backup, and everything since.

use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_tree::Tree;
use quorate_types::{Code, OutboxId, Reply, Response, Restore, Route, ServerId, Tag, Zxid};

use crate::sim::backup::Backup;

/// Who asked for a step.
pub(crate) type Asker = (ServerId, OutboxId, Tag);

/// What an answer to a step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// By this txn.
    Done(Zxid),
    Refused,
    /// It may be made, or not.
    Unknown,
}

/// What the history has gathered of a backup.
struct Gathering {
    id: Zxid,
    backup: Zxid,
    chunks: u32,
    content: Vec<u8>,
}

/// All restores of a run.
#[derive(Default)]
pub(crate) struct Restores {
    backups: Vec<Rc<Backup>>,
    gathering: Option<Gathering>,
    /// By the txn that has made it the state.
    done: BTreeMap<Zxid, Rc<Backup>>,
    steps: BTreeMap<Asker, Zxid>,
    refused: Vec<Asker>,
    /// Those of which something was gathered in vain.
    pub(crate) dropped: u64,
}

impl Restores {
    /// Somebody has a backup, and may restore it.
    pub(crate) fn kept(&mut self, backup: &Rc<Backup>) {
        self.backups.push(Rc::clone(backup));
    }

    /// How many backups have become the state, and how many of these were of another ensemble.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let foreign = self.done.values().filter(|backup| !backup.is_own).count();
        (self.done.len() as u64, foreign as u64)
    }

    /// A marker is committed.
    pub(crate) fn epoch_began(&mut self) {
        self.dropped += u64::from(self.gathering.take().is_some());
    }

    /// A step is committed. Returns the backup that is the state from there on.
    pub(crate) fn committed(&mut self, zxid: Zxid, route: Route, step: &Restore) -> Option<Rc<Backup>> {
        self.steps.insert((route.server, route.outbox, route.tag), zxid);
        let open = self.gathering.as_ref().map(|gathering| gathering.id);
        match step {
            Restore::Begin { backup } => {
                assert_eq!(open, None, "RestoreTruth: another restore begins at {zxid:?}");
                assert!(*backup < zxid, "RestoreTruth: one of {backup:?} begins at {zxid:?}");
                let (chunks, content) = (0, Vec::new());
                self.gathering = Some(Gathering { id: zxid, backup: *backup, chunks, content });
                return None;
            }
            Restore::Chunk { id, .. } | Restore::Finish { id, .. } | Restore::Abort { id } => {
                assert_eq!(open, Some(*id), "RestoreTruth: a step at {zxid:?} belongs to what was given up");
            }
        }
        match (step, self.gathering.as_mut()) {
            (Restore::Chunk { index, bytes, .. }, Some(gathering)) => {
                assert_eq!(gathering.chunks, *index, "RestoreTruth: chunks are left out at {zxid:?}");
                gathering.chunks += 1;
                gathering.content.extend_from_slice(bytes);
            }
            (Restore::Finish { .. }, Some(gathering)) => {
                let is_it = |kept: &&Rc<Backup>| kept.zxid == gathering.backup && kept.content == gathering.content;
                let backup = self.backups.iter().find(is_it).cloned();
                let backup =
                    backup.unwrap_or_else(|| panic!("RestoreTruth: nobody has backed up what {zxid:?} restores"));
                self.gathering = None;
                self.done.insert(zxid, Rc::clone(&backup));
                return Some(backup);
            }
            (Restore::Abort { .. }, _) => self.epoch_began(),
            _ => {}
        }
        None
    }

    /// The last restore that the state at `at` comes after; before everything if there is none.
    pub(crate) fn last(&self, at: Zxid) -> Zxid {
        self.done.range(..=at).next_back().map_or(Zxid::ZERO, |(zxid, _)| *zxid)
    }

    /// Whether what the txn at `zxid` did is part of the state at `at`.
    pub(crate) fn is_part_of(&self, zxid: Zxid, mut at: Zxid) -> bool {
        while let Some((restored, backup)) = self.done.range(..=at).next_back()
            && *restored >= zxid
        {
            if !backup.is_own {
                return false;
            }
            at = backup.zxid;
        }
        zxid <= at
    }

    /// Judges an answer; `is_good` if the step was one that the backup asks for, after nothing but such.
    pub(crate) fn told(&mut self, asker: Asker, step: &Restore, is_good: bool, response: &Response) -> Verdict {
        let error = match response {
            Ok(Reply::RestoreStep { zxid }) => {
                let made = self.steps.get(&asker);
                assert_eq!(made, Some(zxid), "RestoreTruth: {asker:?} is told that {step:?} was made");
                return Verdict::Done(*zxid);
            }
            Ok(other) => panic!("RestoreTruth: {step:?} is answered with {other:?}"),
            Err(error) => error,
        };
        match error.code() {
            Code::Unavailable | Code::DeadlineExceeded => return Verdict::Unknown,
            Code::RestoreInProgress if matches!(step, Restore::Begin { .. }) => {}
            Code::BadArguments => assert!(!is_good, "RestoreTruth: a good backup is refused: {step:?}, {error:?}"),
            Code::DiskFull | Code::Throttled => {}
            other => panic!("RestoreTruth: {step:?} is refused with {other:?}"),
        }
        self.refused.push(asker);
        Verdict::Refused
    }

    /// The history has led to this state: if a backup was restored there, that is the state.
    pub(crate) fn check_state(&self, tree: &mut Tree) {
        if let Some(backup) = self.done.get(&tree.applied()) {
            backup.check(tree);
        }
    }

    /// At the end of a run.
    pub(crate) fn check(&self) {
        for refused in &self.refused {
            let made = self.steps.get(refused);
            assert_eq!(made, None, "RestoreTruth: the step of {refused:?} was refused, and is made");
        }
    }
}
