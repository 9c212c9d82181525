//! What every adapter passes.

use std::sync::LazyLock;
use std::time::Duration;

use adapter_tokio::{Address, BindError, Endpoint, Options};
use conformance::os::Os;
use conformance::{Async, Runs, suite};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime"));

struct Tokio;

impl Runs for Tokio {
    type World = Os;

    fn within<T>(wait: Duration, future: impl Future<Output = T>) -> Option<T> {
        RUNTIME.block_on(async { tokio::time::timeout(wait, future).await.ok() })
    }

    fn listen(addresses: &[Address], options: Options) -> Result<driver::Endpoint, BindError> {
        let _inside = RUNTIME.enter();
        Endpoint::listen(addresses, options).map(|endpoint| (*endpoint).clone())
    }

    fn client(options: Options) -> Result<driver::Endpoint, BindError> {
        let _inside = RUNTIME.enter();
        Endpoint::client(options).map(|endpoint| (*endpoint).clone())
    }
}

suite!(Async<Tokio>; udp Udp, tcp Tcp streams, tls Tls streams encrypted, ws Ws streams web, wss Wss streams encrypted);
#[cfg(unix)]
suite!(Async<Tokio>; uds Uds streams);
