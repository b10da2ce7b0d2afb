//! Every row of the table of schemes, and what ACLs turn into.

use super::*;
use alloc::vec;
use core::slice::from_ref;

fn entry(perms: Perms, scheme: &str, id: &str) -> AclEntry {
    AclEntry { perms, scheme: scheme.into(), id: id.into() }
}

fn caller(identities: &[(&str, &str)]) -> Caller {
    let identity = |(scheme, id): &(&str, &str)| Identity { scheme: (*scheme).into(), id: (*id).into() };
    Caller { identities: identities.iter().map(identity).collect() }
}

#[test]
fn a_digest_identity_hashes_user_and_password_together() {
    let check = |credentials: &str, id: &str| assert_eq!(digest_identity(credentials).id, id);
    check("user1:12345", "user1:+owfoSBn/am19roBPzR1/MfCblE=");
    check("zookeeper:admin", "zookeeper:qW/HnTfCSoQpB5G8LgkwT3IbiFc=");
}

#[test]
fn only_what_is_granted_is_permitted() {
    let check = |entries: &[AclEntry], identities: &[(&str, &str)], wanted, expected| {
        let acl = Acl::new(entries.to_vec());
        assert_eq!(permits(&acl, &caller(identities), wanted), expected, "{entries:?} {identities:?} {wanted:?}");
    };
    let world = entry(Perms::READ, "world", "anyone");
    let bob = entry(Perms::ALL, "digest", "bob:h");
    check(from_ref(&world), &[], Perms::READ, true);
    check(from_ref(&world), &[], Perms::WRITE, false);
    check(from_ref(&world), &[], Perms::READ.union(Perms::ADMIN), true);
    check(from_ref(&bob), &[], Perms::READ, false);
    check(from_ref(&bob), &[("digest", "bob:h")], Perms::ADMIN, true);
    check(from_ref(&bob), &[("digest", "eve:h"), ("digest", "bob:h")], Perms::ADMIN, true);
    check(from_ref(&bob), &[("digest", "bob:other")], Perms::READ, false);
    check(from_ref(&bob), &[("x509", "bob:h")], Perms::READ, false);
    check(&[bob.clone(), world.clone()], &[], Perms::READ, true);
    check(&[], &[("digest", "bob:h")], Perms::READ, false);
    check(&[], &[("super", "")], Perms::ALL, true);
    check(&[entry(Perms::ALL, "super", "")], &[], Perms::READ, false);
    check(&[entry(Perms::ALL, "nobody-knows", "x")], &[("nobody-knows", "x")], Perms::READ, false);
    check(&[entry(Perms::ALL, "auth", "")], &[("digest", "bob:h")], Perms::READ, false);
}

#[test]
fn what_a_client_writes_is_resolved_or_refused() {
    let bob = caller(&[("ip", "10.0.0.1"), ("digest", "bob:h"), ("digest", "bob2:h")]);
    let check = |entries: &[AclEntry], caller: &Caller, expected: Result<Vec<AclEntry>, Code>| {
        let result = normalize(entries, caller).map(|acl| acl.entries()).map_err(|error| error.code());
        assert_eq!(result, expected, "{entries:?}");
    };
    let open = entry(Perms::ALL, "world", "anyone");
    let read = entry(Perms::READ, "world", "anyone");
    check(from_ref(&open), &Caller::anonymous(), Ok(vec![open.clone()]));
    check(&[], &bob, Err(Code::InvalidAcl));
    check(&[read.clone(), read.clone()], &bob, Ok(vec![read.clone()]));
    check(&[read.clone(), open.clone()], &bob, Ok(vec![read.clone(), open.clone()]));
    check(&[entry(Perms::READ, "world", "me")], &bob, Err(Code::InvalidAcl));
    check(&[entry(Perms::READ, "digest", "no-colon")], &bob, Err(Code::InvalidAcl));
    check(&[entry(Perms::READ, "digest", "a:b:c")], &bob, Err(Code::InvalidAcl));
    check(&[entry(Perms::READ, "super", "")], &bob, Err(Code::InvalidAcl));
    check(&[entry(Perms::READ, "kerberos-of-old", "x")], &bob, Err(Code::InvalidAcl));
    check(&[entry(Perms::READ, "digest", &format!("u:{}", "x".repeat(600)))], &bob, Err(Code::InvalidAcl));
    let mine = |perms| vec![entry(perms, "digest", "bob:h"), entry(perms, "digest", "bob2:h")];
    check(&[entry(Perms::READ, "auth", "ignored")], &bob, Ok(mine(Perms::READ)));
    check(&[entry(Perms::READ, "auth", "")], &caller(&[("ip", "10.0.0.1")]), Err(Code::InvalidAcl));
    let odd = entry(Perms(1 << 20), "world", "anyone");
    check(from_ref(&odd), &bob, Ok(vec![odd.clone()]));
    let many: Vec<_> = (0..200).map(|i| entry(Perms::READ, "digest", &format!("u{i}:h"))).collect();
    check(&many, &bob, Err(Code::TooLarge));
}

#[test]
fn digests_are_masked_for_those_who_may_not_change_the_acl() {
    let acl = Acl::new(vec![entry(Perms::ALL, "digest", "bob:secret"), entry(Perms::READ, "world", "anyone")]);
    assert_eq!(visible(&acl, &Caller::anonymous())[0].id, "bob:x");
    assert_eq!(visible(&acl, &Caller::anonymous())[1].id, "anyone");
    assert_eq!(visible(&acl, &caller(&[("digest", "bob:secret")]))[0].id, "bob:secret");
    assert_eq!(visible(&acl, &Caller::server())[0].id, "bob:secret");
}

#[test]
fn a_caller_is_the_same_wherever_and_in_whatever_order_he_proves_himself() {
    let a = caller(&[("ip", "10.0.0.1"), ("digest", "a:x"), ("digest", "b:x")]);
    let b = caller(&[("digest", "b:x"), ("digest", "a:x"), ("ip", "10.0.0.2")]);
    assert_eq!(caller_hash(&a), caller_hash(&b));
    assert_ne!(caller_hash(&a), caller_hash(&caller(&[("digest", "a:x")])));
}
