//! The state machine of a watch, step by step.

use super::*;
use crate::chroot::Chroot;

fn created(zxid: u64) -> Item {
    Item::Created(v1::WatchCreated { zxid })
}

fn events(positions: &[(u64, u32)]) -> Item {
    let event = |(zxid, index): &(u64, u32)| v1::Event { zxid: *zxid, index: *index, ..Default::default() };
    Item::Events(v1::WatchEvents { events: positions.iter().map(event).collect() })
}

fn canceled(reason: v1::ErrorReason, resume_zxid: u64) -> Item {
    let error = v1::Error { reason: reason as i32, ..Default::default() };
    Item::Canceled(v1::WatchCanceled { error: Some(error), resume_zxid, compacted_zxid: None })
}

fn told(outcome: Outcome) -> Vec<(u64, u32)> {
    match outcome {
        Outcome::Tell(WatchEvent::Events(events)) => events.into_iter().map(|e| (e.zxid, e.index)).collect(),
        Outcome::Nothing => Vec::new(),
        other => panic!("{other:?}"),
    }
}

fn start(resume: &Resume) -> (Option<u64>, Option<u32>, bool) {
    let request = resume.request(1, Some(7), None);
    (request.start_zxid, request.start_index, request.send_initial)
}

fn watch(request: v1::WatchCreate) -> Resume {
    Resume::new(request, Chroot::default(), false)
}

#[test]
fn a_watch_resumes_after_the_last_event_progress_or_creation() {
    let mut resume = watch(v1::WatchCreate::default());
    assert_eq!(start(&resume), (None, None, false));
    assert_eq!(resume.on_item(created(5)), Outcome::Tell(WatchEvent::Created { zxid: 5 }));
    assert_eq!(start(&resume), (Some(5), None, false));
    assert_eq!(told(resume.on_item(events(&[(6, 0), (6, 2)]))), [(6, 0), (6, 2)]);
    assert_eq!(start(&resume), (Some(6), Some(2), false));
    assert_eq!(resume.on_item(created(6)), Outcome::Nothing, "it is announced once");
    assert_eq!(start(&resume), (Some(6), Some(2), false));
    let progress = |zxid| Item::Progress(v1::WatchProgress { zxid });
    assert_eq!(resume.on_item(progress(6)), Outcome::Tell(WatchEvent::Progress { zxid: 6 }));
    assert_eq!(resume.on_item(progress(6)), Outcome::Nothing);
    assert_eq!(start(&resume), (Some(6), None, false));
    assert_eq!(resume.on_break(), None);
}

#[test]
fn what_was_told_is_not_told_again() {
    let mut resume = watch(v1::WatchCreate { start_zxid: Some(5), start_index: Some(1), ..Default::default() });
    assert_eq!(start(&resume), (Some(5), Some(1), false));
    resume.on_item(created(5));
    assert_eq!(told(resume.on_item(events(&[(5, 0), (5, 1), (5, 2)]))), [(5, 2)]);
    assert_eq!(told(resume.on_item(events(&[(4, 9), (5, 2)]))), []);
    assert_eq!(told(resume.on_item(events(&[(6, 0)]))), [(6, 0)]);
}

#[test]
fn an_initial_state_is_told_anew_when_it_breaks_and_not_when_it_is_complete() {
    let mut resume = watch(v1::WatchCreate { send_initial: true, ..Default::default() });
    resume.on_item(created(5));
    assert_eq!(resume.on_break(), None, "nothing was told");
    assert_eq!(start(&resume), (None, None, true));
    resume.on_item(created(6));
    assert_eq!(told(resume.on_item(events(&[(6, 0), (6, 0)]))).len(), 2, "its events have no order to be checked by");
    assert_eq!(resume.on_break(), Some(WatchEvent::Reset));
    assert_eq!(start(&resume), (None, None, true));
    resume.on_item(created(7));
    let synced = Item::Synced(v1::WatchSynced { zxid: 7 });
    assert_eq!(resume.on_item(synced), Outcome::Tell(WatchEvent::Synced { zxid: 7 }));
    assert_eq!(resume.on_break(), None);
    assert_eq!(start(&resume), (Some(7), None, false));
    assert_eq!(told(resume.on_item(events(&[(7, 0)]))), [], "it was part of the initial state");
}

