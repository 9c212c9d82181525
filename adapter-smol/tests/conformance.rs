//! What every adapter passes.

use std::time::Duration;

use adapter_smol::{Address, BindError, Endpoint, Options};
use conformance::os::Os;
use conformance::{Async, Runs, suite};
use smol::future::FutureExt as _;

struct Smol;

impl Runs for Smol {
    type World = Os;

    fn within<T>(wait: Duration, future: impl Future<Output = T>) -> Option<T> {
        let late = async {
            smol::Timer::after(wait).await;
            None
        };
        smol::block_on(async { Some(future.await) }.or(late))
    }

    fn listen(addresses: &[Address], options: Options) -> Result<driver::Endpoint, BindError> {
        Endpoint::listen(addresses, options).map(|endpoint| (*endpoint).clone())
    }

    fn client(options: Options) -> Result<driver::Endpoint, BindError> {
        Endpoint::client(options).map(|endpoint| (*endpoint).clone())
    }
}

suite!(Async<Smol>; udp Udp, tcp Tcp streams, tls Tls streams encrypted, ws Ws streams web, wss Wss streams encrypted);
#[cfg(unix)]
suite!(Async<Smol>; uds Uds streams);
