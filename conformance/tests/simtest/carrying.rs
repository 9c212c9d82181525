//! What an adapter does for an endpoint, in the simulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::{Wake, Waker};

use driver::{Address, End, Machine, Node, Path, Peer, Places, Scheme, Shared};
use proto_core::{Credentials, Dial, DialError, DialId, Link, LinkId, Meta, Output, Timestamp};
use simtest::{Addr, Ecn, StreamEvent, StreamId, StreamOp, Streams, Time, Transmit};

use crate::host::Do;
use crate::threads::{self, Case};
use crate::wires::{Linked, Wires};

/// What a payload of `ends::a_panic_is_told_to_all_who_wait` says when it panics.
const OWN_PANIC: &str = "the application's memory is gone";
/// The port of the first address.
const FIRST_PORT: u16 = 1000;

/// A simulated address, as everybody else writes it.
pub(crate) fn socket_addr(at: Addr) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, FIRST_PORT + at.number() as u16).into()
}

/// The simulated address that is written so.
pub(crate) fn addr(at: SocketAddr) -> Addr {
    Addr::new((at.port() - FIRST_PORT).into())
}

/// The simulated address of a server.
pub(crate) fn addr_of(address: &Address) -> Addr {
    addr(address.socket_addr().expect("it is an IP address"))
}

/// Wakes whoever carries for an endpoint.
struct Bell {
    case: Arc<Case>,
    host: u32,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.case.tell(self.host, Do::Turn);
    }
}

/// An endpoint at an address, and what it has to do with the network.
#[derive(Clone, Debug)]
pub(crate) struct Carrying {
    linked: Streaming,
    wires: Wires,
    bell: Waker,
}

/// The verbs about streams.
#[derive(Clone, Debug)]
struct Streaming {
    machine: Shared<Node>,
    places: Arc<Places>,
    /// It takes streams.
    listens: bool,
}

impl Carrying {
    pub(crate) fn new(
        case: &Arc<Case>,
        host: u32,
        machine: Shared<Node>,
        places: Arc<Places>,
        listens: bool,
    ) -> Self {
        let bell = Waker::from(Arc::new(Bell { case: Arc::clone(case), host }));
        Self { linked: Streaming { machine, places, listens }, wires: Wires::default(), bell }
    }

    const fn machine(&self) -> &Shared<Node> {
        &self.linked.machine
    }

    /// What comes on the streams of whoever was here before finds this one.
    pub(crate) fn take_over(&mut self, before: &mut Self) {
        self.wires = std::mem::take(&mut before.wires);
        self.wires.reset_all();
    }

    /// What is done from here on rings.
    pub(crate) fn attend(&self) {
        if self.machine().ended().is_none() {
            self.machine().begin_turn(&self.bell);
        }
    }

