//! The world of the operating system.

mod raw;
mod relay;
mod silence;

pub use raw::Raw;
pub use relay::Relay;
pub use silence::Silence;

use std::net::SocketAddr;
use std::thread;

use driver::Scheme;

use crate::world::{Job, World};

/// Threads and sockets.
#[derive(Debug, Default)]
pub struct Os;

impl World for Os {
    type Relay = Relay;
    type Raw = Raw;
    type Silence = Silence;

    fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        let thread = thread::spawn(work);
        Box::new(move || thread.join().expect("the thread does not panic"))
    }

    fn pause() {
        thread::yield_now();
    }

    fn silence(scheme: Scheme) -> (SocketAddr, Silence) {
        Silence::new(scheme)
    }
}
