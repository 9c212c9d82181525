//! Bytes over a socket, plain or under TLS.

use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};

use rustls::Connection;

use crate::{Direction, Ready};

/// Reads in a row of which TLS makes nothing: its records may be empty.
const MAX_FRUITLESS: usize = 16;

/// A socket that never blocks, and that is not asked again once it has said that it is empty.
#[derive(Debug)]
pub(super) struct Plain<I> {
    io: I,
    /// The last read took all that was there.
    is_drained: bool,
    /// The last write found no room.
    is_full: bool,
}

impl<I: Ready> Plain<I> {
    pub(super) const fn io(&self) -> &I {
        &self.io
    }

    fn note(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        self.is_full = matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        written
    }
}

impl<I: Ready> Read for Plain<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_drained {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        let read = self.io.attempt(Direction::Read, || match (&*self.io.socket()).read(buffer) {
            // The runtime learns that there is nothing more without another call that says so.
            Ok(len) if len > 0 && len < buffer.len() => {
                taken = len;
                Err(io::ErrorKind::WouldBlock.into())
            }
            read => read,
        });
        self.is_drained =
            taken > 0 || matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if taken > 0 { Ok(taken) } else { read }
    }
}

impl<I: Ready> Write for Plain<I> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.io.attempt(Direction::Write, || (&*self.io.socket()).write(bytes));
        self.note(written)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.io.attempt(Direction::Write, || (&*self.io.socket()).write_vectored(bytes));
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes both ways. Nothing here blocks: [`WouldBlock`](io::ErrorKind::WouldBlock) says to come again.
#[derive(Debug)]
pub(super) struct Bytes<I> {
    plain: Plain<I>,
    tls: Option<Box<Connection>>,
}

impl<I: Ready> Bytes<I> {
    pub(super) fn new(io: I, tls: Option<Connection>) -> Self {
        let tls = tls.map(|mut tls| {
            // What is written to it is bounded by whoever writes.
            tls.set_buffer_limit(None);
            Box::new(tls)
        });
        Self { plain: Plain { io, is_drained: false, is_full: false }, tls }
    }

    pub(super) const fn io(&self) -> &I {
        self.plain.io()
    }

    /// The socket, and TLS as far as it has come.
    pub(super) fn into_parts(self) -> (I, Option<Box<Connection>>) {
        (self.plain.io, self.tls)
    }

    /// The reverse, with the same socket in other hands.
    pub(super) const fn from_parts(io: I, tls: Option<Box<Connection>>) -> Self {
        Self { plain: Plain { io, is_drained: false, is_full: false }, tls }
    }

    /// The certificates that the peer has shown and TLS has verified, its own first.
    pub(super) fn certificates(&self) -> Vec<bytes::Bytes> {
        let shown = self.tls.as_ref().and_then(|tls| tls.peer_certificates()).unwrap_or_default();
        shown.iter().map(|certificate| bytes::Bytes::copy_from_slice(certificate)).collect()
    }

    /// The socket may have something to read again.
    pub(super) const fn wake(&mut self) {
        self.plain.is_drained = false;
    }

    /// Waits for what the last call lacked: room, or something to read.
    pub(super) fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let direction = if self.plain.is_full { Direction::Write } else { Direction::Read };
        ready!(self.io().poll_ready(cx, direction))?;
        self.wake();
        Poll::Ready(Ok(()))
    }

    /// Goes on with TLS's handshake; done when there is none, or no more of it.
    pub(super) fn handshake(&mut self) -> io::Result<()> {
        loop {
            self.flush()?;
            let Some(tls) = self.tls.as_mut().filter(|tls| tls.is_handshaking()) else { return Ok(()) };
            take_in(tls, &mut self.plain)?;
        }
    }

    /// Reads what is there; 0 bytes when the peer writes no more. [`Interrupted`](io::ErrorKind::Interrupted) when there was much, and
    /// nothing in it: others are to have a turn.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.plain.read(buffer) };
        for _ in 0..MAX_FRUITLESS {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => take_in(tls, &mut self.plain)?,
                read => return read,
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Writes some of `bytes`. Under TLS all of it is taken, and goes out with [`Self::flush`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.writer().write(bytes),
            None => self.plain.write(bytes),
        }
    }

    /// Whether TLS has bytes that were not written.
    pub(super) fn holds_back(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes what TLS holds back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.plain)?;
            }
        }
        Ok(())
    }

    /// Says that nothing more will be written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush()?;
        self.io().socket().shutdown(std::net::Shutdown::Write)
    }
}

/// Reads and decrypts some more.
fn take_in<I: Ready>(tls: &mut Connection, plain: &mut Plain<I>) -> io::Result<()> {
    if tls.read_tls(plain)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    tls.process_new_packets().map(|_| ()).map_err(|error| {
        // The alert that says why, if there is room for it: the peer learns of the end in any case.
        let _ = tls.write_tls(plain);
        io::Error::new(io::ErrorKind::InvalidData, error)
    })
}
