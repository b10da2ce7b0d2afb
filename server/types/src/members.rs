//! `Members`: one configuration of the ensemble, as it stands in the log.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;

use crate::codec::{self, DecodeError, Reader};
use crate::limits::ADDRESS_BYTES_MAX;
use crate::{ServerId, Zxid};

/// The servers of an ensemble.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The zxid of the record that introduced it; [`Zxid::ZERO`] for the configuration that the ensemble began with.
    pub version: Zxid,
    /// Each server with what it is.
    pub servers: BTreeMap<ServerId, Member>,
}

/// One server of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whether it votes.
    pub role: MemberRole,
    /// How it is reached; opaque here.
    pub address: Bytes,
}

/// What a member is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MemberRole {
    /// It votes.
    Participant = 1,
    /// It learns what was decided.
    Observer = 2,
}

/// How a configuration is to become another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembersChange {
    /// These servers, and no others.
    Whole(BTreeMap<ServerId, NewMember>),
    /// The same servers but for these.
    Steps {
        /// They join, or become what is said here if they belong to it already.
        add: BTreeMap<ServerId, NewMember>,
        /// They leave, if they belong to it.
        remove: BTreeSet<ServerId>,
    },
}

/// What a server is to be in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    /// Whether it votes.
    pub role: MemberRole,
    /// How it is reached; `None` leaves that as it is, for a server that is a member already.
    pub address: Option<Bytes>,
}

impl Members {
    /// The configuration that an ensemble begins with: these voters, whose addresses are known otherwise.
    pub fn founding(voters: impl IntoIterator<Item = ServerId>) -> Members {
        let member = || Member { role: MemberRole::Participant, address: Bytes::new() };
        Members { version: Zxid::ZERO, servers: voters.into_iter().map(|server| (server, member())).collect() }
    }

    /// Those who vote, in the order of their ids.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.servers.iter().filter(|(_, member)| member.role == MemberRole::Participant).map(|(server, _)| *server)
    }

    /// Whether this server votes.
    #[must_use]
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.servers.get(&server).is_some_and(|member| member.role == MemberRole::Participant)
    }

    /// Appends the binary form: `version u64 | count u8 | (server u8 | role u8 | length u32 | address) ...`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.0.to_le_bytes());
        let count = u8::try_from(self.servers.len()).expect("server ids are bytes, and 0 and 255 are none");
        out.push(count);
        for (server, member) in &self.servers {
            assert!(member.address.len() <= ADDRESS_BYTES_MAX, "an address of {} bytes", member.address.len());
            out.extend_from_slice(&[server.0, member.role as u8]);
            out.extend_from_slice(&(member.address.len() as u32).to_le_bytes());
            out.extend_from_slice(&member.address);
        }
    }

    /// Reads the payload of a [`crate::FrameKind::Reconfig`] record: the new configuration, and what was given to go
    /// with it.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub fn of_reconfig(payload: Bytes) -> Result<(Members, Bytes), DecodeError> {
        let mut reader = Reader::new(payload);
        let members = Members::decode(&mut reader)?;
        let context = reader.raw(reader.remaining())?;
        Ok((members, context))
    }

    /// Takes the binary form off a reader.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub fn decode(reader: &mut Reader) -> Result<Members, DecodeError> {
        let version = reader.zxid()?;
        let mut servers = BTreeMap::new();
        for _ in 0..reader.u8()? {
            let server = codec::members::server(reader.u8()?)?;
            let (role, address) = (codec::members::role(reader.u8()?)?, codec::members::address(reader)?);
            if servers.insert(server, Member { role, address }).is_some() {
                return Err(DecodeError::Invalid("member named twice"));
            }
        }
        Ok(Members { version, servers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn members_survive_their_encoding_and_hostile_bytes_are_refused() {
        let mut members = Members::founding([ServerId(1), ServerId(7)]);
        members.version = Zxid(77);
        let observer = Member { role: MemberRole::Observer, address: Bytes::from_static(b"host:1") };
        members.servers.insert(ServerId(9), observer);
        let mut bytes = vec![];
        members.encode(&mut bytes);
        let mut reader = Reader::new(Bytes::from(bytes.clone()));
        assert_eq!(Members::decode(&mut reader), Ok(members.clone()));
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(members.voters().collect::<Vec<_>>(), [ServerId(1), ServerId(7)]);
        for cut in 0..bytes.len() {
            let mut reader = Reader::new(Bytes::copy_from_slice(&bytes[..cut]));
            assert_eq!(Members::decode(&mut reader), Err(DecodeError::Short), "{cut}");
        }
        bytes[10] = 3;
        assert!(Members::decode(&mut Reader::new(Bytes::from(bytes))).is_err());
    }
}
