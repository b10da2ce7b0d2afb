//! `reconfig` and `transfer-leadership`.

use std::path::PathBuf;

use clap::Args;
use quorate_client::{Client, MemberSpec, Membership};
use serde::Serialize;

use super::members::AddressesDocument;
use crate::document::hex;
use crate::exit::Failure;
use crate::member_spec::{self, SpecArg};
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate reconfig --add 4=s4:7182,5=s5:7182 --remove 2
  quorate reconfig --add 4=s4:7182:observer
  quorate reconfig --add 4=participant       an observer is to vote
  quorate reconfig --members 1=s1:7182,2=s2:7182,3=s3:7182
  quorate reconfig -add 4=s4:7182 -v 0x100000002

A server is written as for `quorate serve --member`:
ID=HOST:PORT[:observer][;grpc=HOST:PORT][;http=HOST:PORT]

Start a server before you add it: it comes to learn, and `quorate members` shows
how far it is. Servers that were removed may be switched off when this is done.";

pub(crate) const TRANSFER_EXAMPLES: &str = "\
Examples:
  quorate transfer-leadership    to whoever has come furthest
  quorate transfer-leadership 2";

/// The arguments of `reconfig`.
#[derive(Args, Debug, Default)]
pub struct Reconfig {
    /// Servers that join, or become what is said here
    #[arg(short, long, value_name = "ID=HOST:PORT,..", value_delimiter = ',')]
    add: Vec<SpecArg>,

    /// Servers that leave
    #[arg(short, long, value_name = "ID,..", value_delimiter = ',', value_parser = member_spec::server_id)]
    remove: Vec<u32>,

    /// All servers that the ensemble is to consist of
    #[arg(short, long, value_name = "ID=HOST:PORT,..", value_delimiter = ',', conflicts_with_all = ["add", "remove"])]
    members: Vec<SpecArg>,

    /// Likewise, one on each line of a file
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["add", "remove", "members"])]
    file: Option<PathBuf>,

    /// Only if the configuration has this version
    #[arg(short = 'v', long = "if-version", value_name = "ZXID", value_parser = member_spec::version)]
    version: Option<u64>,

    /// ZooKeeper's way to write the same: -add, -remove, -members, -file
    #[arg(hide = true, allow_hyphen_values = true, num_args = 0..)]
    words: Vec<String>,
}

/// The arguments of `transfer-leadership`.
#[derive(Args, Debug)]
pub struct TransferLeadership {
    /// The server that is to lead
    #[arg(value_name = "ID", value_parser = member_spec::server_id)]
    to: Option<u32>,
}

/// A configuration as JSON.
#[derive(Debug, Serialize)]
struct ConfigurationDocument {
    version: String,
    members: Vec<ConfiguredDocument>,
}

#[derive(Debug, Serialize)]
struct ConfiguredDocument {
    server_id: u32,
    membership: &'static str,
    addresses: Option<AddressesDocument>,
}

#[derive(Debug, Serialize)]
struct LeaderDocument {
    leader_id: u32,
}

/// A configuration as one object.
pub(crate) fn print_json(version: u64, members: &[MemberSpec], printer: &mut Printer) -> Result<(), Failure> {
    let member = |spec: &MemberSpec| ConfiguredDocument {
        server_id: spec.server_id,
        membership: spec.membership.as_str(),
        addresses: spec.address.as_ref().map(AddressesDocument::from),
    };
    let members = members.iter().map(member).collect();
    printer.json(&ConfigurationDocument { version: hex(version), members })
}

