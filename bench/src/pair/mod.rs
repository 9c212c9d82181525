//! Two ends in memory, for each of those compared, behind one trait.

mod baseline;
mod bowline;
mod enet;
mod kcp;
mod quinn;

pub(crate) use self::baseline::Baseline;
pub(crate) use self::bowline::{Bowline, CRC, crypto, no_crc, wide_windows};
pub(crate) use self::enet::{Enet, Time, Wire};
pub(crate) use self::kcp::Kcp;
pub(crate) use self::quinn::crypto::Protection;
pub(crate) use self::quinn::{Quinn, configs as quinn_configs, transport as quinn_transport};
use crate::messages::Check;

use bytes::Bytes;

/// Datagrams have at most this many bytes, whoever makes them.
pub(crate) const MTU: u16 = 1200;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Reliable and in order.
    Reliable,
    /// Not repeated.
    Unreliable,
}

/// A client and a server, connected.
pub(crate) trait Pair {
    /// The client queues a message; `false` when it has no room.
    fn send(&mut self, class: Class, message: &Bytes) -> bool;

    /// The client queues these messages, one after the other, until it has no room; how many it has queued.
    fn send_all<'m>(&mut self, class: Class, messages: impl Iterator<Item = &'m Bytes>) -> u64 {
        let mut sent = 0;
        for message in messages {
            if !self.send(class, message) {
                break;
            }
            sent += 1;
        }
        sent
    }

    /// Carries packets both ways until nothing moves; then a millisecond passes.
    fn exchange(&mut self);

    /// The server takes what has arrived.
    fn receive(&mut self, check: &mut Check<'_>);

    /// The client asks for `message` to be sent back; `false` when it has no room.
    fn ask(&mut self, message: &Bytes) -> bool {
        self.send(Class::Reliable, message)
    }

    /// The server sends back whatever has arrived.
    fn answer(&mut self);

    /// The client takes what was sent back.
    fn receive_answers(&mut self, check: &mut Check<'_>);
}
