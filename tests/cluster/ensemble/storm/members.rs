//! Changes of who belongs to the ensemble and of who leads, made at random by whoever can be reached: servers join with
//! empty disks, are added, change their roles, are removed and go for good.
//!
//! What has become of a change that nobody answered is not known, and need not be: each change says which configuration
//! it wants to change, so one that comes late is refused, and the next one begins with a look at what there is.

use std::time::Duration;

use quorate_client::{Client, Member, Members, Membership};
use quorate_tests::harness::Ensemble;

use crate::cluster::random::Random;

/// Of a question or a change. Somebody may have to be asked who does not answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Changes an ensemble that is to keep at least so many voters. Only one of the `movable` may go. Says what was done or
/// tried, if anything could be.
pub(super) async fn change(
    ensemble: &mut Ensemble,
    voters_min: usize,
    movable: &[u8],
    random: &mut Random,
) -> Option<&'static str> {
    let client = anybody(ensemble, random);
    let known = client.members().timeout(TIMEOUT).await.ok()?;
    if known.leader_id == 0 || known.pending_version.is_some() {
        return None;
    }
    match random.between(0, 10) {
        0..3 => Some(transfer(&client, &known, random).await),
        3..7 => match pick(&known, random, can_be_added) {
            Some(learner) => Some(add(ensemble, &client, &known, learner, random).await),
            None => {
                let spare = *ensemble.spares().first()?;
                ensemble.join(spare);
                Some("came to learn")
            }
        },
        7 => {
            let changed = pick(&known, random, |member| match member.membership {
                Some(Membership::Participant) => may_leave(&known, member, voters_min),
                Some(Membership::Observer) => is_ready(member),
                None => false,
            })?;
            Some(add(ensemble, &client, &known, changed, random).await)
        }
        _ => {
            let may_go = |member: &Member| movable.iter().any(|id| u32::from(*id) == member.server_id);
            let may_go = |member: &Member| may_go(member) && may_leave(&known, member, voters_min);
            let leaver = pick(&known, random, may_go)?;
            Some(remove(ensemble, &client, &known, leaver).await)
        }
    }
}

/// A client of all servers, which prefers any of them.
fn anybody(ensemble: &Ensemble, random: &mut Random) -> Client {
    let mut servers: Vec<u8> = ensemble.ids().collect();
    let first = random.between(0, servers.len() as u64) as usize;
    servers.rotate_left(first);
    ensemble.client(&servers).connect_timeout(TIMEOUT / 4).build()
}

fn pick(known: &Members, random: &mut Random, is_wanted: impl Fn(&Member) -> bool) -> Option<u8> {
    let wanted: Vec<u32> = known.members.iter().filter(|member| is_wanted(member)).map(|one| one.server_id).collect();
    let picked = wanted.get(random.between(0, wanted.len().max(1) as u64) as usize)?;
    u8::try_from(*picked).ok()
}

fn is_ready(member: &Member) -> bool {
    !member.amnesiac && !member.synchronizing && member.behind.is_some()
}

fn can_be_added(member: &Member) -> bool {
    member.membership.is_none() && is_ready(member)
}

/// Whether it belongs to the ensemble, and enough others vote.
fn may_leave(known: &Members, member: &Member, voters_min: usize) -> bool {
    let votes = |member: &&Member| member.membership == Some(Membership::Participant);
    match member.membership {
        None => false,
        Some(Membership::Observer) => true,
        Some(Membership::Participant) => known.members.iter().filter(votes).count() > voters_min,
    }
}

async fn transfer(client: &Client, known: &Members, random: &mut Random) -> &'static str {
    let votes = |member: &Member| member.membership == Some(Membership::Participant);
    let handing_over = match pick(known, random, votes).filter(|_| random.between(0, 3) > 0) {
        Some(target) => client.transfer_leadership().to(target.into()),
        None => client.transfer_leadership(),
    };
    match handing_over.timeout(TIMEOUT).await {
        Ok(_) => "leadership handed over",
        Err(_) => "leadership perhaps handed over",
    }
}

/// Adds a server, or gives one the other role.
async fn add(ensemble: &Ensemble, client: &Client, known: &Members, id: u8, random: &mut Random) -> &'static str {
    let present = known.members.iter().find(|member| member.server_id == u32::from(id));
    let (membership, done) = match present.and_then(|member| member.membership) {
        Some(Membership::Participant) => (Membership::Observer, "voters became observers"),
        Some(Membership::Observer) => (Membership::Participant, "observers became voters"),
        None if random.between(0, 4) == 0 => (Membership::Observer, "observers added"),
        None => (Membership::Participant, "voters added"),
    };
    let adding = client.reconfigure().add(ensemble.spec(id, membership)).version(known.version);
    match adding.timeout(TIMEOUT).await {
        Ok(_) => done,
        Err(_) => "changes of members in vain or in doubt",
    }
}

async fn remove(ensemble: &mut Ensemble, client: &Client, known: &Members, id: u8) -> &'static str {
    match client.reconfigure().remove(id.into()).version(known.version).timeout(TIMEOUT).await {
        Ok(_) => {
            ensemble.retire(id);
            "removed"
        }
        Err(_) => "changes of members in vain or in doubt",
    }
}
