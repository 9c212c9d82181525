//! What comes before the first record: TLS, and the upgrade to a web socket.

use std::io;
use std::task::{Context, Poll, ready};

use super::bytes::Bytes;
use super::codec::{Codec, is_blocked};
use super::stream::Stream;
use super::upgrade::Upgrade;
use crate::Ready;

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
                done => {
                    let Some(bytes) = slot.take() else { return Poll::Pending };
                    return Poll::Ready(done.map(|(codec, rest)| Stream::new(bytes, codec, rest)));
                }
            }
        }
    }
}
