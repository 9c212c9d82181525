//! ENet, in its translation to Rust: two hosts.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rusty_enet::{Event, Host, HostSettings, MTU_MAX, Packet, PacketReceived, PeerID, Socket};

use super::{Class, MTU, Pair};
use crate::messages::Check;

/// Datagrams under way in one direction; its memory is used again.
#[derive(Default)]
struct Lane {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    taken: usize,
}

/// One end's view of both lanes.
pub(crate) struct Wire {
    out: Rc<RefCell<Lane>>,
    inward: Rc<RefCell<Lane>>,
}

/// Milliseconds, as all hosts of a pair see them.
pub(crate) type Time = Rc<Cell<u64>>;

impl Wire {
    /// Both ends.
    pub(crate) fn pair() -> (Self, Self) {
        let (out, inward) = <(Rc<RefCell<Lane>>, Rc<RefCell<Lane>>)>::default();
        let other = Self { out: Rc::clone(&inward), inward: Rc::clone(&out) };
        (Self { out, inward }, other)
    }

    fn is_empty(&self) -> bool {
        self.out.borrow().ends.is_empty() && self.inward.borrow().ends.is_empty()
    }
}

impl Socket for Wire {
    type Address = ();
    type Error = Infallible;

    fn send(&mut self, (): (), datagram: &[u8]) -> Result<usize, Infallible> {
        let lane = &mut *self.out.borrow_mut();
        lane.bytes.extend_from_slice(datagram);
        lane.ends.push(lane.bytes.len());
        Ok(datagram.len())
    }

    fn receive(&mut self, buf: &mut [u8; MTU_MAX]) -> Result<Option<((), PacketReceived)>, Infallible> {
        let lane = &mut *self.inward.borrow_mut();
        let Some(&end) = lane.ends.get(lane.taken) else {
            lane.bytes.clear();
            lane.ends.clear();
            lane.taken = 0;
            return Ok(None);
        };
        let start = lane.taken.checked_sub(1).map_or(0, |before| lane.ends[before]);
        lane.taken += 1;
        buf[..end - start].copy_from_slice(&lane.bytes[start..end]);
        Ok(Some(((), PacketReceived::Complete(end - start))))
    }
}

struct End {
    host: Host<Wire>,
    peer: Option<PeerID>,
    arrived: Vec<Packet>,
}

impl End {
    fn new(time: Time, wire: Wire) -> Self {
        let settings = HostSettings {
            peer_limit: 1,
            channel_limit: 1,
            time: Box::new(move || Duration::from_millis(time.get())),
            seed: Some(1),
            ..HostSettings::default()
        };
        let mut host = Host::new(wire, settings).unwrap_or_else(|_| panic!("a sound configuration"));
        host.set_mtu(MTU).expect("a sound MTU");
        Self { host, peer: None, arrived: Vec::new() }
    }

    fn service(&mut self) {
        while let Some(event) = self.host.service().expect("a wire that cannot fail") {
            match event {
                Event::Connect { peer, .. } => self.peer = Some(peer.id()),
                Event::Receive { packet, .. } => self.arrived.push(packet),
                Event::Disconnect { .. } => unreachable!("nobody disconnects"),
            }
        }
    }

    fn send(&mut self, packet: &Packet) {
        let peer = self.peer.expect("it is connected");
        self.host.peer_mut(peer).send(0, packet).expect("it is connected");
    }
}

/// Two hosts.
pub(crate) struct Enet {
    time: Time,
    client: End,
    server: End,
}

impl Enet {
    pub(crate) fn new() -> Self {
        let time = Rc::new(Cell::new(1000));
        let (near, far) = Wire::pair();
        let (mut client, server) = (End::new(Rc::clone(&time), near), End::new(Rc::clone(&time), far));
        client.host.connect((), 1, 0).expect("room for one");
        let mut pair = Self { time, client, server };
        while pair.client.peer.is_none() || pair.server.peer.is_none() {
            pair.exchange();
        }
        pair
    }
}

impl Pair for Enet {
    fn send(&mut self, class: Class, message: &Bytes) -> bool {
        let packet = match class {
            Class::Reliable => Packet::reliable(&message[..]),
            Class::Unreliable => Packet::always_unreliable(&message[..]),
        };
        self.client.send(&packet);
        true
    }

    fn exchange(&mut self) {
        loop {
            self.client.service();
            self.server.service();
            if self.client.host.socket().is_empty() {
                break;
            }
        }
        self.time.set(self.time.get() + 1);
    }

    fn receive(&mut self, check: &mut Check<'_>) {
        for packet in self.server.arrived.drain(..) {
            check.part(packet.data(), true);
        }
    }

    fn answer(&mut self) {
        for packet in std::mem::take(&mut self.server.arrived) {
            self.server.send(&packet);
        }
    }

    fn receive_answers(&mut self, check: &mut Check<'_>) {
        for packet in self.client.arrived.drain(..) {
            check.part(packet.data(), true);
        }
    }
}
