//! The named maxima of what passes between servers, each with its reason.

use std::time::Duration;

use quorate_types::frame::FRAME_BYTES_MAX;

/// Bytes of records in one append; a single record may have more. Agreement's limit, repeated here to be compared.
pub const APPEND_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that agreement has in flight in a session, besides the last append.
pub const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of one message that are accepted. Twice what anybody sends leaves room for a batch that a later version makes
/// larger.
pub const MESSAGE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// Bytes of a hello: nobody who has not said who they are makes us hold more.
pub const HELLO_BYTES_MAX: usize = 1_024;

/// Bytes of a notification: 254 members with the longest addresses do not fit, but nobody has those.
pub const NOTIFICATION_BYTES_MAX: usize = 256 * 1024;

/// Bytes that may wait to be sent in a session. Agreement stays far below: whoever reads so little that they become this
/// many does not live, and is cut.
pub const SEND_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Smaller messages are sent together, up to about so many bytes; a larger one on its own, so that what is before it
/// arrives before it.
pub(super) const TOGETHER_BYTES: usize = 64 * 1024;

/// Bytes of one DATA frame of HTTP/2: the largest append with its own overhead, so that it is received in one piece.
pub(super) const DATA_BYTES_MAX: u32 = (APPEND_BYTES_MAX + 256 * 1024) as u32;

/// Bytes that may be on their way in a session: everything that agreement has in flight, so that HTTP/2 never waits
/// where agreement does not.
pub(super) const SESSION_WINDOW_BYTES: u32 = (2 * WINDOW_BYTES + FRAME_BYTES_MAX) as u32;

/// Bytes that may be on their way on a link.
pub(super) const LINK_WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes of a snapshot that may be on their way: beyond, the sender waits until the receiver has written them.
pub(super) const SNAPSHOT_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// Bytes of a snapshot that were read from disk and not taken by the connection.
pub(super) const SNAPSHOT_UNSENT_BYTES: usize = 1024 * 1024;

/// Chunks between the connection and the thread that reads or writes the file: the next one is there when it is wanted.
pub(super) const SNAPSHOT_CHUNKS: usize = 2;

/// Between two signs of a snapshot's progress.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// After a snapshot that was not received, before another one is asked for.
pub(super) const SNAPSHOT_RETRY: Duration = Duration::from_millis(500);

/// Addresses of one name that a dial tries. Each gets its share of the time.
pub(super) const ADDRESSES_MAX: usize = 8;

/// The first wait before a link is dialed again ...
pub(super) const REDIAL_MIN: Duration = Duration::from_millis(50);
/// ... and the longest: a server that comes back is linked within it.
pub(super) const REDIAL_MAX: Duration = Duration::from_secs(1);

/// Connections that the door serves at one time: a link, a session and a snapshot with each of 254 servers, with room for
/// those that died and are not noticed yet.
pub(super) const CONNECTIONS_MAX: usize = 1_024;

const _: () = {
    // The decode limit is at least twice what is sent at once, and one frame of HTTP/2 holds a whole append.
    assert!(MESSAGE_BYTES_MAX >= 2 * APPEND_BYTES_MAX && MESSAGE_BYTES_MAX >= 2 * FRAME_BYTES_MAX);
    assert!(DATA_BYTES_MAX as usize > APPEND_BYTES_MAX);
    assert!(SESSION_WINDOW_BYTES as usize >= WINDOW_BYTES + FRAME_BYTES_MAX);
    assert!(SEND_BYTES_MAX >= 2 * (WINDOW_BYTES + FRAME_BYTES_MAX));
};
