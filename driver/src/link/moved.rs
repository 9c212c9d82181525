//! Streams that go from one shard to another.

use std::io;

use proto_core::{LinkId, Now};
use rustls::Connection;

use super::codec::{Codec, Records};
use crate::{Path, Peer, Socket};

/// A stream on its way to the shard that it is for.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(super) path: Path,
    pub(super) socket: Socket,
    pub(super) tls: Option<Box<Connection>>,
    pub(super) codec: Codec,
    /// What came on it, beginning with the record that named the shard.
    pub(super) records: Vec<Vec<u8>>,
    /// What was read behind them.
    pub(super) early: Vec<u8>,
    /// What is to be written and found no room.
    pub(super) pending: Vec<u8>,
}

/// A stream that was accepted, and of which nothing is known yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeting {
    pub(super) path: Path,
    /// No other shard accepts where it came in: newcomers are dealt out.
    pub(super) is_dealt: bool,
}

/// Takes records before it is known whose they are.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) limit: usize,
    pub(super) records: Vec<Vec<u8>>,
}

impl Records for Greeted {
    fn record_limit(&self, _: LinkId) -> usize {
        self.limit
    }

    fn handle_record(&mut self, _: Now, _: LinkId, record: &[u8]) {
        self.records.push(record.to_vec());
    }
}

/// The same socket, for other hands.
pub(super) fn again(path: Path, socket: &socket2::Socket) -> io::Result<Socket> {
    let socket = socket.try_clone()?;
    #[cfg(unix)]
    if matches!(path.peer, Peer::Unix(_)) {
        return Ok(Socket::Unix(std::os::fd::OwnedFd::from(socket).into()));
    }
    let _ = path;
    Ok(Socket::Tcp(socket.into()))
}
