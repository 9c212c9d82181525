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

use conformance::{Async, Env, Runs, Scheme, cancel, messages, sessions};
use driver::{Address, BindError, Endpoint, Options};
use proto_core::Timestamp;

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

/// When a case ends, in simulated time.
fn end_of(scheme: Scheme, case: fn(&Env<Async<Simulated>>)) -> Timestamp {
    let env = Env::new(scheme);
    case(&env);
    threads::now().mono
}

#[test]
fn cases_go_the_same_way_each_time() {
    let cases: [fn(&Env<Async<Simulated>>); 3] = [
        messages::a_thousand_at_once,
        sessions::a_lost_link_is_replaced,
        cancel::receiving_given_up_loses_no_message,
    ];
    for case in cases {
        for scheme in [Scheme::Udp, Scheme::Tcp] {
            let first = end_of(scheme, case);
            assert!((0..3).all(|_| end_of(scheme, case) == first));
        }
    }
}