impl Reconfig {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let wanted = self.understood()?;
        let mut change = client.reconfigure();
        if let Some(version) = wanted.version {
            change = change.version(version);
        }
        let whole = match wanted.file {
            Some(path) => member_spec::read_file(&path)?,
            None => wanted.members,
        };
        if !whole.is_empty() {
            change = change.members(whole.into_iter().map(|spec| spec.0));
        }
        change = wanted.add.into_iter().fold(change, |change, spec| change.add(spec.0));
        change = wanted.remove.into_iter().fold(change, |change, id| change.remove(id));
        let done = change.await?;
        if printer.is_json() {
            return print_json(done.version, &done.members, printer);
        }
        printer.line(&format!("configuration {}", hex(done.version)))?;
        done.members.iter().try_for_each(|spec| printer.line(&line(spec)))
    }

    /// With what was written in ZooKeeper's way.
    fn understood(mut self) -> Result<Reconfig, Failure> {
        let mut words = std::mem::take(&mut self.words).into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| Failure::Usage(format!("{word} needs a value")));
            match word.as_str() {
                "-add" => self.add.extend(list(&value()?, str::parse)?),
                "-remove" => self.remove.extend(list(&value()?, member_spec::server_id)?),
                "-members" => self.members.extend(list(&value()?, str::parse)?),
                "-file" => self.file = Some(value()?.into()),
                "-v" => self.version = Some(member_spec::version(&value()?).map_err(Failure::Usage)?),
                // It would print the same.
                "-s" => {}
                _ if word.starts_with("--") => {
                    let why = "options with two dashes come before those of ZooKeeper";
                    return Err(Failure::Usage(format!("{word}: {why}")));
                }
                _ => return Err(Failure::Usage(format!("{word:?} is no option; see `quorate reconfig --help`"))),
            }
        }
        let steps = !self.add.is_empty() || !self.remove.is_empty();
        match (steps, !self.members.is_empty(), self.file.is_some()) {
            (true, false, false) | (false, true, false) | (false, false, true) => Ok(self),
            (false, false, false) => {
                Err(Failure::Usage("say what is to change: --add, --remove, --members or --file".to_owned()))
            }
            _ => Err(Failure::Usage("either steps (--add, --remove) or the whole (--members, --file)".to_owned())),
        }
    }
}

fn list<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Failure> {
    text.split(',').map(parse).collect::<Result<_, _>>().map_err(Failure::Usage)
}

/// A member as it is written for `reconfig`.
pub(crate) fn line(spec: &MemberSpec) -> String {
    let mut line = format!("{}=", spec.server_id);
    if let Some(address) = &spec.address {
        line.push_str(&address.peer);
        line.push(':');
    }
    line.push_str(match spec.membership {
        Membership::Participant => "participant",
        Membership::Observer => "observer",
    });
    let addresses = spec.address.as_ref().map(|address| [("grpc", &address.grpc), ("http", &address.http)]);
    for (name, address) in addresses.into_iter().flatten() {
        if let Some(address) = address {
            line.push_str(&format!(";{name}={address}"));
        }
    }
    line
}

impl TransferLeadership {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let transfer = client.transfer_leadership();
        let leader_id = match self.to {
            Some(to) => transfer.to(to).await?,
            None => transfer.await?,
        };
        if printer.is_json() {
            return printer.json(&LeaderDocument { leader_id });
        }
        printer.line(&format!("server {leader_id} leads"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &str) -> Result<Reconfig, Failure> {
        Reconfig { words: words.split(' ').map(str::to_owned).collect(), ..Reconfig::default() }.understood()
    }

    #[test]
    fn zookeepers_words_mean_the_same() {
        let steps = words("-s -add 4=a:1,5=a:2 -remove 1,2").expect("steps");
        assert_eq!(steps.add.iter().map(|spec| spec.0.server_id).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(steps.remove, [1, 2]);
        assert_eq!(words("-remove 1 -v 100000002").expect("steps").version, Some(0x1_0000_0002));
        assert_eq!(words("-members 1=a:1").expect("whole").members.len(), 1);
        assert_eq!(words("-file x").expect("file").file, Some("x".into()));
        for wrong in [
            "-add",
            "-add nonsense",
            "-remove x",
            "-remove 1 -v x",
            "-remove 1 --add",
            "-frobnicate",
            "-s",
            "-add 4=a:1 -file x",
        ] {
            assert_eq!(words(wrong).expect_err(wrong).code(), 2, "{wrong}");
        }
    }

    #[test]
    fn a_member_is_printed_as_it_can_be_typed() {
        for text in ["4=a:1:observer;grpc=a:2;http=a:3", "4=a:1:participant", "4=observer"] {
            let spec: SpecArg = text.parse().expect("valid");
            assert_eq!(line(&spec.0), text);
        }
    }
}