    /// A panic ends the endpoint as it would end its task. One that is not the case's own doing ends the case as well.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.machine().ended().is_some() {
            return None;
        }
        let worked = panic::catch_unwind(AssertUnwindSafe(|| work(self)));
        worked
            .map_err(|panic| {
                self.machine().end(End::Panicked);
                self.wires.reset_all();
                let why = panic.downcast_ref::<&str>().copied().unwrap_or("a panic");
                if why != OWN_PANIC {
                    threads::case().fail(&format!("an endpoint panicked: {why}"));
                }
            })
            .ok()
    }

    /// The same where something is written, of which a panic leaves nothing.
    fn guarded_output<T>(
        &mut self,
        out: &mut Vec<u8>,
        work: impl FnOnce(&mut Self, &mut Vec<u8>) -> Option<T>,
    ) -> Option<T> {
        let before = out.len();
        let written = self.guarded(|it| work(it, out)).flatten();
        if written.is_none() {
            out.truncate(before);
        }
        written
    }

    pub(crate) fn on_datagram(&mut self, from: Addr, bytes: &[u8]) {
        let path = Path { socket: 0, peer: Peer::Udp(socket_addr(from)) };
        self.guarded(|it| {
            it.machine().turn(|machine, now| machine.handle_packet(now, Meta { path, ecn: None }, bytes));
        });
    }

    pub(crate) fn on_timeout(&mut self) {
        self.guarded(|it| it.machine().turn(Machine::handle_timeout));
    }

    pub(crate) fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit =
            self.guarded(|it| it.machine().turn(|machine, now| machine.poll_transmit(now, out)))??;
        let to = transmit.path.peer.socket_addr().expect("datagrams go to addresses");
        Some(Transmit { dst: addr(to), ecn: Ecn::NotEct, len: transmit.len })
    }

    pub(crate) fn on_stream(&mut self, now: Time, stream: StreamId, event: StreamEvent<'_>) {
        if self.machine().ended().is_some() {
            return self.wires.refuse(stream, event);
        }
        self.guarded(|it| it.wires.on_stream(timestamp(now), &mut it.linked, stream, event));
    }

    pub(crate) fn poll_stream(
        &mut self,
        now: Time,
        streams: Streams<'_>,
        out: &mut Vec<u8>,
    ) -> Option<StreamOp> {
        if self.machine().ended().is_some() {
            return self.wires.poll_op();
        }
        self.guarded_output(out, |it, out| it.wires.poll_stream(timestamp(now), &mut it.linked, streams, out))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        if self.machine().ended().is_some() {
            return None;
        }
        self.machine().inspect(Machine::poll_timeout).map(|at| Time::from_nanos(at.as_nanos()))
    }

    /// Ends an endpoint that has nothing more to do, once all of it is on its way.
    pub(crate) fn finish(&mut self) {
        let machine = self.machine();
        if machine.ended().is_none() && machine.inspect(Machine::is_over) && self.wires.is_quiet() {
            machine.end(End::Over);
        }
    }
}

const fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_nanos(time.as_nanos())
}

impl Linked for Streaming {
    fn link_up(&mut self, _: Timestamp, from: Addr, link: Link) -> Option<LinkId> {
        let path = Path { socket: 0, peer: Peer::Stream(Scheme::Tcp, socket_addr(from)) };
        let listens = self.listens;
        self.machine
            .turn(|machine, now| listens.then(|| machine.link_up(now, path, link, Credentials::default()))?)
    }

    fn link_down(&mut self, _: Timestamp, id: LinkId) {
        self.machine.turn(|machine, now| machine.link_down(now, id));
    }

    fn link_broken(&mut self, _: Timestamp, id: LinkId, why: &'static str) {
        self.machine.turn(|machine, now| machine.link_broken(now, id, why));
    }

    fn handle_record(&mut self, _: Timestamp, id: LinkId, record: &[u8]) {
        self.machine.turn(|machine, now| machine.handle_record(now, id, record));
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.machine.inspect(|machine| machine.record_limit(id))
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        self.machine.turn(|machine, _| machine.poll_link())
    }

    fn poll_record(&mut self, _: Timestamp, id: LinkId, out: &mut Vec<u8>) -> Output {
        self.machine.turn(|machine, now| machine.poll_record(now, id, out))
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.machine.inspect(|machine| machine.has_link(id))
    }

    fn poll_dial(&mut self) -> Option<Dial<Addr>> {
        Some(match self.machine.turn(|machine, _| machine.poll_dial())? {
            Dial::Begin { id, address } => {
                let address = self.places.address(address).expect("it is one of its own");
                Dial::Begin { id, address: addr_of(&address) }
            }
            Dial::Cancel(id) => Dial::Cancel(id),
        })
    }

    fn dialed(&mut self, _: Timestamp, id: DialId, link: Link) -> Option<LinkId> {
        self.machine.turn(|machine, now| machine.dialed(now, id, link))
    }

    fn dial_failed(&mut self, _: Timestamp, id: DialId, error: DialError) {
        self.machine.turn(|machine, now| machine.dial_failed(now, id, error));
    }
}
