//! Setting up a measured flow, and reading it.

use std::sync::Arc;

use proto_core::{Config, ConfigBuilder, Congestion};
use simtest::{FromSeed, NodeId, Outcome, Sim};

use crate::host::Host;

pub(crate) const LINK: proto_core::Link = proto_core::Link::datagram(1200);

/// The windows of bulk: more messages under way than the default allows.
pub(crate) fn settings(congestion: Congestion) -> ConfigBuilder {
    ConfigBuilder {
        congestion,
        send_messages: 4096,
        send_bytes: 8 << 20,
        receive_messages: 4096,
        receive_bytes: 8 << 20,
        session_messages: 16_384,
        session_bytes: 32 << 20,
        ..ConfigBuilder::default()
    }
}

/// Adds a client and its server; the client's node and the server's.
pub(crate) fn flow(sim: &mut Sim<Host>, name: &str, settings: &ConfigBuilder) -> (NodeId, NodeId) {
    let build = |accept| -> Arc<Config> {
        ConfigBuilder { accept, ..settings.clone() }.build().expect("a sound configuration")
    };
    let (server, client) = (build(true), build(false));
    let to =
        sim.node(&format!("{name}-to"), move |boot| Host::new(&server, LINK, None, boot.seed, boot.now.mono));
    let from = sim.node(&format!("{name}-from"), move |boot| {
        Host::new(&client, LINK, Some(to.addr()), boot.seed, boot.now.mono)
    });
    (from, to)
}

/// One run; it must pass and nobody may lose his connection.
pub(crate) fn run(sim: &Sim<Host>, seed: u64) -> Outcome<Host> {
    let outcome = sim.run(FromSeed::new(seed));
    outcome.assert_pass();
    outcome
}

pub(crate) fn host(outcome: &Outcome<Host>, node: NodeId) -> &Host {
    let host = outcome.node(node).expect("nobody crashes");
    assert!(!host.closed, "the connection was lost");
    host
}

/// The value that `per_mille` of a thousand do not exceed.
pub(crate) fn percentile(values: &mut [u64], per_mille: usize) -> u64 {
    values.sort_unstable();
    values[(values.len() * per_mille / 1000).min(values.len() - 1)]
}
