//! Watches: what a client asks for, and what it is told.

use quorate_proto::v1;
use quorate_replica::WatchItem;
use quorate_types::{ChangeFilter, ChangeKind, Event, Op, Resume, StreamWatch, WatchId, WatchOp, WatchScope, Zxid};

use super::super::error;
use super::stat::stat;
use super::{Asked, Refusal, path};

/// The bounds of a progress interval that is asked for, in milliseconds: often enough to be of use, seldom enough to
/// cost nothing.
const PROGRESS_MS_MIN: u32 = 100;
const PROGRESS_MS_MAX: u32 = 600_000;

/// A watch that is to begin.
pub(in crate::grpc) fn create_watch(request: v1::WatchCreate) -> Result<Asked, Refusal> {
    let v1::WatchCreate {
        watch_id,
        path: at,
        kind,
        start_zxid,
        start_index,
        send_initial,
        with_data,
        with_previous_data,
        exclude,
        progress_interval_ms,
        options,
    } = request;
    let scope = match v1::WatchKind::try_from(kind) {
        Ok(v1::WatchKind::Unspecified | v1::WatchKind::Node) => WatchScope::Node,
        Ok(v1::WatchKind::Children) => WatchScope::Children,
        Ok(v1::WatchKind::Recursive) => WatchScope::Recursive,
        Err(_) => return Err(Refusal::bad("kind", format!("{kind} is no kind that this server knows"))),
    };
    let start = match (start_zxid, start_index) {
        (None, None) => None,
        (Some(zxid), index) => Some(Resume { zxid: Zxid(zxid), index: index.unwrap_or(u32::MAX) }),
        (None, Some(_)) => return Err(Refusal::bad("start_index", "only with `start_zxid`")),
    };
    if send_initial && start.is_some() {
        return Err(Refusal::bad("send_initial", "not with `start_zxid`"));
    }
    if progress_interval_ms != 0 && !(PROGRESS_MS_MIN..=PROGRESS_MS_MAX).contains(&progress_interval_ms) {
        let detail = format!("0, or {PROGRESS_MS_MIN} to {PROGRESS_MS_MAX}");
        return Err(Refusal::bad("progress_interval_ms", detail));
    }
    let watch = StreamWatch {
        id: WatchId(watch_id),
        path: path("path", at)?,
        scope,
        start,
        send_initial,
        with_data,
        with_previous_data,
        exclude: filter(&exclude)?,
        progress_ms: progress_interval_ms,
    };
    Ok(Asked { op: Op::Watch(WatchOp::Create(watch)), options })
}

fn filter(exclude: &[i32]) -> Result<ChangeFilter, Refusal> {
    exclude.iter().try_fold(ChangeFilter::default(), |filter, kind| match v1::EventType::try_from(*kind) {
        Ok(v1::EventType::Created) => Ok(filter.with(ChangeKind::Created)),
        Ok(v1::EventType::Deleted) => Ok(filter.with(ChangeKind::Deleted)),
        Ok(v1::EventType::Changed) => Ok(filter.with(ChangeKind::DataChanged)),
        Ok(v1::EventType::Unspecified) | Err(_) => {
            Err(Refusal::bad("exclude", format!("{kind} is no event type that this server knows")))
        }
    })
}

/// A watch that is to end.
pub(in crate::grpc) fn cancel_watch(request: v1::WatchCancel) -> Asked {
    Asked { op: Op::Watch(WatchOp::Cancel(WatchId(request.watch_id))), options: None }
}

/// What watches are told.
pub(in crate::grpc) fn watch_item(watches: &[WatchId], item: WatchItem) -> v1::WatchItem {
    use v1::watch_item::Item as To;
    let item = match item {
        WatchItem::Created(zxid) => To::Created(v1::WatchCreated { zxid: zxid.0 }),
        WatchItem::Events(events) => To::Events(v1::WatchEvents { events: events.iter().map(event).collect() }),
        WatchItem::Synced(zxid) => To::Synced(v1::WatchSynced { zxid: zxid.0 }),
        WatchItem::Progress(zxid) => To::Progress(v1::WatchProgress { zxid: zxid.0 }),
        WatchItem::Canceled { error: failed, resume, compacted } => To::Canceled(v1::WatchCanceled {
            error: failed.as_ref().map(error::message),
            resume_zxid: resume.0,
            compacted_zxid: compacted.map(|zxid| zxid.0),
        }),
    };
    v1::WatchItem { watch_ids: watches.iter().map(|id| id.0).collect(), item: Some(item) }
}

fn event(event: &Event) -> v1::Event {
    let Event { kind, zxid, index, path, stat: of, data, previous_data } = event;
    let kind = match kind {
        ChangeKind::Created => v1::EventType::Created,
        ChangeKind::Deleted => v1::EventType::Deleted,
        ChangeKind::DataChanged => v1::EventType::Changed,
    };
    v1::Event {
        zxid: zxid.0,
        index: *index,
        r#type: kind.into(),
        path: path.clone(),
        stat: Some(stat(of)),
        data: data.clone(),
        previous_data: previous_data.clone(),
    }
}
