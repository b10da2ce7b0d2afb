//! Which faults met which roles: what never happened was not survived.

use quorate_types::{Role, ServerId};

use super::server::{Aside, Id};
use super::world::World;

impl World {
    /// A fault strikes a server.
    pub(crate) fn note_cell(&mut self, id: Id, fault: &str) {
        let cell = format!("{fault} x {}", self.what_is(id));
        self.count(&cell);
    }

    fn what_is(&self, id: Id) -> &'static str {
        let Some(process) = &self.servers[id.0].process else { return "down" };
        let status = process.replica.status();
        if !matches!(process.aside, Aside::Free) {
            return "receiving a snapshot";
        }
        let is_led = status.leader != ServerId::default();
        match (status.role, is_led) {
            (Role::Looking, _) => "looking",
            (Role::Leading, true) => "leading",
            (Role::Leading, false) => "beginning to lead",
            (Role::Following, true) => "following",
            (Role::Following, false) => "beginning to follow",
            (Role::Observing, true) => "observing",
            (Role::Observing, false) => "beginning to observe",
        }
    }
}
