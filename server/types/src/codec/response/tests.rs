//! Every answer to a write has one encoding, and no bytes make the decoder panic.

use alloc::string::String;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Stat, Zxid};

fn any_single() -> impl Strategy<Value = Response> {
    let stat = || any::<u64>().prop_map(|zxid| Stat { mzxid: Zxid(zxid), ..Stat::default() });
    let error = (0..Code::ALL.len(), prop::option::of("/[a-z]{1,5}"), ".{0,20}").prop_map(
        |(code, path, detail): (usize, Option<String>, String)| match path {
            Some(path) => Error::at(Code::ALL[code], path, detail),
            None => Error::new(Code::ALL[code], detail),
        },
    );
    prop_oneof![
        error.prop_map(Err),
        ("/[a-z]{1,5}", stat()).prop_map(|(path, stat)| Ok(Reply::Created { path, stat })),
        Just(Ok(Reply::Deleted)),
        any::<u32>().prop_map(|count| Ok(Reply::TreeDeleted { count })),
        stat().prop_map(|stat| Ok(Reply::Changed { stat })),
        Just(Ok(Reply::Checked)),
        (any::<u64>(), any::<u32>()).prop_map(|(id, timeout_ms)| Ok(Reply::Session { id: SessionId(id), timeout_ms })),
        Just(Ok(Reply::SessionClosed)),
    ]
}

fn any_response() -> impl Strategy<Value = Response> {
    let multi = prop::collection::vec(any_single(), 0..5).prop_map(|results| Ok(Reply::Multi(results)));
    prop_oneof![3 => any_single(), 1 => multi]
}

proptest! {
    #[test]
    fn an_answer_survives_its_encoding(answer in any_response(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        put_response(&mut bytes, answer.as_ref());
        let mut reader = Reader::new(Bytes::from(bytes.clone()));
        prop_assert_eq!(response(&mut reader), Ok(answer));
        prop_assert_eq!(reader.finish(), Ok(()));
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(response(&mut Reader::new(Bytes::from(bytes))).is_err());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(prop_oneof![0..9u8, any::<u8>()], 0..200)) {
        let _ = response(&mut Reader::new(Bytes::from(bytes)));
    }
}
