//! Page tokens: where the next page of a listing begins, opaque to callers.
//!
//! A token is no secret (it grants nothing: the listing itself is authorized each time), but it is ours: one that was
//! mistyped, cut short or taken from the listing of another znode is refused and does not silently skip children.
//! It holds no state and no key, so that any gateway of a tier understands any other's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Changes with the form of tokens, so that an old one is refused.
const FORM: u64 = 1;
const CHECKSUM_BYTES: usize = 8;

/// The token for the page of `parent`'s children after the one named `last`.
pub(crate) fn token(parent: &str, last: &str) -> String {
    let mut bytes = Vec::with_capacity(CHECKSUM_BYTES + last.len());
    bytes.extend_from_slice(&checksum(parent, last));
    bytes.extend_from_slice(last.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The name after which the page begins, if `token` is one of `parent`'s.
pub(crate) fn read_token(parent: &str, token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (sum, name) = bytes.split_at_checked(CHECKSUM_BYTES)?;
    let name = std::str::from_utf8(name).ok()?;
    (sum == checksum(parent, name)).then(|| name.to_owned())
}

fn checksum(parent: &str, name: &str) -> [u8; CHECKSUM_BYTES] {
    let parent = xxh3_64_with_seed(parent.as_bytes(), FORM);
    xxh3_64_with_seed(name.as_bytes(), parent).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_the_name() {
        for name in ["a", "", "lock-0000000007", "ü/漢", &"x".repeat(4096)] {
            assert_eq!(read_token("/parent", &token("/parent", name)).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_token_of_another_znode_is_refused() {
        assert_eq!(read_token("/other", &token("/parent", "a")), None);
    }

    #[test]
    fn a_tampered_token_is_refused() {
        let token = token("/parent", "child-7");
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert_eq!(read_token("/parent", &tampered), None, "byte {at}");
            assert_eq!(read_token("/parent", &token[..at]), None, "cut to {at}");
        }
        for text in ["", "!", "AAAA", "ä", &format!("{token}="), &format!("{token}A")] {
            assert_eq!(read_token("/parent", text), None, "{text:?}");
        }
    }
}
