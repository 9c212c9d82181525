//! What is around the endpoints of a case: threads, and ways between them that can fail.

use std::io;
use std::net::SocketAddr;

use driver::{Address, Scheme};

/// Waits for what was begun, and has its result.
pub type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// Where endpoints live: a machine, or a simulation of some. A case begins by making one.
pub trait World: Default + 'static {
    /// A way between a client and a server that can fail.
    type Relay: Relay;
    /// A stream of bytes, without anything of ours.
    type Raw: Raw;
    /// Keeps an address silent.
    type Silence;

    /// Begins to work on another thread.
    fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Job<T>;
    /// Lets others have a turn.
    fn pause();
    /// Where nobody answers.
    fn silence(scheme: Scheme) -> (SocketAddr, Self::Silence);
}

/// A way to a server that carries everything until it is told not to.
pub trait Relay {
    /// A way to `to`.
    fn new(to: &Address) -> Self;
    /// Where it is, instead of the server.
    fn address(&self) -> &Address;
    /// Takes everything, and gives nothing on.
    fn swallow(&self);
    /// Carries everything again.
    fn heal(&self);
    /// Ends the streams; datagrams have none.
    fn cut(&self);
    /// From here on it leads there.
    fn redirect(&self, to: &Address);
    /// Says this to the server, in the client's name.
    fn say(&self, bytes: &[u8]);
}

/// A stream of bytes, without anything of ours.
pub trait Raw: Sized {
    /// Opens one; the server listens.
    fn connect(to: &Address) -> Self;
    /// Writes; the server may have hung up already.
    fn write(&mut self, bytes: &[u8]);
    /// Writes no more.
    fn shutdown(&mut self);
    /// Waits until the server writes no more; an error when the stream broke.
    fn read_to_end(&mut self) -> io::Result<()>;
}
