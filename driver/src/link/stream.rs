//! A stream that carries records.

use std::io;
use std::task::{Context, Poll};

use proto_core::{Credentials, Endpoint, LinkId, Now, Output, Shard, Timestamp, UnixPeer};

use super::bytes::Bytes;
use super::codec::{Codec, End, is_blocked};
use super::moved::{Greeted, Greeting, Moved, again};
use super::stats::Counters;
use super::tls;
use crate::handover::Handover;
use crate::{Direction, Machine, Path, Peer, Ready, Shared, UnixCredentials, Wakes};

/// Bytes that are read at once; the buffer is one for all streams of an endpoint.
pub(super) const READ: usize = 64 << 10;
/// Reads of one stream in a turn, so that none starves another.
const MAX_READS: usize = 4;
/// Records of one stream in a turn, likewise.
const MAX_RECORDS: usize = 512;
/// Bytes of records that are written at once, a record more or less. What is not here yet can still be replaced, or expire.
const FILL: usize = 64 << 10;
/// Times that one stream is filled in a turn.
const MAX_FILLS: usize = 4;

/// What reading or writing came to.
#[derive(Debug)]
pub(super) enum Went {
    /// There is no more to do for now.
    Idle,
    /// The work limit was reached.
    More,
    /// The machine has said its last, and it was written.
    Done,
    /// The stream is dead, or its peer writes no more.
    Dead,
    /// Nothing more can be written. What the peer wrote before may still say why.
    Unwritable,
    /// It is another shard's, with these records.
    Moves(Shard, Vec<Vec<u8>>),
}

/// What became of bytes that were handed in.
enum Handed {
    Open,
    Closed,
    Moves(Shard, Vec<Vec<u8>>),
}

/// A stream that carries records.
#[derive(Debug)]
pub(super) struct Stream<I> {
    bytes: Bytes<I>,
    codec: Codec,
    /// What was read and not handed in: behind the handshake, or behind as many records as are taken in a turn.
    early: Vec<u8>,
    /// Since when the record that is under way has been.
    since: Option<Timestamp>,
    /// What found no room.
    pending: Vec<u8>,
    sent: usize,
    /// Nothing follows `pending`.
    is_closing: bool,
    /// Writing ended before there was nothing more to write: the machine does not say again that there is.
    is_cut: bool,
    /// What came made no sense, so nothing behind it does.
    is_deaf: bool,
    /// It may be another shard's: its first record tells.
    greeting: Option<Greeting>,
}

impl<I: Ready> Stream<I> {
    pub(super) const fn new(bytes: Bytes<I>, codec: Codec, early: Vec<u8>) -> Self {
        Self {
            bytes,
            codec,
            early,
            since: None,
            pending: Vec::new(),
            sent: 0,
            is_closing: false,
            is_cut: true,
            is_deaf: false,
            greeting: None,
        }
    }

    /// Its first record is to tell whether it is another shard's.
    pub(super) const fn greet(&mut self, greeting: Greeting) {
        self.greeting = Some(greeting);
    }

    /// Where it came in, as long as it may be another shard's.
    pub(super) fn path(&self) -> Option<Path> {
        self.greeting.map(|greeting| greeting.path)
    }

    /// What it vouches for, of the peer that it leads to.
    pub(super) fn vouches(&self, peer: Peer) -> Credentials {
        let mut vouched = Credentials::default();
        vouched.certificates = self.bytes.certificates();
        if let Some(UnixCredentials { pid, uid, gid }) = peer.credentials() {
            vouched.unix = Some(UnixPeer { pid: Some(pid), uid, gid });
        }
        vouched
    }

    /// Makes it ready to go to another shard.
    pub(super) fn pack(self, path: Path, records: Vec<Vec<u8>>) -> io::Result<Moved> {
        let (io, tls) = self.bytes.into_parts();
        let socket = again(path, &io.socket())?;
        let pending = self.pending[self.sent..].to_vec();
        Ok(Moved { path, socket, tls, codec: self.codec, records, early: self.early, pending })
    }

    /// A stream that came from another shard, on `io`.
    pub(super) fn unpack(
        io: I,
        tls: Option<Box<rustls::Connection>>,
        codec: Codec,
        early: Vec<u8>,
        pending: Vec<u8>,
    ) -> Self {
        Self { pending, ..Self::new(Bytes::from_parts(io, tls), codec, early) }
    }

