//! Every listener, dial and stream of an endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proto_core::{Dial, DialError, DialId, Link, LinkId, Shard, Timestamp};
use rustls::{Connection, ServerConnection};

use super::bell::{Belfry, Rope};
use super::bytes::Bytes;
use super::dial::Dialing;
use super::handshake::{Handshake, Handshakes};
use super::listen::{Listening, Sharing, SocketFile, is_transient, peer, tune};
use super::moved::{Greeting, Moved};
use super::stream::{READ, Stream, Went, lost};
use super::upgrade::{Guard, Upgrade};
use super::{Counters, LinkOptions, Places};
use crate::handover::{Handover, Letter};
use crate::{Machine, Path, Ready as _, Runtime, Scheme, Shared, Socket};

/// Streams that are accepted from one listener in a turn.
const MAX_ACCEPTS: usize = 64;
/// Times in a turn that the machine is asked again what it wants, after it got it.
const MAX_ROUNDS: usize = 4;
/// How long nothing is accepted after the system could not, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Turns in which a stream that cannot be written any more is read, of all that its peer may have written before.
const MAX_LAST_TURNS: usize = 16;
/// How long a stream that said its last is read to its end.
const LINGER: Duration = Duration::from_secs(5);

/// Every listener, dial and stream of an endpoint.
pub(crate) struct Links<R: Runtime> {
    runtime: R,
    options: LinkOptions,
    places: Arc<Places>,
    /// Boxed, since the list keeps room for more than there are.
    seats: Vec<Option<Box<Seat<R>>>>,
    free: Vec<usize>,
    by_link: BTreeMap<LinkId, usize>,
    by_dial: BTreeMap<DialId, usize>,
    deadlines: BTreeSet<(Timestamp, usize)>,
    belfry: Arc<Belfry>,
    /// Accepted streams at their handshakes.
    handshakes: Handshakes,
    /// Seats that were woken, while they are looked at.
    rung: Vec<usize>,
    /// What is read into, while there is anything to read: one for all.
    buffer: Vec<u8>,
    /// It was read into since it was last asked about.
    is_used: bool,
    /// What records are built in: one for all.
    out: Vec<u8>,
    counters: Arc<Counters>,
}

/// One listener, dial or stream.
struct Seat<R: Runtime> {
    rope: Rope,
    deadline: Option<Timestamp>,
    what: What<R>,
}

enum What<R: Runtime> {
    Listener(Listener<R>),
    Dialing(DialId, Box<Dialing<R>>),
    Accepted(Greeting, Box<Handshake<R::Io>>),
    Stream(LinkId, Stream<R::Io>),
    /// It has said its last, and is read to its end.
    Ending(Stream<R::Io>),
}

struct Listener<R: Runtime> {
    /// Goes before the socket does: whoever listens there next makes a file of its own, which must stay.
    _file: Option<SocketFile>,
    io: R::Io,
    scheme: Scheme,
    /// For web sockets.
    guard: Option<Guard>,
    number: u16,
    /// No other shard accepts here.
    is_alone: bool,
    is_pausing: bool,
}

