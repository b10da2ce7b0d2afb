//! The names of contenders: `_c_<guid>-lock-0000000007`, as Curator writes them, and what other fleets' names mean.
//!
//! The number orders those who want the same thing; what stands before it says what they want. The guid makes it visible
//! whose a znode is even if the answer to its creation was lost.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A sequential znode's number has so many digits at least.
const DIGITS_MIN: usize = 10;

/// What a contender of ours wants, by which its znode is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A lock, or to lead (Curator's `InterProcessMutex` and `LeaderSelector`).
    Lock,
    /// To lead (Curator's `LeaderLatch`).
    Latch,
    /// To write (Curator's `InterProcessReadWriteLock`).
    Write,
    /// To read, likewise.
    Read,
    /// One of several permits (Curator's `InterProcessSemaphoreV2`).
    Lease,
    /// To take part in something together with others.
    Part,
}

impl Wish {
    fn mark(self) -> &'static str {
        match self {
            Wish::Lock => "lock-",
            Wish::Latch => "latch-",
            Wish::Write => "__WRIT__",
            Wish::Read => "__READ__",
            Wish::Lease => "lease-",
            Wish::Part => "part-",
        }
    }
}

/// Whom a contender tolerates beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody.
    Exclusive,
    /// Others of this kind.
    Shared,
}

/// What stands before the number: Curator's marks and kazoo's (`__lock__` of its `Lock` and `WriteLock`, `__rlock__`).
const MARKS: [(&str, Claim); 6] = [
    ("lock-", Claim::Exclusive),
    ("latch-", Claim::Exclusive),
    ("__WRIT__", Claim::Exclusive),
    ("__lock__", Claim::Exclusive),
    ("__READ__", Claim::Shared),
    ("__rlock__", Claim::Shared),
];

/// A contender's place in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Within the directory, no two have the same.
    pub(super) number: u64,
    pub(super) claim: Claim,
    pub(super) name: String,
}

impl Place {
    /// `None` if the name is not that of a contender.
    pub(super) fn parse(name: &str) -> Option<Place> {
        let (head, number) = split_number(name)?;
        let (_, claim) = MARKS.iter().find(|(mark, _)| head.ends_with(mark))?;
        Some(Place { number, claim: *claim, name: name.to_owned() })
    }
}

/// The number at the end of a sequential znode's name, and what stands before it.
pub(super) fn split_number(name: &str) -> Option<(&str, u64)> {
    let head = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let digits = &name[head.len()..];
    if digits.len() < DIGITS_MIN { None } else { Some((head, digits.parse().ok()?)) }
}

/// What the names of one contender's znodes begin with, and nobody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guid(String);

impl Guid {
    /// A new one for a session: that is the only one of its id, and its owner counts.
    pub(super) fn new(session_id: u64) -> Guid {
        // Begins anywhere, in case a session goes on in another process.
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(getrandom::u64().unwrap_or(0)));
        Guid::from_parts(session_id, NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn from_parts(high: u64, low: u64) -> Guid {
        let digits = format!("{high:016x}{low:016x}");
        let [a, b, c, d, e] = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        Guid(format!("_c_{a}-{b}-{c}-{d}-{e}-"))
    }

    /// By itself it is no contender's name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name up to the number that the ensemble appends.
    pub(super) fn name(&self, wish: Wish) -> String {
        format!("{}{}", self.0, wish.mark())
    }

    pub(super) fn owns(&self, name: &str) -> bool {
        name.starts_with(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_fleets_are_understood() {
        for (name, expected) in [
            ("_c_5f7c2a60-1c2b-4b5c-9d3e-0123456789ab-lock-0000000007", Some((7, Claim::Exclusive))),
            ("lock-0000000007", Some((7, Claim::Exclusive))),
            ("_c_5f7c2a60-1c2b-4b5c-9d3e-0123456789ab-latch-0000000007", Some((7, Claim::Exclusive))),
            ("_c_5f7c2a60-1c2b-4b5c-9d3e-0123456789ab-__WRIT__0000000007", Some((7, Claim::Exclusive))),
            ("_c_5f7c2a60-1c2b-4b5c-9d3e-0123456789ab-__READ__0000000008", Some((8, Claim::Shared))),
            ("5f7c2a601c2b4b5c9d3e0123456789ab__lock__0000000009", Some((9, Claim::Exclusive))),
            ("5f7c2a601c2b4b5c9d3e0123456789ab__rlock__0000000010", Some((10, Claim::Shared))),
            // A digit before the mark is not the number's, and numbers outgrow their ten digits.
            ("1234567890__lock__12345678901", Some((12_345_678_901, Claim::Exclusive))),
            ("lock-000000007", None),
            ("lock-", None),
            ("leases", None),
            ("_c_5f7c2a60-1c2b-4b5c-9d3e-0123456789ab-lease-0000000007", None),
            ("0000000007", None),
            ("lock-99999999999999999999999", None),
        ] {
            let found = Place::parse(name).map(|place| (place.number, place.claim));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn our_names_are_understood_and_belong_to_one_contender() {
        let (mine, other) = (Guid::new(1), Guid::new(1));
        assert_ne!(mine, other);
        for (wish, claim) in [
            (Wish::Lock, Some(Claim::Exclusive)),
            (Wish::Latch, Some(Claim::Exclusive)),
            (Wish::Write, Some(Claim::Exclusive)),
            (Wish::Read, Some(Claim::Shared)),
            (Wish::Lease, None),
            (Wish::Part, None),
        ] {
            let name = format!("{}0000000003", mine.name(wish));
            assert!(mine.owns(&name) && !other.owns(&name));
            assert_eq!(Place::parse(&name).map(|place| place.claim), claim);
        }
        let guid = Guid::from_parts(0x1234_5678_9abc_def0, 0x42);
        assert_eq!(guid.name(Wish::Lock), "_c_12345678-9abc-def0-0000-000000000042-lock-");
    }
}
