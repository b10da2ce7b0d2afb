//! `AddressBook`: where the other servers are, as far as one knows.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer::v1::MemberAddress;
use quorate_types::ServerId;
use quorate_zab::Member;

/// Addresses for dialing: `host:port`, resolved anew each time.
#[derive(Debug)]
pub(super) struct AddressBook {
    us: ServerId,
    /// From the configuration of this server; used for members of whom the ensemble's own says nothing.
    configured: BTreeMap<ServerId, String>,
    members: BTreeMap<ServerId, Option<String>>,
}

impl AddressBook {
    pub(super) fn new(us: ServerId, configured: BTreeMap<ServerId, String>) -> AddressBook {
        AddressBook { us, configured, members: BTreeMap::new() }
    }

    /// Notes who belongs to the ensemble now.
    pub(super) fn set_members(&mut self, members: &BTreeMap<ServerId, Member>) {
        let address = |(server, member): (&ServerId, &Member)| (*server, peer_address(&member.address));
        self.members = members.iter().map(address).collect();
    }

    /// Everybody to keep a link with.
    pub(super) fn others(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.members.keys().copied().filter(|server| *server != self.us)
    }

    /// Where a server is.
    pub(super) fn get(&self, server: ServerId) -> Option<&String> {
        let own = self.members.get(&server).and_then(Option::as_ref);
        own.or_else(|| self.configured.get(&server))
    }
}

/// The address for peers in a member's address data, if it holds one.
fn peer_address(data: &Bytes) -> Option<String> {
    let address = MemberAddress::decode(data.clone()).ok()?;
    Some(address.peer).filter(|peer| !peer.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_zab::MemberRole;

    #[test]
    fn the_ensembles_own_addresses_win_over_the_configured_ones() {
        let member = |data: Bytes| Member { role: MemberRole::Participant, address: data };
        let data = MemberAddress { peer: "new:1".to_owned(), ..MemberAddress::default() }.encode_to_vec();
        let configured = [(ServerId(2), "old:2".to_owned()), (ServerId(3), "old:3".to_owned())];
        let mut book = AddressBook::new(ServerId(1), configured.into());
        assert_eq!(book.get(ServerId(2)).unwrap(), "old:2");
        let members = [(1, Bytes::new()), (2, data.into()), (3, Bytes::new()), (4, Bytes::from_static(b"\xff"))];
        book.set_members(&members.map(|(server, data)| (ServerId(server), member(data))).into());
        assert_eq!(book.get(ServerId(2)).unwrap(), "new:1");
        assert_eq!(book.get(ServerId(3)).unwrap(), "old:3");
        assert_eq!(book.get(ServerId(4)), None);
        assert_eq!(book.others().collect::<Vec<_>>(), [ServerId(2), ServerId(3), ServerId(4)]);
    }
}
