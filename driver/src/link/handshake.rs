//! What comes before the first record: TLS, and the upgrade to a web socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::task::{Context, Poll, ready};

use proto_core::{Address as _, Timestamp};

use super::bytes::Bytes;
use super::codec::{Codec, is_blocked};
use super::stream::Stream;
use super::upgrade::Upgrade;
use crate::{Path, Ready};

/// A stream that carries no records yet.
#[derive(Debug)]
pub(super) struct Handshake<I> {
    /// `None` once it is done.
    bytes: Option<Bytes<I>>,
    upgrade: Option<Box<Upgrade>>,
}

impl<I: Ready> Handshake<I> {
    pub(super) fn new(bytes: Bytes<I>, upgrade: Option<Upgrade>) -> Self {
        Self { bytes: Some(bytes), upgrade: upgrade.map(Box::new) }
    }

    /// Goes on until the stream carries records.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream<I>>> {
        let Self { bytes: slot, upgrade } = self;
        let Some(bytes) = slot else { return Poll::Pending };
        bytes.wake();
        loop {
            let done = bytes.handshake().and_then(|()| match upgrade {
                Some(upgrade) => upgrade.go_on(bytes).map(|rest| (Codec::web_socket(upgrade.role()), rest)),
                None => Ok((Codec::framed(), Vec::new())),
            });
            match done {
                Err(error) if is_blocked(&error) => {
                    ready!(bytes.poll_again(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                done => {
                    let Some(bytes) = slot.take() else { return Poll::Pending };
                    return Poll::Ready(done.map(|(codec, rest)| Stream::new(bytes, codec, rest)));
                }
            }
        }
    }
}

/// Which accepted streams are at their handshakes.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    /// When each ends at the latest, and its seat.
    ends: BTreeMap<usize, Timestamp>,
    by_end: BTreeSet<(Timestamp, usize)>,
    /// How many each network has.
    by_prefix: BTreeMap<u64, usize>,
}

impl Handshakes {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many the network has that a stream came from; none where there are no networks.
    pub(super) fn of(&self, path: Path) -> usize {
        path.prefix().and_then(|prefix| self.by_prefix.get(&prefix)).copied().unwrap_or(0)
    }

    pub(super) fn oldest(&self) -> Option<usize> {
        self.by_end.first().map(|&(_, seat)| seat)
    }

    pub(super) fn begin(&mut self, end: Timestamp, seat: usize, path: Path) {
        self.ends.insert(seat, end);
        self.by_end.insert((end, seat));
        if let Some(prefix) = path.prefix() {
            *self.by_prefix.entry(prefix).or_default() += 1;
        }
    }

    pub(super) fn end(&mut self, seat: usize, path: Path) {
        let Some(end) = self.ends.remove(&seat) else { return };
        self.by_end.remove(&(end, seat));
        if let Some(prefix) = path.prefix()
            && let Some(count) = self.by_prefix.get_mut(&prefix)
        {
            *count -= 1;
            if *count == 0 {
                self.by_prefix.remove(&prefix);
            }
        }
    }
}
