//! `Agreement`: what is counted about the part that this server plays among the others.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use quorate_types::Role;

use super::seconds;

const ROLES: [(Role, &str); 4] = [
    (Role::Looking, "looking"),
    (Role::Following, "following"),
    (Role::Leading, "leading"),
    (Role::Observing, "observing"),
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: &'static str,
}

/// Counted by the driver.
pub(crate) struct Agreement {
    roles: [Gauge; ROLES.len()],
    elections: Counter,
    election_seconds: Histogram,
    terms_led: Counter,
    commit_seconds: Histogram,
}

impl Agreement {
    pub(super) fn register(registry: &mut Registry) -> Agreement {
        let roles: Family<RoleLabel, Gauge> = Family::default();
        registry.register("role", "What this server does, as 1", roles.clone());
        let (elections, terms_led) = (Counter::default(), Counter::default());
        registry.register("elections", "Times that this server began to look for a leader", elections.clone());
        registry.register("terms_led", "Epochs in which this server came to lead", terms_led.clone());
        Agreement {
            roles: ROLES.map(|(_, role)| roles.get_or_create(&RoleLabel { role }).clone()),
            elections,
            election_seconds: seconds(registry, "election_duration", "From looking for a leader to serving", 1e-3),
            terms_led,
            commit_seconds: seconds(
                registry,
                "commit_duration",
                "From logging a txn to its commit, as seen here",
                50e-6,
            ),
        }
    }

    pub(crate) fn role(&self, now: Role) {
        for ((role, _), gauge) in ROLES.iter().zip(&self.roles) {
            gauge.set(i64::from(*role == now));
        }
    }

    pub(crate) fn election_begins(&self) {
        self.elections.inc();
    }

    pub(crate) fn election_ended(&self, took: Duration) {
        self.election_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn leads(&self) {
        self.terms_led.inc();
    }

    pub(crate) fn committed(&self, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
    }
}
