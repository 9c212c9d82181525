//! What can be at an address.

use simtest::{Addr, Dissect, Node, Now, RecvMeta, StreamEvent, StreamId, StreamOp, Streams, Time, Transmit};

use crate::carrying::Carrying;
use crate::raw::Raw;
use crate::relay::Relay;
use crate::threads::set_now;
use crate::wires::Wires;

/// Nobody, an endpoint, a relay, or a client that keeps to nothing.
#[derive(Clone, Debug)]
pub(crate) enum Host {
    Nobody(Wires),
    /// Wakes the case.
    Alarm(Option<Time>),
    Endpoint(Box<Carrying>),
    Relay(Relay),
    Raw(Raw),
}

/// What a host is told.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    /// To look whether there is anything to do.
    Turn,
    /// To become an endpoint, at an address that was perhaps another's.
    Carry(Box<Carrying>),
    Relay(Relay),
    Raw(Raw),
    Alarm(Option<Time>),
    Swallow(bool),
    Cut,
    Redirect(Addr),
    Say(Vec<u8>),
    /// To write no more.
    Finish,
    Hangup,
}

impl Dissect for Host {}

impl Node for Host {
    type Cmd = Do;
    type Event = ();

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], _: RecvMeta) {
        set_now(now.mono);
        match self {
            Self::Endpoint(carrying) => carrying.on_datagram(from, bytes),
            Self::Relay(relay) => relay.on_datagram(from, bytes),
            Self::Nobody(_) | Self::Alarm(_) | Self::Raw(_) => {}
        }
    }

    fn on_stream(&mut self, now: Now, stream: StreamId, event: StreamEvent<'_>) {
        set_now(now.mono);
        match self {
            Self::Endpoint(carrying) => carrying.on_stream(now.mono, stream, event),
            Self::Relay(relay) => relay.on_stream(stream, event),
            Self::Raw(raw) => raw.on_stream(event),
            Self::Nobody(wires) => wires.refuse(stream, event),
            Self::Alarm(_) => {}
        }
    }

    fn poll_stream(&mut self, now: Now, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        set_now(now.mono);
        match self {
            Self::Endpoint(carrying) => carrying.poll_stream(now.mono, streams, out),
            Self::Relay(relay) => relay.poll_stream(streams, out),
            Self::Raw(raw) => raw.poll_stream(streams, out),
            Self::Nobody(wires) => wires.poll_op(),
            Self::Alarm(_) => None,
        }
    }

    fn on_timeout(&mut self, now: Now) {
        set_now(now.mono);
        match self {
            Self::Endpoint(carrying) => carrying.on_timeout(),
            Self::Alarm(at) => *at = None,
            Self::Nobody(_) | Self::Relay(_) | Self::Raw(_) => {}
        }
    }

    fn on_cmd(&mut self, now: Now, cmd: Do) {
        set_now(now.mono);
        match (&mut *self, cmd) {
            (Self::Endpoint(carrying), Do::Turn) => carrying.attend(),
            (before, Do::Carry(mut carrying)) => {
                if let Self::Endpoint(before) = before {
                    carrying.take_over(before);
                }
                carrying.attend();
                *self = Self::Endpoint(carrying);
            }
            (_, Do::Relay(relay)) => *self = Self::Relay(relay),
            (_, Do::Raw(raw)) => *self = Self::Raw(raw),
            (_, Do::Alarm(at)) => *self = Self::Alarm(at),
            (Self::Relay(relay), cmd) => relay.on_cmd(cmd),
            (Self::Raw(raw), cmd) => raw.on_cmd(cmd),
            (host, cmd) => panic!("{host:?} does not know {cmd:?}"),
        }
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        set_now(now.mono);
        match self {
            Self::Endpoint(carrying) => carrying.poll_transmit(out),
            Self::Relay(relay) => relay.poll_transmit(out),
            Self::Nobody(_) | Self::Alarm(_) | Self::Raw(_) => None,
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        match self {
            Self::Endpoint(carrying) => carrying.poll_timeout(),
            Self::Alarm(at) => *at,
            Self::Nobody(_) | Self::Relay(_) | Self::Raw(_) => None,
        }
    }

    fn poll_event(&mut self) -> Option<()> {
        if let Self::Endpoint(carrying) = self {
            carrying.finish();
        }
        None
    }
}
