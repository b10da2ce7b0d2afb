//! Seeds that have found something, with what it was: they run first.

/// Each of them has failed once.
pub(crate) const SEEDS: &[(u64, &str)] = &[
    (252, "a connection that was left in silence took the session from the one that came after it"),
    (304, "likewise, under a leader that had not heard of either"),
    (207, "a write that no leader came for was refused, and those after it on the same stream were made"),
    (1071, "a write that waited in vain between two epochs was no sign of life"),
    (121, "a session went back to a learner that it had left, from a leader that was all of its ensemble"),
    (
        239,
        "writes that came while leadership was to be handed over, in vain, were held for ever, and all that came after",
    ),
    (156, "a leader told of members whom an earlier one had wanted in vain"),
    (
        934,
        "a write that was sent again was answered with the state of the first time, older than what the client had seen",
    ),
    (582, "a snapshot whose log found no room on a full disk was tried again, and nobody had kept what it is"),
    (37, "a server that could support nobody asked everybody, again and again, as fast as they answered"),
];
