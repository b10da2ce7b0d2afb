//! `Zab`: the model as the checker sees it: where it begins, what may happen next, what must hold.

use quorate_types::ServerId;
use stateright::{Model, Property};

use super::ensemble::{Budget, Ensemble};
use super::properties;
use super::rules::Rules;
use super::server::{Role, SERVERS};

/// The protocol under some rules, within some bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zab {
    pub(crate) rules: Rules,
    pub(crate) bounds: Bounds,
}

/// How far the search goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Nobody proposes a later epoch than this.
    pub(crate) epochs: u8,
    pub(crate) budget: Budget,
}

/// Something that may happen. What it needs, and what it does, stands with the function of the same name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    ProposeEpoch { server: ServerId, epoch: u8 },
    Join { server: ServerId, leader: ServerId, is_heard: bool },
    Promise { server: ServerId, is_heard: bool },
    PlanRecords(ServerId),
    PlanSnapshot { server: ServerId, len: usize },
    Propose(ServerId),
    Append(ServerId),
    Sync(ServerId),
    Readmit(ServerId),
    Cut(ServerId),
    Isolate(ServerId),
    StepDown(ServerId),
    Crash { server: ServerId, kept: usize },
    Wipe(ServerId),
}

impl Model for Zab {
    type State = Ensemble;
    type Action = Action;

    fn init_states(&self) -> Vec<Ensemble> {
        vec![Ensemble::new(self.bounds.budget)]
    }

    /// Everything that a server in this role may do, or that may happen to it. Whether it can be is decided by
    /// `next_state`.
    fn actions(&self, ensemble: &Ensemble, actions: &mut Vec<Action>) {
        for server in SERVERS {
            let own = ensemble.server(server);
            match own.role {
                Role::Looking => {
                    actions.extend((1..=self.bounds.epochs).map(|epoch| Action::ProposeEpoch { server, epoch }));
                    for is_heard in [true, false] {
                        actions.extend(SERVERS.map(|leader| Action::Join { server, leader, is_heard }));
                    }
                }
                Role::Following(_) => {
                    actions.extend([true, false].map(|is_heard| Action::Promise { server, is_heard }));
                    actions.push(Action::PlanRecords(server));
                    let lens = 1..=ensemble.seen.committed.len();
                    actions.extend(lens.map(|len| Action::PlanSnapshot { server, len }));
                    actions.extend([Action::Append(server), Action::Readmit(server), Action::Cut(server)]);
                }
                Role::Leading(_) => {
                    actions.extend((1..=self.bounds.epochs).map(|epoch| Action::ProposeEpoch { server, epoch }));
                    actions.extend([Action::Propose(server), Action::Isolate(server), Action::StepDown(server)]);
                }
            }
            actions.extend([Action::Sync(server), Action::Wipe(server)]);
            let lens = usize::from(own.durable)..=own.log.len();
            actions.extend(lens.map(|kept| Action::Crash { server, kept }));
        }
    }

    fn next_state(&self, ensemble: &Ensemble, action: Action) -> Option<Ensemble> {
        let mut now = *ensemble;
        now.seen.event = None;
        match action {
            Action::ProposeEpoch { server, epoch } => now.propose_epoch(server, epoch, self.rules),
            Action::Join { server, leader, is_heard } => now.join(server, leader, is_heard, self.rules),
            Action::Promise { server, is_heard } => now.promise(server, is_heard, self.rules),
            Action::PlanRecords(server) => now.plan_records(server, self.rules),
            Action::PlanSnapshot { server, len } => now.plan_snapshot(server, len, self.rules),
            Action::Propose(server) => now.propose(server, self.rules),
            Action::Append(server) => now.append(server, self.rules),
            Action::Sync(server) => now.sync(server, self.rules),
            Action::Readmit(server) => now.readmit(server, self.rules),
            Action::Cut(server) => now.cut(server),
            Action::Isolate(server) => now.isolate(server),
            Action::StepDown(server) => now.step_down(server),
            Action::Crash { server, kept } => now.crash(server, kept),
            Action::Wipe(server) => now.wipe(server),
        }
    }

    fn properties(&self) -> Vec<Property<Zab>> {
        properties::all()
    }
}