#[test]
fn a_watch_that_lags_goes_on_where_the_server_or_it_itself_got() {
    let mut resume = watch(v1::WatchCreate::default());
    resume.on_item(created(5));
    resume.on_item(events(&[(8, 3)]));
    assert_eq!(resume.on_item(canceled(v1::ErrorReason::Lagged, 7)), Outcome::Again(None));
    assert_eq!(start(&resume), (Some(8), Some(3), false));
    assert_eq!(resume.on_item(canceled(v1::ErrorReason::Lagged, 9)), Outcome::Again(None));
    assert_eq!(start(&resume), (Some(9), None, false));
}

#[test]
fn a_watch_ends_for_good_reasons_only() {
    let mut resume = watch(v1::WatchCreate::default());
    resume.on_item(created(5));
    assert_eq!(resume.on_item(canceled(v1::ErrorReason::Unavailable, 5)), Outcome::Leave);
    assert!(!resume.has_ended());
    let Outcome::End(Some(error)) = resume.on_item(canceled(v1::ErrorReason::NoAuth, 5)) else { panic!("no end") };
    assert_eq!(error.reason(), Reason::NoAuth);
    assert!(resume.has_ended());
    assert_eq!(told(resume.on_item(events(&[(6, 0)]))), []);
}

#[test]
fn a_lost_history_ends_the_watch_or_restarts_it() {
    let request = v1::WatchCreate { start_zxid: Some(5), start_index: Some(1), ..Default::default() };
    let mut strict = watch(request.clone());
    let end = strict.on_item(canceled(v1::ErrorReason::Compacted, 0));
    assert!(matches!(end, Outcome::End(Some(error)) if error.reason() == Reason::Compacted));
    let mut lenient = Resume::new(request, Chroot::default(), true);
    assert_eq!(lenient.on_item(canceled(v1::ErrorReason::Compacted, 0)), Outcome::Again(Some(WatchEvent::Reset)));
    assert_eq!(start(&lenient), (None, None, true));
}

#[test]
fn a_server_must_have_seen_what_was_told() {
    let mut resume = watch(v1::WatchCreate::default());
    let bound = |zxid| v1::ZxidBound { cluster_id: 7, zxid };
    let demanded = |resume: &Resume, missing| {
        resume.request(1, Some(7), missing).options.and_then(|options| options.min_zxid).map(|bound| bound.zxid)
    };
    assert_eq!(demanded(&resume, None), None);
    assert_eq!(demanded(&resume, Some(bound(3))), Some(3));
    resume.on_item(created(5));
    assert_eq!(demanded(&resume, Some(bound(3))), Some(5));
    assert_eq!(demanded(&resume, Some(bound(9))), Some(9));
    assert_eq!(resume.request(1, None, None).options, None, "without an ensemble a zxid means nothing");
}

#[test]
fn a_watch_is_not_begun_again_for_a_bound_that_no_server_knows() {
    let unknown = || canceled(v1::ErrorReason::ZxidUnknown, 0);
    let ends = |watch: &mut Resume| {
        let end = watch.on_item(unknown());
        matches!(end, Outcome::End(Some(error)) if error.reason() == Reason::ZxidUnknown) && watch.has_ended()
    };
    assert!(ends(&mut Resume::new(v1::WatchCreate::default(), Chroot::default(), true)));
    // It may have been the start that was unknown: without it, what is left is the bound.
    let request = v1::WatchCreate { start_zxid: Some(5), ..Default::default() };
    let mut resumed = Resume::new(request, Chroot::default(), true);
    assert_eq!(resumed.on_item(unknown()), Outcome::Again(Some(WatchEvent::Reset)));
    assert!(ends(&mut resumed));
}
