//! A stream that carries records.

use std::io;
use std::task::{Context, Poll};

use proto_core::{Credentials, Endpoint, LinkId, Now, Output, Shard, UnixPeer};

use super::bytes::Bytes;
use super::codec::{Codec, End, is_blocked};
use super::moved::{Greeted, Greeting, Moved, again};
use super::stats::Counters;
use crate::handover::Handover;
use crate::{Direction, Machine, Path, Peer, Ready, Shared, UnixCredentials, Wakes};

/// Bytes that are read at once; the buffer is one for all streams of an endpoint.
pub(super) const READ: usize = 64 << 10;
/// Reads of one stream in a turn, so that none starves another.
const MAX_READS: usize = 4;
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
    /// What was read behind the handshake.
    early: Vec<u8>,
    /// What found no room.
    pending: Vec<u8>,
    sent: usize,
    /// Nothing follows `pending`.
    is_closing: bool,
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
            pending: Vec::new(),
            sent: 0,
            is_closing: false,
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
        Ok(Moved { path, socket, tls, codec: self.codec, records, pending })
    }

    /// A stream that came from another shard, on `io`.
    pub(super) fn unpack(
        io: I,
        tls: Option<Box<rustls::Connection>>,
        codec: Codec,
        pending: Vec<u8>,
    ) -> Self {
        Self { pending, ..Self::new(Bytes::from_parts(io, tls), codec, Vec::new()) }
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
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            match self.hand_in(shared, id, &early, handover.as_deref_mut(), counters) {
                Handed::Open => {}
                Handed::Closed => return Went::Dead,
                Handed::Moves(shard, records) => return Went::Moves(shard, records),
            }
        }
        self.bytes.wake();
        for _ in 0..MAX_READS {
            match self.bytes.read(buffer) {
                Ok(0) => return lost(shared, id),
                Ok(len) => {
                    counters.reads.add(1);
                    counters.bytes_read.add(len);
                    match self.hand_in(shared, id, &buffer[..len], handover.as_deref_mut(), counters) {
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
        bytes: &[u8],
        handover: Option<&mut Handover>,
        counters: &Counters,
    ) -> Handed {
        if self.is_deaf {
            return Handed::Open;
        }
        let mut greeted = None;
        if let (Some(greeting), Some(handover)) = (self.greeting, handover) {
            let limit = shared.inspect(|machine| machine.record_limit(id));
            let mut takes = Greeted { limit, records: Vec::new() };
            let end = self.codec.hand_in(&mut takes, shared.now(), id, bytes, counters);
            let Greeted { records, .. } = takes;
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
        let Self { codec, is_deaf, .. } = self;
        let is_open = shared.turn(|machine, now| {
            let end = match greeted {
                None => codec.hand_in(machine, now, id, bytes, counters),
                Some((records, end)) => {
                    for record in &records {
                        Machine::handle_record(machine, now, id, record);
                    }
                    end
                }
            };
            match end {
                Ok(records) => counters.records_read.add(records),
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

    /// Writes what the machine has to send, as far as there is room. `out` is empty, and shared by all streams.
    pub(super) fn write<M: Machine>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared<M>,
        id: LinkId,
        out: &mut Vec<u8>,
        counters: &Counters,
    ) -> Went {
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
            let built =
                shared.turn_with(&mut wakes, |machine, now| self.fill(machine, now, id, out, counters));
            let written = if built { self.write_out(out, counters) } else { Ok(()) };
            wakes.deliver();
            match written {
                Err(_) => return Went::Unwritable,
                Ok(()) if !built && !self.is_closing => return Went::Idle,
                Ok(()) => {}
            }
        }
        Went::More
    }

    /// Builds records; whether there are any bytes to write.
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
                Output::Idle => break,
                Output::Close => {
                    self.is_closing = true;
                    self.codec.farewell(out);
                    break;
                }
            }
        }
        !out.is_empty()
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