impl<R: Runtime> Links<R> {
    pub(crate) fn new(runtime: R, options: LinkOptions, places: Arc<Places>) -> Self {
        Self {
            runtime,
            options,
            places,
            seats: Vec::new(),
            free: Vec::new(),
            by_link: BTreeMap::new(),
            by_dial: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            belfry: Arc::default(),
            handshakes: Handshakes::default(),
            rung: Vec::new(),
            buffer: Vec::new(),
            is_used: false,
            out: Vec::new(),
            counters: Arc::default(),
        }
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Takes a listener; its number is its place among them.
    pub(crate) fn add_listener(
        &mut self,
        number: u16,
        listening: Listening,
        sharing: Sharing,
    ) -> std::io::Result<()> {
        let io = self.runtime.register(listening.socket)?;
        let scheme = listening.address.scheme();
        let is_web_socket = matches!(scheme, Scheme::Ws | Scheme::Wss);
        let guard = is_web_socket.then(|| Guard::new(&listening.address, &self.options.origins));
        let is_alone = sharing == Sharing::Alone;
        let listener =
            Listener { _file: listening.file, io, scheme, guard, number, is_alone, is_pausing: false };
        let number = self.seat(What::Listener(listener), None);
        if let Some(seat) = &self.seats[number] {
            seat.rope.waker().wake_by_ref();
        }
        Ok(())
    }

    /// When it wants another turn at the latest.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Whether everything that was said has been written, once nothing more will be.
    pub(crate) fn is_quiet(&self) -> bool {
        self.by_link.is_empty()
            && !self.seats.iter().flatten().any(|seat| matches!(seat.what, What::Ending(_)))
    }

    /// From here on `task` is woken.
    pub(crate) fn attend(&self, task: &Waker) {
        self.belfry.attend(task);
    }

    /// Looks at whatever was woken, and hands in what has arrived. What has reached its work limit wakes the task again. Streams of
    /// other shards go by `handover`.
    pub(crate) fn receive<M: Machine>(&mut self, shared: &Shared<M>, mut handover: Option<&mut Handover>) {
        let mut rung = std::mem::take(&mut self.rung);
        self.belfry.take(&mut rung);
        for seat in rung.drain(..) {
            self.look(shared, seat, handover.as_deref_mut());
        }
        self.rung = rung;
        // After a sleep everything is overdue, and what was waited for may be here.
        self.expire(shared);
    }

    /// Whether there is memory to give back.
    pub(crate) const fn has_memory(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Gives back what streams are read into and written from, unless something was read since it was last asked to.
    pub(crate) fn release(&mut self) {
        if !std::mem::take(&mut self.is_used) {
            (self.buffer, self.out) = (Vec::new(), Vec::new());
        }
    }

    /// Opens what the machine wants opened, and writes what it has to send; false when there is more of it.
    pub(crate) fn transmit<M: Machine>(&mut self, shared: &Shared<M>) -> bool {
        for _ in 0..MAX_ROUNDS {
            let mut was_all = true;
            while let Some(dial) = shared.turn(|machine, _| machine.poll_dial()) {
                was_all = false;
                match dial {
                    Dial::Begin { id, address } => self.dial(shared, id, address),
                    Dial::Cancel(id) => {
                        if let Some(seat) = self.by_dial.remove(&id) {
                            self.leave(seat);
                        }
                    }
                }
            }
            while let Some(id) = shared.turn(|machine, _| machine.poll_link()) {
                was_all = false;
                if let Some(&seat) = self.by_link.get(&id) {
                    self.write(shared, seat);
                }
            }
            if was_all {
                return true;
            }
        }
        false
    }

    fn expire<M: Machine>(&mut self, shared: &Shared<M>) {
        let now = shared.now().mono;
        while let Some(&(at, number)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            let Some(seat) = self.seats[number].as_mut() else { continue };
            seat.deadline = None;
            match &mut seat.what {
                What::Listener(listener) => {
                    listener.is_pausing = false;
                    seat.rope.waker().wake_by_ref();
                }
                What::Dialing(id, dialing) if dialing.until() <= now => {
                    let id = *id;
                    self.dial_failed(shared, number, id, DialError::TimedOut);
                }
                What::Dialing(..) => self.look(shared, number, None),
                What::Accepted(..) => {
                    self.counters.handshakes_failed.add(1);
                    self.leave(number);
                }
                What::Ending(_) => self.leave(number),
                What::Stream(id, stream) => {
                    match stream.record_since().map(|at| at + self.options.record_timeout) {
                        None => {}
                        Some(until) if until > now => self.arm(number, until),
                        Some(_) => {
                            self.counters.records_overdue.add(1);
                            lost(shared, *id);
                            self.leave(number);
                        }
                    }
                }
            }
        }
    }

    fn look<M: Machine>(&mut self, shared: &Shared<M>, number: usize, mut handover: Option<&mut Handover>) {
        let Some(seat) = self.seats.get_mut(number).and_then(Option::as_deref_mut) else { return };
        seat.rope.quiet();
        let waker = seat.rope.waker().clone();
        let mut cx = Context::from_waker(&waker);
        match &mut seat.what {
            What::Listener(_) => self.accept(&mut cx, shared, number, handover),
            What::Dialing(id, dialing) => {
                let id = *id;
                match dialing.poll(&mut cx, shared.now().mono, &self.runtime, &self.options) {
                    Poll::Pending => {
                        let at = dialing.deadline();
                        self.arm(number, at);
                    }
                    Poll::Ready(Ok(stream)) => self.dialed(shared, number, id, stream),
                    Poll::Ready(Err(error)) => self.dial_failed(shared, number, id, error),
                }
            }
            What::Accepted(greeting, handshake) => {
                let greeting = *greeting;
                match handshake.poll(&mut cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(mut stream)) => {
                        if handover.is_some() {
                            stream.greet(greeting);
                        }
                        self.link_up(shared, number, greeting.path, stream);
                    }
                    Poll::Ready(Err(_)) => {
                        self.counters.handshakes_failed.add(1);
                        self.leave(number);
                    }
                }
            }
            What::Stream(id, stream) => {
                self.buffer.resize(READ, 0);
                self.is_used = true;
                let way = handover.as_deref_mut();
                let went = stream.read(&mut cx, shared, *id, &mut self.buffer, way, &self.counters);
                let owes = stream.owes();
                match (went, handover) {
                    (Went::Dead, _) => self.leave(number),
                    (Went::Moves(shard, records), Some(handover)) => {
                        self.hand_over(shared, number, shard, records, handover);
                    }
                    (went, _) => {
                        if matches!(went, Went::More) {
                            waker.wake();
                        }
                        // One that ends in time leaves the deadline where it is, for others to come.
                        if let Some(since) = stream.record_since().filter(|_| seat.deadline.is_none()) {
                            self.arm(number, since + self.options.record_timeout);
                        }
                        if owes {
                            self.write(shared, number);
                        }
                    }
                }
            }
            What::Ending(stream) => {
                self.buffer.resize(READ, 0);
                if stream.poll_end(&mut cx, &mut self.buffer).is_ready() {
                    self.leave(number);
                }
            }
        }
    }

    fn write<M: Machine>(&mut self, shared: &Shared<M>, number: usize) {
        let Some(seat) = self.seats[number].as_mut() else { return };
        let What::Stream(id, stream) = &mut seat.what else { return };
        let id = *id;
        let mut cx = Context::from_waker(seat.rope.waker());
        match stream.write(&mut cx, shared, id, &mut self.out, &self.counters) {
            Went::Idle | Went::Moves(..) => {}
            Went::More => seat.rope.waker().wake_by_ref(),
            Went::Dead => self.leave(number),
            Went::Done => self.end(shared, number, id),
            Went::Unwritable => {
                self.buffer.resize(READ, 0);
                // Who goes on writing without reading does not get more of this task's time for it.
                let mut went = Went::More;
                for _ in 0..MAX_LAST_TURNS {
                    went = stream.read(&mut cx, shared, id, &mut self.buffer, None, &self.counters);
                    if !matches!(went, Went::More) {
                        break;
                    }
                }
                if !matches!(went, Went::Dead) {
                    lost(shared, id);
                }
                self.leave(number);
            }
        }
    }

    /// A stream is another shard's.
    fn hand_over<M: Machine>(
        &mut self,
        shared: &Shared<M>,
        number: usize,
        shard: Shard,
        records: Vec<Vec<u8>>,
        handover: &mut Handover,
    ) {
        let Some(What::Stream(id, _)) = self.seats[number].as_ref().map(|seat| &seat.what) else { return };
        let id = *id;
        if !shared.turn(|machine, now| machine.release_link(now, id)) {
            // There was no room for it, which it is being told.
            return self.write(shared, number);
        }
        self.by_link.remove(&id);
        self.free.push(number);
        let Some(mut seat) = self.seats[number].take() else { return };
        self.disarm(number, &mut seat);
        let What::Stream(_, stream) = seat.what else { return };
        let is_posted = stream.path().is_some_and(|path| {
            let packed = stream.pack(path, records);
            packed.is_ok_and(|moved| handover.post(shard, Letter::Stream(Box::new(moved))))
        });
        if is_posted {
            self.counters.handed_over.add(1);
        } else {
            self.counters.handover_drops.add(1);
        }
    }

    /// Takes a stream that another shard has handed over.
    pub(crate) fn take_over<M: Machine>(&mut self, shared: &Shared<M>, moved: Moved) {
        let Moved { path, socket, tls, codec, records, early, pending } = moved;
        let Ok(io) = self.runtime.register(socket) else { return self.counters.accept_errors.add(1) };
        let stream = Stream::unpack(io, tls, codec, early, pending);
        let link = Link::stream(self.options.max_record);
        let vouched = stream.vouches(path.peer);
        let up = shared.turn(|machine, now| {
            let id = machine.link_up(now, path, link, vouched)?;
            for record in &records {
                machine.handle_record(now, id, record);
            }
            Some(id)
        });
        self.counters.records_read.add(records.len());
        let Some(id) = up else { return };
        let number = self.seat(What::Stream(id, stream), None);
        self.by_link.insert(id, number);
        if let Some(seat) = &self.seats[number] {
            // Something may have arrived already.
            seat.rope.waker().wake_by_ref();
        }
    }

    /// A stream has said its last.
    fn end<M: Machine>(&mut self, shared: &Shared<M>, number: usize, id: LinkId) {
        self.by_link.remove(&id);
        let Some(mut seat) = self.seats[number].take() else { return };
        self.disarm(number, &mut seat);
        let What::Stream(_, mut stream) = seat.what else { return };
        if !stream.finish() {
            self.free.push(number);
            return;
        }
        seat.rope.waker().wake_by_ref();
        let at = shared.now().mono + LINGER;
        self.deadlines.insert((at, number));
        (seat.deadline, seat.what) = (Some(at), What::Ending(stream));
        self.seats[number] = Some(seat);
    }

    fn accept<M: Machine>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared<M>,
        number: usize,
        mut handover: Option<&mut Handover>,
    ) {
        for _ in 0..MAX_ACCEPTS {
            let Some(What::Listener(listener)) = self.seats[number].as_ref().map(|seat| &seat.what) else {
                return;
            };
            if listener.is_pausing {
                return;
            }
            let Poll::Ready(accepted) = listener.io.poll_accept(cx) else { return };
            let (scheme, place, is_dealt) = (listener.scheme, listener.number, listener.is_alone);
            let upgrade = listener.guard.clone().map(Upgrade::server);
            match accepted {
                Ok(socket) => {
                    let way = handover.as_deref_mut();
                    self.take(shared, (scheme, upgrade), (place, is_dealt), socket, way);
                }
                Err(error) if is_transient(&error) => {}
                Err(_) => {
                    self.counters.accept_errors.add(1);
                    return self.pause(shared, number);
                }
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Leaves a listener alone for a while.
    fn pause<M: Machine>(&mut self, shared: &Shared<M>, number: usize) {
        let at = shared.now().mono + ACCEPT_PAUSE;
        if let Some(What::Listener(listener)) = self.seats[number].as_mut().map(|seat| &mut seat.what) {
            listener.is_pausing = true;
            self.arm(number, at);
        }
    }

    /// A stream was accepted.
    fn take<M: Machine>(
        &mut self,
        shared: &Shared<M>,
        (scheme, upgrade): (Scheme, Option<Upgrade>),
        (listener, is_dealt): (u16, bool),
        socket: Socket,
        handover: Option<&mut Handover>,
    ) {
        self.counters.accepted.add(1);
        let Ok(io) = self.runtime.register(socket) else { return self.counters.accept_errors.add(1) };
        if scheme != Scheme::Uds {
            tune(&io.socket(), &self.options);
        }
        // Gone before it was accepted.
        let Ok(peer) = peer(scheme, &io.socket()) else { return };
        let path = Path { socket: listener, peer };
        if has_handshake(scheme) && !self.make_room_for(path) {
            return;
        }
        let tls = match (scheme, &self.options.tls_server) {
            (Scheme::Tls | Scheme::Wss, Some(config)) => {
                let Ok(server) = ServerConnection::new(Arc::clone(config)) else {
                    return self.counters.handshakes_failed.add(1);
                };
                Some(Connection::Server(server))
            }
            _ => None,
        };
        let handshake = Box::new(Handshake::new(Bytes::new(io, tls), upgrade));
        let deadline = shared.now().mono + self.options.handshake_timeout;
        let greeting = Greeting { path, is_dealt };
        let number = self.seat(What::Accepted(greeting, handshake), Some(deadline));
        self.handshakes.begin(deadline, number, path);
        self.look(shared, number, handover);
    }

    /// Makes room for one more handshake, at the cost of the one that has taken longest; `false` for a network that has enough of them.
    fn make_room_for(&mut self, path: Path) -> bool {
        if self.handshakes.of(path) >= self.options.max_handshakes_of(path) {
            self.counters.handshakes_refused.add(1);
            return false;
        }
        if self.handshakes.len() >= self.options.max_handshakes
            && let Some(oldest) = self.handshakes.oldest()
        {
            self.counters.handshakes_evicted.add(1);
            self.leave(oldest);
        }
        true
    }

    fn link_up<M: Machine>(&mut self, shared: &Shared<M>, number: usize, path: Path, stream: Stream<R::Io>) {
        let link = Link::stream(self.options.max_record);
        let vouched = stream.vouches(path.peer);
        let up = shared.turn(|machine, now| machine.link_up(now, path, link, vouched));
        self.begin(number, up, stream);
    }

    fn dial<M: Machine>(&mut self, shared: &Shared<M>, id: DialId, path: Path) {
        let Some(address) = self.places.address(path) else {
            return shared.turn(|machine, now| machine.dial_failed(now, id, DialError::Unsupported));
        };
        let deadline = shared.now().mono + self.options.dial_timeout;
        let dialing = Box::new(Dialing::new(address, deadline));
        let number = self.seat(What::Dialing(id, dialing), Some(deadline));
        self.by_dial.insert(id, number);
        self.look(shared, number, None);
    }

    fn dialed<M: Machine>(&mut self, shared: &Shared<M>, number: usize, id: DialId, stream: Stream<R::Io>) {
        self.counters.dialed.add(1);
        self.by_dial.remove(&id);
        let link = Link::stream(self.options.max_record);
        let up = shared.turn(|machine, now| machine.dialed(now, id, link));
        self.begin(number, up, stream);
    }

    fn dial_failed<M: Machine>(&mut self, shared: &Shared<M>, number: usize, id: DialId, error: DialError) {
        self.counters.dials_failed.add(1);
        self.by_dial.remove(&id);
        self.leave(number);
        shared.turn(|machine, now| machine.dial_failed(now, id, error));
    }

    /// The stream in a seat carries records from here on, if the machine wants it.
    fn begin(&mut self, number: usize, id: Option<LinkId>, stream: Stream<R::Io>) {
        let Some(id) = id else { return self.leave(number) };
        let Some(mut seat) = self.seats[number].take() else { return };
        self.disarm(number, &mut seat);
        seat.what = What::Stream(id, stream);
        // Something may have arrived already.
        seat.rope.waker().wake_by_ref();
        self.seats[number] = Some(seat);
        self.by_link.insert(id, number);
    }

    /// Gives `what` a seat. It must be looked at, or woken.
    fn seat(&mut self, what: What<R>, deadline: Option<Timestamp>) -> usize {
        let number = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        let rope = self.belfry.rope(number);
        self.seats[number] = Some(Box::new(Seat { rope, deadline, what }));
        self.deadlines.extend(deadline.map(|at| (at, number)));
        number
    }

    fn leave(&mut self, number: usize) {
        let Some(mut seat) = self.seats[number].take() else { return };
        self.free.push(number);
        self.disarm(number, &mut seat);
        if let What::Stream(id, _) = seat.what {
            self.by_link.remove(&id);
        }
    }

    /// A seat waits for nothing any more.
    fn disarm(&mut self, number: usize, seat: &mut Seat<R>) {
        if let Some(at) = seat.deadline.take() {
            self.deadlines.remove(&(at, number));
        }
        if let What::Accepted(greeting, _) = &seat.what {
            self.handshakes.end(number, greeting.path);
        }
    }

    /// A seat is looked at again at `at`.
    fn arm(&mut self, number: usize, at: Timestamp) {
        if let Some(seat) = self.seats[number].as_mut() {
            if let Some(before) = seat.deadline.replace(at) {
                self.deadlines.remove(&(before, number));
            }
            self.deadlines.insert((at, number));
        }
    }
}

/// Whether something must be said before the first record.
const fn has_handshake(scheme: Scheme) -> bool {
    matches!(scheme, Scheme::Tls | Scheme::Ws | Scheme::Wss)
}
