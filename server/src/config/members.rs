//! `MemberList`: the servers of an ensemble as people write them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use quorate_proto::v1::MemberAddress;
use quorate_types::ServerId;
use quorate_zab::{Member, MemberRole, Members};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// Each server with its place: on the command line `1=host:port,2=host:port`, in a file `member.1 = "host:port"`.
///
/// A place is `HOST:PORT[:observer][;grpc=HOST:PORT][;http=HOST:PORT]`: the address for the other servers, what the
/// server is for unless it votes, and where its clients find it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberList(BTreeMap<ServerId, Place>);

/// Where a server is and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// For the other servers: `host:port`.
    pub peer: String,
    /// Whether it votes.
    pub role: MemberRole,
    /// For clients that speak gRPC, if that is known.
    pub grpc: Option<String>,
    /// For clients that speak HTTP, if that is known.
    pub http: Option<String>,
}

impl MemberList {
    /// Where a server is.
    #[must_use]
    pub fn get(&self, server: ServerId) -> Option<&Place> {
        self.0.get(&server)
    }

    /// Each server with its place.
    pub fn iter(&self) -> impl Iterator<Item = (ServerId, &Place)> {
        self.0.iter().map(|(server, place)| (*server, place))
    }

    /// The configuration of an ensemble that begins with these servers. It becomes part of the history, so it does not say
    /// where they are: whoever moves a server only has to change what the servers are started with.
    #[must_use]
    pub fn founding(&self) -> Members {
        let member = |(server, place): (ServerId, &Place)| (server, Member { role: place.role, address: Bytes::new() });
        Members { servers: self.iter().map(member).collect(), ..Members::default() }
    }

    fn insert(&mut self, id: &str, place: &str) -> Result<(), String> {
        let server = id.trim().parse().ok().map(ServerId).filter(|id| (ServerId::MIN..=ServerId::MAX).contains(id));
        let server = server.ok_or_else(|| format!("{id:?} is no id of a server: give a number from 1 to 254"))?;
        match self.0.insert(server, place.parse()?) {
            None => Ok(()),
            Some(_) => Err(format!("server {server} is named twice")),
        }
    }
}

impl From<&Place> for MemberAddress {
    fn from(place: &Place) -> MemberAddress {
        let Place { peer, role: _, grpc, http } = place.clone();
        MemberAddress { peer, grpc: grpc.unwrap_or_default(), http: http.unwrap_or_default() }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let mut parts = text.split(';').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let (peer, role) = match first.rsplit_once(':') {
            Some((peer, "observer")) => (peer, MemberRole::Observer),
            Some((peer, "participant")) => (peer, MemberRole::Participant),
            _ => (first, MemberRole::Participant),
        };
        let mut place = Place { peer: host_and_port(peer)?, role, grpc: None, http: None };
        for part in parts {
            let (door, address) = part.split_once('=').unwrap_or((part, ""));
            match door.trim() {
                "grpc" => place.grpc = Some(host_and_port(address)?),
                "http" => place.http = Some(host_and_port(address)?),
                other => return Err(format!("there is no door {other:?}: give grpc=HOST:PORT or http=HOST:PORT")),
            }
        }
        Ok(place)
    }
}

impl FromStr for MemberList {
    type Err = String;

    fn from_str(text: &str) -> Result<MemberList, String> {
        let mut members = MemberList::default();
        for entry in text.split(',') {
            let (id, place) =
                entry.split_once('=').ok_or_else(|| format!("{entry:?} is no member: give ID=HOST:PORT"))?;
            members.insert(id, place)?;
        }
        Ok(members)
    }
}

impl<'de> Deserialize<'de> for MemberList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MemberList, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = MemberList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("servers with their addresses, like member.1 = \"host:7182\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MemberList, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MemberList, A::Error> {
                let mut members = MemberList::default();
                while let Some((id, place)) = map.next_entry::<String, String>()? {
                    members.insert(&id, &place).map_err(de::Error::custom)?;
                }
                Ok(members)
            }
        }

        deserializer.deserialize_any(MembersVisitor)
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let is_address = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
    match text.rsplit_once(':').is_some_and(is_address) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no address: give HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_from_a_line_and_from_a_file_alike() {
        let line: MemberList = "1=a:7182, 2=[::1]:7182;grpc=b:1;http=b:2,9=c:7182:observer".parse().unwrap();
        let file = "1 = 'a:7182'\n2 = '[::1]:7182:participant; grpc=b:1; http=b:2'\n9 = 'c:7182:observer'";
        assert_eq!(toml::from_str::<MemberList>(file).unwrap(), line);
        let second = line.get(ServerId(2)).unwrap();
        assert_eq!(
            (second.peer.as_str(), second.grpc.as_deref(), second.http.as_deref()),
            ("[::1]:7182", Some("b:1"), Some("b:2"))
        );
        let founding = line.founding();
        assert_eq!(founding.voters().collect::<Vec<_>>(), [ServerId(1), ServerId(2)]);
        assert!(founding.servers.contains_key(&ServerId(9)));
    }

    #[test]
    fn what_is_no_member_is_refused_with_a_reason() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<MemberList>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        };
        check("", "ID=HOST:PORT");
        check("a:7182", "ID=HOST:PORT");
        check("0=a:7182", "1 to 254");
        check("255=a:7182", "1 to 254");
        check("1=a", "HOST:PORT");
        check("1=a:b:7182:leader", "HOST:PORT");
        check("1=:7182", "HOST:PORT");
        check("1=a:7182,1=b:7182", "twice");
        check("1=a:7182;smtp=a:25", "grpc=");
    }
}
