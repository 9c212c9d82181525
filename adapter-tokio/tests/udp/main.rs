//! Endpoints of one process, over loopback and over a bad network.

mod bad_network;
mod loopback;
mod relay;
mod yields;

use std::net::SocketAddr;
use std::time::Duration;

use adapter_tokio::{ConfigBuilder, Connection, Endpoint};

/// No test takes nearly that long.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("the test hangs")
}

fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A server, a client, and both ends of a connection between them.
struct Pair {
    server: Endpoint,
    client: Endpoint,
    here: Connection,
    there: Connection,
}

impl Pair {
    async fn new(config: ConfigBuilder) -> Self {
        let server = Endpoint::bind(localhost(), config.clone()).expect("a port is free");
        Self::through(server.local_addr(), server, config).await
    }

    /// A client that reaches `server` under `address`.
    async fn through(address: SocketAddr, server: Endpoint, config: ConfigBuilder) -> Self {
        let client = Endpoint::client(config).expect("a port is free");
        let here = client.connect(address).await.expect("the server answers");
        let there = server.accept().await.expect("the server is open");
        Self { server, client, here, there }
    }
}
