//! Who votes, and what a quorum is: one predicate for every gate of the protocol.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use quorate_types::codec::{DecodeError, Reader};
use quorate_types::mutation::mutated;
use quorate_types::{Frame, FrameKind, Member, Members, ServerId, Zxid};

/// The configurations that are active: one, or two during the joint phase of a reconfiguration. None at all on a server
/// that knows no history yet: nothing is a quorum then.
///
/// Invariant: a pure function of the log. A configuration takes effect when its record is appended and is undone
/// when that record is truncated; whether it is committed plays no part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configs(Vec<Members>);

impl Configs {
    /// The configuration that an ensemble with these voters begins with.
    ///
    /// # Panics
    /// If there are none: such an ensemble could never decide anything.
    #[must_use]
    pub fn new(voters: impl IntoIterator<Item = ServerId>) -> Configs {
        Configs::of(Members::founding(voters))
    }

    /// One configuration.
    ///
    /// # Panics
    /// If nobody votes in it.
    #[must_use]
    pub fn of(members: Members) -> Configs {
        assert!(members.voters().next().is_some(), "a configuration without voters");
        Configs(vec![members])
    }

    /// What a record makes of them; `None` if it leaves them as they are.
    ///
    /// # Panics
    /// If the record cannot be read: a server that does not understand what was agreed on must not go on without it.
    #[must_use]
    pub fn after(&self, frame: &Frame) -> Option<Configs> {
        let read = match frame.kind() {
            FrameKind::Txn => return None,
            FrameKind::Marker => Configs::decode(&mut Reader::new(frame.payload().slice(1..))),
            FrameKind::Reconfig => Members::decode(&mut Reader::new(frame.payload()))
                .map(|new| Configs(self.0.last().cloned().into_iter().chain([new]).collect())),
            FrameKind::ConfigFinal => Members::decode(&mut Reader::new(frame.payload())).map(Configs::of),
        };
        match read {
            Ok(configs) => Some(configs),
            Err(error) => panic!("the configuration at {:?} cannot be read: {error}", frame.zxid()),
        }
    }

    /// Whether the servers for which `belongs` holds contain a majority of the voters of every active configuration.
    pub fn is_quorum(&self, belongs: impl Fn(ServerId) -> bool) -> bool {
        let has_majority = |members: &Members| {
            let (mut voters, mut present) = (0, 0);
            for server in members.voters() {
                voters += 1;
                present += usize::from(belongs(server));
            }
            2 * present > voters
        };
        !self.0.is_empty() && self.0.iter().all(has_majority)
    }

    /// The greatest zxid that a quorum of every active configuration has reached, given what each server has.
    pub fn reached(&self, has: impl Fn(ServerId) -> Zxid) -> Zxid {
        let reached_by_majority = |members: &Members| {
            let mut zxids: Vec<Zxid> = members.voters().map(&has).collect();
            let middle = zxids.len() / 2;
            if mutated("count-observers") {
                zxids.extend(
                    members.servers.keys().filter(|server| !members.is_voter(**server)).map(|server| has(*server)),
                );
            }
            zxids.sort_unstable_by(|a, b| b.cmp(a));
            zxids[middle]
        };
        let active = match self.0.as_slice() {
            [old, _] if mutated("commit-by-old-alone") => core::slice::from_ref(old),
            [_, new] if mutated("commit-by-new-alone") => core::slice::from_ref(new),
            active => active,
        };
        active.iter().map(reached_by_majority).min().unwrap_or(Zxid::ZERO)
    }

