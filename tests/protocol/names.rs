//! Who is who does not matter: the rules treat all servers alike. The checker compares states by their hashes, so a
//! hash that does not depend on names makes it visit one state in the place of up to six, and states keep their names
//! for whoever reads a counterexample.

use std::hash::{Hash, Hasher};

use quorate_types::ServerId;

use super::ensemble::Ensemble;
use super::log::Log;
use super::server::{Leader, Promise, Role, SERVERS, Server, Servers, Session, Standing, at};

/// The new name of each server, in order.
type Names = [ServerId; 3];

const ALL_NAMES: [Names; 6] = {
    let [a, b, c] = SERVERS;
    [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]]
};

impl Hash for Ensemble {
    /// Of all ways to name the servers, the hash of one that does not depend on how they are named now: they are in
    /// order of what no name occurs in, and where that does not decide, as a whole the least.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let keys = self.servers.map(|server| server.without_names());
        let is_ordered = |names: &Names| {
            let mut ordered = keys;
            (0..SERVERS.len()).for_each(|i| ordered[at(names[i])] = keys[i]);
            ordered.is_sorted()
        };
        let renamed = ALL_NAMES.iter().filter(|names| is_ordered(names)).map(|names| self.renamed(names));
        renamed.min().expect("some order is in order").hash(hasher);
        self.seen.hash(hasher);
        self.left.hash(hasher);
    }
}

impl Ensemble {
    fn renamed(&self, names: &Names) -> [Server; 3] {
        let mut renamed = self.servers;
        for (server, name) in self.servers.iter().zip(names) {
            let promise = |promise: Promise| Promise { leader: self.renamed_promise(promise, names), ..promise };
            renamed[at(*name)] = Server {
                promise: promise(server.promise),
                durable_promise: promise(server.durable_promise),
                role: server.role.renamed(names),
                ..*server
            };
        }
        renamed
    }

    /// To whom an epoch was promised does not matter when he does not lead it any more: he never will again.
    fn renamed_promise(&self, promise: Promise, names: &Names) -> ServerId {
        let still_leads = |server: &Server| server.leads().is_some_and(|leader| leader.epoch == promise.epoch);
        let leader = SERVERS.into_iter().find(|server| *server == promise.leader && still_leads(self.server(*server)));
        leader.map_or(ServerId::default(), |leader| names[at(leader)])
    }
}

impl Server {
    /// All of it in which no name occurs.
    fn without_names(&self) -> (Log, u8, u8, u8, Standing, u8) {
        let role = match &self.role {
            Role::Looking => 0,
            Role::Following(session) => 1 + session.stage as u8,
            Role::Leading(leader) => 4 + leader.epoch,
        };
        (self.log, self.durable, self.promise.epoch, self.durable_promise.epoch, self.standing, role)
    }
}

impl Role {
    fn renamed(&self, names: &Names) -> Role {
        let rename = |server: ServerId| names[at(server)];
        let renamed =
            |servers: Servers| SERVERS.into_iter().filter(|server| servers.contains(*server)).map(rename).collect();
        match *self {
            Role::Looking => Role::Looking,
            Role::Following(session) => Role::Following(Session { leader: rename(session.leader), ..session }),
            Role::Leading(leader) => Role::Leading(Leader { electing: leader.electing.map(renamed), ..leader }),
        }
    }
}

#[test]
fn the_hash_does_not_depend_on_names() {
    use std::hash::DefaultHasher;

    use stateright::Model;

    use super::ensemble::Budget;
    use super::rules::Rules;
    use super::zab::{Bounds, Zab};

    let hash = |ensemble: &Ensemble| {
        let mut hasher = DefaultHasher::new();
        ensemble.hash(&mut hasher);
        hasher.finish()
    };
    let budget = Budget { txns: 1, crashes: 1, cuts: 1, wipes: 1 };
    let zab = Zab { rules: Rules::default(), bounds: Bounds { epochs: 2, budget } };
    let mut states = zab.init_states();
    for _ in 0..4 {
        states = states.iter().flat_map(|state| zab.next_states(state)).collect();
        for state in &states {
            for names in &ALL_NAMES {
                let renamed = Ensemble { servers: state.renamed(names), ..*state };
                assert_eq!(hash(state), hash(&renamed), "{state:?} {names:?}");
            }
        }
    }
    assert!(states.len() > 1_000);
}
