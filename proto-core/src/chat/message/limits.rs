//! The limits that decoding enforces, whatever a configuration says.

/// The longest name of a room in bytes; the shortest is 1.
pub const MAX_ROOM: usize = 64;
/// The longest name of a client in bytes; it may be empty.
pub const MAX_NAME: usize = 64;
/// As much of `name` as a client may be called: its beginning, at most [`MAX_NAME`] bytes of whole characters.
pub fn cut_name(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

/// The largest body in bytes.
pub const MAX_BODY: usize = 16 * 1024;
/// The most entries of one [`ServerReply`](super::ServerReply).
pub const MAX_PAGE_ENTRIES: usize = 128;
/// The most bytes that the entries of one [`ServerReply`](super::ServerReply) take.
pub const MAX_PAGE_BYTES: usize = 64 * 1024;
/// The most appends of one client that are not acknowledged yet. A room remembers as many, so a retry always finds its answer.
pub const MAX_UNACKNOWLEDGED: usize = 64;
/// The longest message in bytes: a full page and the fields before it.
pub const MAX_MESSAGE: usize = MAX_PAGE_BYTES + 128;
