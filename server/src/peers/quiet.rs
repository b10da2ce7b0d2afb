//! `Quiet`: says each thing only now and then, however often it happens. A peer that is down, or wrongly configured, is
//! dialed again and again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two times that the same thing is said.
const INTERVAL: Duration = Duration::from_secs(30);

/// Different things that are remembered: whoever connects from ever new addresses does not fill the memory, nor the log.
const THINGS_MAX: usize = 256;

/// What was said, and when.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    said: Mutex<HashMap<String, Instant>>,
}

impl Quiet {
    /// Whether it is time to say this.
    pub(super) fn may_say(&self, what: String, now: Instant) -> bool {
        let mut said = self.said.lock();
        said.retain(|_, at| now.duration_since(*at) < INTERVAL);
        if said.len() >= THINGS_MAX || said.contains_key(&what) {
            return false;
        }
        said.insert(what, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_said_once_in_a_while_and_no_flood_of_things_is_remembered() {
        let (quiet, now) = (Quiet::default(), Instant::now());
        assert!(quiet.may_say("a".to_owned(), now));
        assert!(!quiet.may_say("a".to_owned(), now));
        assert!(quiet.may_say("b".to_owned(), now));
        assert!(quiet.may_say("a".to_owned(), now + INTERVAL));
        let flood = (0..10_000).filter(|i| quiet.may_say(i.to_string(), now + INTERVAL)).count();
        assert_eq!(flood, THINGS_MAX - 1);
    }
}
