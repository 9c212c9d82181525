//! The cases in the simulator, over datagrams and over streams. A case is the same code as on every adapter, and so are the handles that
//! it holds; threads take turns, time is simulated, and nothing is left to chance: what fails here fails each time.

mod carrying;
mod host;
mod raw;
mod relay;
mod threads;
#[path = "../../../proto-core/tests/sim/wires.rs"]
mod wires;
mod world;

use std::time::Duration;

use conformance::{Async, Runs};
use driver::{Address, BindError, Endpoint, Options};

use world::Simulated;

impl Runs for Simulated {
    type World = Self;

    fn within<T>(wait: Duration, future: impl Future<Output = T>) -> Option<T> {
        threads::within(wait, future)
    }

    fn listen(addresses: &[Address], options: Options) -> Result<Endpoint, BindError> {
        world::listen(addresses, options)
    }

    fn client(options: Options) -> Result<Endpoint, BindError> {
        world::listen(&[], options)
    }
}

mod udp {
    use super::*;
    conformance::cases!(Async<Simulated>, Udp);
}

mod tcp {
    use super::*;
    conformance::cases!(Async<Simulated>, Tcp);
    conformance::bytes!(Async<Simulated>, Tcp);
}