    /// Whether `server` votes in an active configuration.
    #[must_use]
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.0.iter().any(|members| members.is_voter(server))
    }

    /// Whether `server` belongs to an active configuration, voting or not.
    #[must_use]
    pub fn is_member(&self, server: ServerId) -> bool {
        self.0.iter().any(|members| members.servers.contains_key(&server))
    }

    /// Everybody who votes in an active configuration.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> {
        let voters: alloc::collections::BTreeSet<ServerId> = self.0.iter().flat_map(Members::voters).collect();
        voters.into_iter()
    }

    /// Everybody who belongs to an active configuration, as the newest of them describes him.
    #[must_use]
    pub fn servers(&self) -> BTreeMap<ServerId, Member> {
        self.0.iter().flat_map(|members| members.servers.clone()).collect()
    }

    /// The configuration that is in force, or, while another one is being introduced, that is being left.
    #[must_use]
    pub fn present(&self) -> Option<&Members> {
        self.0.first()
    }

    /// The newest configuration, if there is one.
    #[must_use]
    pub fn newest(&self) -> Option<&Members> {
        self.0.last()
    }

    /// The configuration that is being introduced: two are active until its [`FrameKind::ConfigFinal`].
    #[must_use]
    pub fn pending(&self) -> Option<&Members> {
        self.0.get(1)
    }

    /// Those who belong to a configuration that is being left and not to the one that is being introduced.
    pub(crate) fn leaving(&self) -> Vec<ServerId> {
        let (Some(old), Some(new)) = (self.0.first(), self.0.get(1)) else { return Vec::new() };
        old.servers.keys().filter(|server| !new.servers.contains_key(server)).copied().collect()
    }

    /// The binary form: `count u8 | members ...`.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = vec![self.0.len() as u8];
        self.0.iter().for_each(|members| members.encode(&mut bytes));
        Bytes::from(bytes)
    }

    /// Takes the binary form off a reader.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub fn decode(reader: &mut Reader) -> Result<Configs, DecodeError> {
        let count = reader.u8()?;
        if !(1..=2).contains(&count) {
            return Err(DecodeError::Invalid("number of active configurations"));
        }
        let configs: Vec<Members> = (0..count).map(|_| Members::decode(reader)).collect::<Result<_, _>>()?;
        if configs.iter().any(|members| members.voters().next().is_none()) {
            return Err(DecodeError::Invalid("configuration without voters"));
        }
        Ok(Configs(configs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joint(a: &[u8], b: &[u8]) -> Configs {
        let members = |ids: &[u8]| Members::founding(ids.iter().map(|id| ServerId(*id)));
        Configs([a, b].into_iter().filter(|ids| !ids.is_empty()).map(members).collect())
    }

    #[test]
    fn a_quorum_is_a_majority_of_every_active_configuration() {
        let check = |configs: &Configs, members: &[u8], expected| {
            assert_eq!(configs.is_quorum(|s| members.contains(&s.0)), expected, "{configs:?} {members:?}");
        };
        check(&joint(&[1], &[]), &[1], true);
        check(&joint(&[1], &[]), &[], false);
        check(&joint(&[1, 2], &[]), &[1], false);
        check(&joint(&[1, 2, 3], &[]), &[1, 3], true);
        check(&joint(&[1, 2, 3], &[]), &[1, 9], false);
        check(&joint(&[1, 2, 3, 4], &[]), &[1, 2], false);
        check(&joint(&[1, 2, 3], &[4, 5, 6]), &[1, 2, 3], false);
        check(&joint(&[1, 2, 3], &[4, 5, 6]), &[1, 2, 4, 6], true);
        check(&joint(&[1, 2, 3], &[3, 4, 5]), &[2, 3, 4], true);
        check(&joint(&[], &[]), &[1, 2, 3], false);
    }

    #[test]
    fn what_a_quorum_has_reached_is_what_every_majority_has() {
        let check = |configs: &Configs, has: &[u64], expected| {
            let reached = configs.reached(|s| Zxid(has[s.0 as usize]));
            assert_eq!(reached, Zxid(expected), "{configs:?} {has:?}");
            // The same, by the predicate: a quorum has it, and none has more.
            assert!(configs.is_quorum(|s| has[s.0 as usize] >= reached.0));
            assert!(!configs.is_quorum(|s| has[s.0 as usize] > reached.0));
        };
        check(&joint(&[1], &[]), &[0, 7], 7);
        check(&joint(&[1, 2, 3], &[]), &[0, 7, 5, 3], 5);
        check(&joint(&[1, 2, 3, 4], &[]), &[0, 9, 8, 7, 6], 7);
        check(&joint(&[1, 2, 3], &[3, 4, 5]), &[0, 9, 9, 4, 3, 1], 3);
    }

    #[test]
    fn configurations_survive_their_encoding() {
        for configs in [joint(&[1, 2, 3], &[]), joint(&[1], &[2, 3])] {
            let mut reader = Reader::new(configs.encode());
            assert_eq!(Configs::decode(&mut reader), Ok(configs));
            assert_eq!(reader.finish(), Ok(()));
        }
        assert!(Configs::decode(&mut Reader::new(Bytes::from_static(&[0]))).is_err());
    }
}
