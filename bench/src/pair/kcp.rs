//! KCP: two control objects, flushed after every batch as one would for the least delay.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use bytes::Bytes;

use super::{Class, MTU, Pair};
use crate::messages::Check;

/// Packets may be queued up to this many.
const WINDOW: u16 = 1024;

/// Datagrams under way in one direction; its memory is used again.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<(Vec<u8>, Vec<usize>)>>);

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        let (bytes, ends) = &mut *self.0.borrow_mut();
        bytes.extend_from_slice(datagram);
        ends.push(bytes.len());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two control objects.
pub(crate) struct Kcp {
    now: u32,
    client: End,
    server: End,
    buf: Vec<u8>,
}

struct End {
    kcp: kcp::Kcp<Wire>,
    wire: Wire,
}

impl End {
    fn new() -> Self {
        let wire = Wire::default();
        let mut kcp = kcp::Kcp::new(7, wire.clone());
        kcp.set_nodelay(true, 10, 2, true);
        kcp.set_wndsize(WINDOW, WINDOW);
        kcp.set_mtu(MTU.into()).expect("a sound MTU");
        kcp.update(0).expect("the first update");
        Self { kcp, wire }
    }

    /// Sends all that there is to `other`; whether there was anything.
    fn transmit(&mut self, other: &mut Self) -> bool {
        self.kcp.flush().expect("it was updated");
        let (bytes, ends) = &mut *self.wire.0.borrow_mut();
        let mut start = 0;
        for &end in &*ends {
            other.kcp.input(&bytes[start..end]).expect("a sound packet");
            start = end;
        }
        let moved = !ends.is_empty();
        bytes.clear();
        ends.clear();
        moved
    }

    fn receive(&mut self, buf: &mut [u8], mut each: impl FnMut(&[u8])) {
        while let Ok(len) = self.kcp.recv(buf) {
            each(&buf[..len]);
        }
    }
}

impl Kcp {
    pub(crate) fn new() -> Self {
        Self { now: 0, client: End::new(), server: End::new(), buf: vec![0; 512 << 10] }
    }
}

impl Pair for Kcp {
    fn send(&mut self, _: Class, message: &Bytes) -> bool {
        let segments = message.len().div_ceil(self.client.kcp.mss());
        self.client.kcp.wait_snd() + segments <= WINDOW.into() && self.client.kcp.send(message).is_ok()
    }

    fn exchange(&mut self) {
        while self.client.transmit(&mut self.server) | self.server.transmit(&mut self.client) {}
        self.now += 1;
        for end in [&mut self.client, &mut self.server] {
            end.kcp.update(self.now).expect("an update");
        }
    }

    fn receive(&mut self, check: &mut Check<'_>) {
        self.server.receive(&mut self.buf, |message| check.part(message, true));
    }

    fn answer(&mut self) {
        while let Ok(len) = self.server.kcp.recv(&mut self.buf) {
            self.server.kcp.send(&self.buf[..len]).expect("room for the answer");
        }
    }

    fn receive_answers(&mut self, check: &mut Check<'_>) {
        self.client.receive(&mut self.buf, |message| check.part(message, true));
    }
}
