//! `Rules`: what makes the protocol safe, rule by rule, so that the model can do without any one of them.

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A server answers LEADERINFO, or proposes an epoch, when its promise is durable, and not before.
    PromiseDurablyThenAnswer,
    /// A server promises an epoch to one leader only.
    PromiseOnce,
    /// A leader that hears in discovery of a longer log than its own steps back.
    AbdicateToTheLongerLog,
    /// What a learner has beyond the common prefix it drops before it goes on.
    DropWhatTheLeaderLacks,
    /// A snapshot that takes the place of a learner's log holds all of the common prefix.
    SnapshotHoldsTheCommonPrefix,
    /// A server acknowledges, and a leader counts for itself, what is durable, and nothing else.
    AckWhatIsDurable,
    /// A leader counts acknowledgements from its own marker on; what is older is committed with it.
    CommitFromTheMarkerOn,
    /// A server that may have forgotten something counts nowhere.
    AmnesiacsCountNowhere,
    /// It counts again with the marker of an epoch whose discovery was finished after it had come back, and not when
    /// it has merely caught up.
    ReadmitByALaterEpoch,
}

/// Which rules hold: all, or all but one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    broken: Option<Rule>,
}

impl Rules {
    pub(crate) fn all_but(rule: Rule) -> Rules {
        Rules { broken: Some(rule) }
    }

    pub(crate) fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}
