//! `SpecArg`: a server as it is written for `reconfig`.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use quorate_client::{MemberAddress, MemberSpec, Membership};

use crate::exit::Failure;

/// `ID=HOST:PORT[:observer][;grpc=HOST:PORT][;http=HOST:PORT]`, as a server's own `--member`; or `ID=observer` for a member
/// that keeps its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpecArg(pub(crate) MemberSpec);

impl FromStr for SpecArg {
    type Err = String;

    fn from_str(text: &str) -> Result<SpecArg, String> {
        let (id, what) = text.split_once('=').ok_or_else(|| format!("{text}: not written as ID=HOST:PORT"))?;
        let server_id = server_id(id.strip_prefix("server.").unwrap_or(id))?;
        let mut parts = what.split(';').map(str::trim);
        let (peer, membership) = peer_and_role(parts.next().unwrap_or_default());
        let (mut grpc, mut http) = (None, None);
        for part in parts {
            let place = match part.split_once('=') {
                Some(("grpc", address)) => grpc.replace(checked(text, address)?),
                Some(("http", address)) => http.replace(checked(text, address)?),
                _ => return Err(format!("{text}: {part:?} is neither grpc=HOST:PORT nor http=HOST:PORT")),
            };
            if place.is_some() {
                return Err(format!("{text}: an address is said twice"));
            }
        }
        let address = match (peer, grpc, http) {
            ("", None, None) => None,
            (peer, grpc, http) => Some(MemberAddress { peer: checked(text, peer)?, grpc, http }),
        };
        if membership.is_none() && address.is_none() {
            return Err(format!("{text}: say how it is reached, or whether it is a participant or an observer"));
        }
        Ok(SpecArg(MemberSpec { server_id, membership: membership.unwrap_or_default(), address }))
    }
}

/// `HOST:PORT`, `HOST:PORT:observer`, or the role alone.
fn peer_and_role(text: &str) -> (&str, Option<Membership>) {
    let (peer, role) = text.rsplit_once(':').unwrap_or(("", text));
    match role {
        "participant" => (peer, Some(Membership::Participant)),
        "observer" => (peer, Some(Membership::Observer)),
        _ => (text, None),
    }
}

fn checked(text: &str, address: &str) -> Result<String, String> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(address.to_owned()),
        _ => Err(format!("{text}: {address:?} is not HOST:PORT")),
    }
}

/// A server's id.
pub(crate) fn server_id(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(id @ 1..=254) => Ok(id),
        _ => Err(format!("{text:?} is no server id: these are 1 to 254")),
    }
}

/// The version of a configuration, in hexadecimal with or without `0x`.
pub(crate) fn version(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| format!("{text:?} is no version: `quorate members` shows it as 0x.."))
}

/// The servers in a file: one on each line; what follows `#` is a comment.
pub(crate) fn read_file(path: &Path) -> Result<Vec<SpecArg>, Failure> {
    let what = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(path).map_err(|error| Failure::io(&what(), &error))?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.split('#').next().unwrap_or_default().trim()));
    let specs = lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| {
        line.parse::<SpecArg>().map_err(|error| Failure::Usage(format!("{}, line {at}: {error}", path.display())))
    });
    specs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(server_id: u32, membership: Membership, address: Option<MemberAddress>) -> SpecArg {
        SpecArg(MemberSpec { server_id, membership, address })
    }

    #[test]
    fn servers_are_written_with_id_addresses_and_role() {
        let peer = || MemberAddress { peer: "[::1]:7182".to_owned(), ..MemberAddress::default() };
        let all = MemberAddress { grpc: Some("a:1".to_owned()), http: Some("a:2".to_owned()), ..peer() };
        for (text, expected) in [
            ("4=[::1]:7182", spec(4, Membership::Participant, Some(peer()))),
            ("server.4=[::1]:7182:participant", spec(4, Membership::Participant, Some(peer()))),
            ("4=observer", spec(4, Membership::Observer, None)),
            ("4=[::1]:7182:observer;http=a:2;grpc=a:1", spec(4, Membership::Observer, Some(all))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "4",
            "4=",
            "0=a:1",
            "255=a:1",
            "x=a:1",
            "4=a",
            "4=:1",
            "4=a:0",
            "4=a:1;b:2",
            "4=;grpc=a:1",
            "4=observer;grpc=a:1",
            "4=a:1;smtp=a:2",
            "4=a:1;grpc=a:1;grpc=a:1",
            "4=a:2888:3888:observer;2181",
        ] {
            assert!(text.parse::<SpecArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn versions_are_hexadecimal() {
        assert_eq!((version("0x10"), version("10")), (Ok(16), Ok(16)));
        assert!(version("-1").is_err() && version("").is_err());
    }

    #[test]
    fn a_file_has_a_server_on_each_line() {
        let path = std::env::temp_dir().join(format!("quorate-members-{}", std::process::id()));
        fs::write(&path, "# three\n1=a:1\n\n 2=a:2:observer # slow\n").expect("written");
        let read = read_file(&path).expect("read");
        assert_eq!(read.iter().map(|spec| spec.0.server_id).collect::<Vec<_>>(), [1, 2]);
        fs::write(&path, "1=a:1\nnonsense\n").expect("written");
        let failed = read_file(&path).expect_err("nonsense");
        fs::remove_file(&path).expect("removed");
        assert!(failed.code() == 2 && failed.to_string().contains("line 2"), "{failed}");
    }
}
