//! `Restoring`: the state of a backup, gathered aside until it becomes the state.
//!
//! A chunk is decoded when it is applied, so that the last step has little left to do. What is aside is part of no snapshot
//! and of no digest, and it dies with the epoch in which it began: so a snapshot and the log after it always lead to the
//! same state, and no server need ask another how far a restore has come.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use quorate_types::mutation::mutated;
use quorate_types::{Code, Error, Restore, SessionId, Zxid};

use crate::digest::Digest;
use crate::requests::Requests;
use crate::{SnapshotDecoder, SnapshotError, Tree, reserved};

/// A restore that is under way.
#[derive(Debug)]
pub(crate) struct Restoring {
    /// Its first step.
    id: Zxid,
    /// The state that is to come is the one at this zxid.
    backup: Zxid,
    /// Chunks so far.
    chunks: u32,
    decoder: SnapshotDecoder,
    /// What is wrong with it: then it can only be aborted.
    failed: Option<SnapshotError>,
}

impl Tree {
    /// The restore that is under way.
    #[must_use]
    pub fn restoring(&self) -> Option<Zxid> {
        self.restoring.as_ref().map(|restoring| restoring.id)
    }

    /// Whether a step can be the txn at `zxid`, with nothing pending that is a step as well.
    ///
    /// # Errors
    /// What the client is told.
    pub(crate) fn check_restore(&self, zxid: Zxid, step: &Restore) -> Result<(), Error> {
        match step {
            Restore::Begin { .. } if self.restoring.is_some() => {
                let detail = "a backup is being restored already; wait until that is done, or given up";
                Err(Error::new(Code::RestoreInProgress, detail))
            }
            Restore::Begin { backup } if *backup >= zxid => {
                let detail = format!("the backup is of zxid {backup}, and this would be {zxid}");
                Err(Error::new(Code::BadArguments, detail))
            }
            Restore::Begin { .. } => Ok(()),
            Restore::Chunk { id, index, .. } => {
                let restoring = self.restore_named(*id)?;
                match (&restoring.failed, restoring.chunks) {
                    (Some(error), _) => Err(not_good(error)),
                    (None, next) if next == *index => Ok(()),
                    (None, next) => Err(Error::new(
                        Code::BadArguments,
                        format!("chunk {index} of the backup was sent where chunk {next} has to come"),
                    )),
                }
            }
            Restore::Finish { id, digest } => self.restore_named(*id)?.check(*digest),
            Restore::Abort { id } => self.restore_named(*id).map(drop),
        }
    }

    fn restore_named(&self, id: Zxid) -> Result<&Restoring, Error> {
        self.restoring.as_deref().filter(|restoring| restoring.id == id).ok_or_else(|| {
            let detail = "this restore was given up, because the leader has changed or nothing came of it for too long; \
                          nothing was restored. Begin again";
            Error::new(Code::Unavailable, detail)
        })
    }

    /// Takes a step that was agreed on.
    pub(crate) fn apply_restore(&mut self, zxid: Zxid, step: &Restore) {
        match step {
            Restore::Begin { backup } => {
                assert!(self.restoring.is_none(), "a second restore begins at {zxid:?}");
                let decoder = SnapshotDecoder::new(self.hash_seed);
                let restoring = Restoring { id: zxid, backup: *backup, chunks: 0, decoder, failed: None };
                self.restoring = Some(Box::new(restoring));
            }
            Restore::Chunk { id, index, bytes } => {
                let restoring = self.restoring.as_mut().filter(|restoring| restoring.id == *id);
                let restoring = restoring.unwrap_or_else(|| panic!("{zxid:?} belongs to no restore: {id:?}"));
                assert_eq!(restoring.chunks, *index, "a chunk was left out before {zxid:?}");
                restoring.take(bytes);
            }
            Restore::Finish { id, digest } => {
                let restoring = self.restoring.take().filter(|restoring| restoring.id == *id);
                let restoring = restoring.unwrap_or_else(|| panic!("{zxid:?} finishes no restore: {id:?}"));
                if let Err(error) = restoring.check(*digest) {
                    panic!("the restore that ends at {zxid:?} cannot: {error}");
                }
                self.become_restored(restoring.decoder);
            }
            Restore::Abort { .. } => self.restoring = None,
        }
    }

    /// The state is the restored one from here on, with the present zxid and time. Whoever had a session then has none any
    /// more, so what went with sessions goes now.
    fn become_restored(&mut self, decoder: SnapshotDecoder) {
        let mut tree = decoder.finish().expect("it was checked");
        let (zxid, time_ms) = (self.applied, self.last_time_ms.max(tree.last_time_ms));
        (tree.applied, tree.last_time_ms) = (zxid, time_ms);
        let sessions: Vec<SessionId> = tree.sessions().map(|session| session.id).collect();
        for session in sessions.into_iter().filter(|_| !mutated("session-outlives-restore")) {
            tree.end_session(zxid, time_ms, session);
        }
        tree.requests.clear(&mut tree.digest);
        // A million znodes take longer to be freed than anybody should wait.
        tree.replaced = core::mem::take(&mut self.slab);
        *self = tree;
    }
}

impl Restoring {
    fn take(&mut self, bytes: &[u8]) {
        self.chunks += 1;
        if self.failed.is_none() {
            self.failed = self.decoder.push(bytes).err();
        }
        if self.failed.is_none() && self.decoder.zxid().is_some_and(|zxid| zxid != self.backup) {
            self.failed = Some(SnapshotError::Invalid("zxid"));
        }
    }

    /// Whether it can become the state.
    fn check(&self, digest: u128) -> Result<(), Error> {
        let checked = match &self.failed {
            Some(error) => Err(*error),
            None => self.decoder.check(),
        };
        checked.map_err(|error| not_good(&error))?;
        if self.decoder.digest() != digest {
            return Err(Error::new(Code::BadArguments, "the backup says that it holds another state than it does"));
        }
        if reserved::PATHS.iter().any(|path| !self.decoder.has(path)) {
            return Err(Error::new(Code::BadArguments, "the backup lacks znodes that are always there"));
        }
        Ok(())
    }
}

impl Requests {
    /// Forgets everything.
    fn clear(&mut self, digest: &mut Digest) {
        self.subtract_all(digest);
        *self = Requests::default();
    }
}

fn not_good(error: &SnapshotError) -> Error {
    Error::new(Code::BadArguments, format!("the backup cannot be restored: {error}"))
}