    /// Since when a record has been under way, if one is.
    pub(super) const fn record_since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Hands in what has arrived. `buffer` has [`READ`] bytes.
    pub(super) fn read<M: Machine>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared<M>,
        id: LinkId,
        buffer: &mut [u8],
        mut handover: Option<&mut Handover>,
        counters: &Counters,
    ) -> Went {
        let mut left = MAX_RECORDS;
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            match self.hand_in(shared, id, &early, handover.as_deref_mut(), &mut left, counters) {
                Handed::Open => {}
                Handed::Closed => return Went::Dead,
                Handed::Moves(shard, records) => return Went::Moves(shard, records),
            }
        }
        self.bytes.wake();
        for _ in 0..MAX_READS {
            if !self.early.is_empty() {
                return Went::More;
            }
            match self.bytes.read(buffer) {
                Ok(0) => return lost(shared, id),
                Ok(len) => {
                    counters.reads.add(1);
                    counters.bytes_read.add(len);
                    match self.hand_in(
                        shared,
                        id,
                        &buffer[..len],
                        handover.as_deref_mut(),
                        &mut left,
                        counters,
                    ) {
                        Handed::Open => {}
                        Handed::Closed => return Went::Dead,
                        Handed::Moves(shard, records) => return Went::Moves(shard, records),
                    }
                }
                Err(error) if is_blocked(&error) => match self.bytes.io().poll_ready(cx, Direction::Read) {
                    Poll::Pending => {
                        self.codec.release();
                        return Went::Idle;
                    }
                    Poll::Ready(Ok(())) => self.bytes.wake(),
                    Poll::Ready(Err(_)) => return lost(shared, id),
                },
                Err(error) if tls::is_refusal(&error) => {
                    shared.turn(|machine, now| machine.link_refused(now, id));
                    return Went::Dead;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    counters.broken.add(1);
                    shared.turn(|machine, now| machine.link_broken(now, id, "the encryption is broken"));
                    return lost(shared, id);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return lost(shared, id),
            }
        }
        Went::More
    }

    fn hand_in<M: Machine>(
        &mut self,
        shared: &Shared<M>,
        id: LinkId,
        mut bytes: &[u8],
        handover: Option<&mut Handover>,
        left: &mut usize,
        counters: &Counters,
    ) -> Handed {
        if self.is_deaf {
            return Handed::Open;
        }
        let mut greeted = None;
        if let (Some(greeting), Some(handover)) = (self.greeting, handover) {
            let limit = shared.inspect(|machine| machine.record_limit(id));
            let mut takes = Greeted { limit, records: Vec::new() };
            let end = self.codec.hand_in(&mut takes, shared.now(), id, &mut bytes, *left, counters);
            let Greeted { records, .. } = takes;
            self.early = bytes.to_vec();
            match (records.first(), &end) {
                (None, Ok(_)) => return Handed::Open,
                (Some(first), Ok(_)) => {
                    let is_anyones = greeting.is_dealt && Endpoint::<Path>::route(first).is_none();
                    let to = if is_anyones { handover.next() } else { handover.shard_of(first) };
                    if let Some(shard) = to {
                        return Handed::Moves(shard, records);
                    }
                }
                (_, Err(_)) => {}
            }
            self.greeting = None;
            greeted = Some((records, end));
        }
        let Self { codec, is_deaf, since, early, .. } = self;
        let is_open = shared.turn(|machine, now| {
            let end = match greeted {
                None => {
                    let end = codec.hand_in(machine, now, id, &mut bytes, *left, counters);
                    *early = bytes.to_vec();
                    end
                }
                Some((records, end)) => {
                    for record in &records {
                        Machine::handle_record(machine, now, id, record);
                    }
                    end
                }
            };
            match end {
                Ok(records) => {
                    counters.records_read.add(records);
                    *left = left.saturating_sub(records);
                    if records > 0 || codec.is_idle() {
                        *since = None;
                    }
                    if !codec.is_idle() {
                        since.get_or_insert(now.mono);
                    }
                }
                Err(End::Broken(why)) => {
                    counters.broken.add(1);
                    machine.link_broken(now, id, why);
                    *is_deaf = true;
                }
                Err(End::Closed) => {
                    machine.link_down(now, id);
                    return false;
                }
            }
            true
        });
        if !is_open {
            // A goodbye for a goodbye, if there is room for it.
            self.codec.farewell(&mut self.pending);
            let _ = self.try_flush(counters);
            return Handed::Closed;
        }
        Handed::Open
    }

    /// Whether [`Self::write`] has work that the machine does not name.
    pub(super) fn owes(&self) -> bool {
        self.is_cut || self.codec.has_answer() || self.bytes.holds_back()
    }

    /// Writes what the machine has to send, as far as there is room. `out` is empty, and shared by all streams.
    pub(super) fn write<M: Machine>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared<M>,
        id: LinkId,
        out: &mut Vec<u8>,
        counters: &Counters,
    ) -> Went {
        self.is_cut = true;
        for _ in 0..MAX_FILLS {
            match self.flush(cx, counters) {
                Poll::Ready(Ok(())) if self.is_closing => return Went::Done,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Went::Unwritable,
                // Stuck, and of no more use: what it still had to say is lost with it.
                Poll::Pending if !self.is_closing && !shared.inspect(|machine| machine.has_link(id)) => {
                    return lost(shared, id);
                }
                Poll::Pending => return Went::Idle,
            }
            // Whoever learns from what is built here that it is done must not be faster than its writing.
            let mut wakes = Wakes::default();
            let is_all =
                shared.turn_with(&mut wakes, |machine, now| self.fill(machine, now, id, out, counters));
            let written = if out.is_empty() { Ok(()) } else { self.write_out(out, counters) };
            wakes.deliver();
            match written {
                Err(_) => return Went::Unwritable,
                Ok(()) if is_all && self.pending.is_empty() && !self.bytes.holds_back() => {
                    self.is_cut = false;
                    return Went::Idle;
                }
                Ok(()) => {}
            }
        }
        Went::More
    }

    /// Builds records; whether those are all for now.
    fn fill(
        &mut self,
        machine: &mut impl Machine,
        now: Now,
        id: LinkId,
        out: &mut Vec<u8>,
        counters: &Counters,
    ) -> bool {
        self.codec.answer(out);
        while out.len() < FILL {
            match self.codec.fill(machine, now, id, out) {
                Output::Record(_) => counters.records_written.add(1),
                Output::Idle => return true,
                Output::Close => {
                    self.is_closing = true;
                    self.codec.farewell(out);
                    break;
                }
            }
        }
        false
    }

    /// Writes `out`, keeps what finds no room, and leaves it empty in any case: the next stream fills it.
    fn write_out(&mut self, out: &mut Vec<u8>, counters: &Counters) -> io::Result<()> {
        let written = match self.bytes.write(out) {
            Err(error) if is_blocked(&error) => Ok(0),
            written => written,
        };
        if let Ok(written) = written {
            counters.writes.add(1);
            counters.bytes_written.add(written);
            self.pending.extend_from_slice(&out[written..]);
        }
        out.clear();
        written?;
        match self.bytes.flush() {
            Err(error) if !is_blocked(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes what found no room before.
    fn flush(&mut self, cx: &mut Context<'_>, counters: &Counters) -> Poll<io::Result<()>> {
        loop {
            match self.try_flush(counters) {
                Err(error) if is_blocked(&error) => {
                    counters.blocked.add(1);
                    match self.bytes.io().poll_ready(cx, Direction::Write) {
                        Poll::Ready(Ok(())) => {}
                        waits => return waits,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => {
                    if self.pending.capacity() > 0 {
                        self.pending = Vec::new();
                    }
                    self.sent = 0;
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn try_flush(&mut self, counters: &Counters) -> io::Result<()> {
        while self.sent < self.pending.len() {
            let written = self.bytes.write(&self.pending[self.sent..])?;
            counters.writes.add(1);
            counters.bytes_written.add(written);
            self.sent += written;
        }
        self.bytes.flush()
    }

    /// Says that nothing more will be written. What still arrives is to be read to its end, or the system may take back what was
    /// written last.
    pub(super) fn finish(&mut self) -> bool {
        self.bytes.finish().is_ok()
    }

    /// Throws away what still arrives; ready at its end.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<()> {
        self.bytes.wake();
        for _ in 0..MAX_READS {
            match self.bytes.read(buffer) {
                Ok(len) if len > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_blocked(&error) => match self.bytes.io().poll_ready(cx, Direction::Read) {
                    Poll::Ready(Ok(())) => self.bytes.wake(),
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                },
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The machine is told that a stream is dead.
pub(super) fn lost<M: Machine>(shared: &Shared<M>, id: LinkId) -> Went {
    shared.turn(|machine, now| machine.link_down(now, id));
    Went::Dead
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixStream;

    use socket2::SockRef;

    use super::*;

    /// A socket that is always ready.
    struct Socket(UnixStream);

    impl Ready for Socket {
        fn socket(&self) -> SockRef<'_> {
            SockRef::from(&self.0)
        }

        fn poll_ready(&self, _: &mut Context<'_>, _: Direction) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A socket that is ready when there is something to read.
    struct Waiting(UnixStream);

    impl Ready for Waiting {
        fn socket(&self) -> SockRef<'_> {
            SockRef::from(&self.0)
        }

        fn poll_ready(&self, _: &mut Context<'_>, _: Direction) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    /// Takes records, and nothing else.
    #[derive(Default)]
    struct Taker(Vec<u8>);

    impl Machine for Taker {
        fn handle_packet(&mut self, _: Now, _: proto_core::Meta<Path>, _: &[u8]) {}
        fn handle_timeout(&mut self, _: Now) {}
        fn poll_transmit(&mut self, _: Now, _: &mut Vec<u8>) -> Option<proto_core::Transmit<Path>> {
            None
        }
        fn poll_timeout(&self) -> Option<Timestamp> {
            None
        }
        fn record_limit(&self, _: LinkId) -> usize {
            65_536
        }
        fn handle_record(&mut self, _: Now, _: LinkId, record: &[u8]) {
            self.0.extend_from_slice(record);
        }
    }

    thread_local! {
        static MILLIS: std::cell::Cell<u64> = const { std::cell::Cell::new(1) };
    }

    fn now() -> Now {
        Now { mono: Timestamp::from_millis(MILLIS.get()), unix_ms: 0 }
    }

    fn link() -> LinkId {
        let config = proto_core::ConfigBuilder { accept: true, ..Default::default() }.build().unwrap();
        let (link, start) = (proto_core::Link::datagram(1200), Timestamp::ZERO);
        let mut endpoint = Endpoint::<Path>::new(config, link, [1; 32], start);
        let at = Path { socket: 0, peer: std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into() };
        endpoint.link_up(start, at, proto_core::Link::stream(16_384))
    }

    /// A stream, its other end, and what takes its records.
    fn accepted() -> (Stream<Waiting>, UnixStream, Shared<Taker>) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let stream = Stream::new(Bytes::new(Waiting(near), None), Codec::framed(), Vec::new());
        (stream, far, Shared::new(Taker::default(), now))
    }

    #[test]
    fn of_many_tiny_records_a_turn_takes_512_and_the_rest_waits() {
        let (mut stream, mut far, shared) = accepted();
        let sent: Vec<u8> = (0..1500_u32).flat_map(|number| [1, number as u8]).collect();
        io::Write::write_all(&mut far, &sent).unwrap();
        let (counters, mut buffer) = (Counters::default(), vec![0; READ]);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut read = || {
            let went = stream.read(&mut cx, &shared, link(), &mut buffer, None, &counters);
            (matches!(went, Went::More), shared.inspect(|taker| taker.0.len()))
        };
        assert_eq!([read(), read(), read()], [(true, 512), (true, 1024), (false, 1500)]);
        assert_eq!(counters.get().turns_cut, 2);
        let expected: Vec<u8> = (0..1500_u32).map(|number| number as u8).collect();
        assert!(shared.inspect(|taker| taker.0 == expected), "each once and in order");
    }

    /// Bytes do not make it younger, another record does.
    #[test]
    fn a_record_is_as_old_as_its_first_byte() {
        let (mut stream, mut far, shared) = accepted();
        let (counters, mut buffer) = (Counters::default(), vec![0; READ]);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut since = |millis, bytes: &[u8]| {
            MILLIS.set(millis);
            io::Write::write_all(&mut far, bytes).unwrap();
            let went = stream.read(&mut cx, &shared, link(), &mut buffer, None, &counters);
            assert!(matches!(went, Went::Idle));
            stream.record_since().map(Timestamp::as_nanos)
        };
        assert_eq!(since(5, &[]), None);
        assert_eq!(since(10, &[3]), Some(10_000_000));
        assert_eq!(since(20, &[1, 2]), Some(10_000_000));
        assert_eq!(since(30, &[3]), None);
        assert_eq!(since(40, &[2, 1]), Some(40_000_000));
        assert_eq!(since(50, &[2, 9]), Some(50_000_000));
    }

    #[test]
    fn what_a_dead_stream_could_not_write_is_not_written_on_the_next_one() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let mut dead = Stream::new(Bytes::new(Socket(near), None), Codec::framed(), Vec::new());
        let mut out = b"for one peer only".to_vec();
        dead.write_out(&mut out, &Counters::default()).unwrap_err();
        assert_eq!(out, b"");
    }
}
