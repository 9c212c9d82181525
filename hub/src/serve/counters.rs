//! Counters, in the log: what was dropped as soon as anything was, everything at the end.

use std::convert::Infallible;
use std::time::Duration;

use adapter_tokio::link;
use adapter_tokio::udp;
use driver::Shared;
use proto_core::{Stats, chat, server};
use tokio::time::{MissedTickBehavior, interval_at};

use super::machine::Hub;
use super::shards::Pumps;

const INTERVAL: Duration = Duration::from_secs(10);

/// Everything that is counted.
#[derive(Clone, Debug)]
struct Counters {
    connections: usize,
    endpoint: Stats,
    chat: chat::ServerStats,
    server: server::ServerStats,
    udp: udp::Stats,
    links: link::Stats,
}

impl Counters {
    fn read(shared: &Shared<Hub>, pumps: &Pumps) -> Self {
        let (udp, links) = (pumps.stats(), pumps.link_stats());
        let mut counters = shared.inspect(|hub| {
            let server = &hub.house.server;
            Self {
                connections: server.connections(),
                endpoint: server.endpoint_stats(),
                chat: *server.chat_stats(),
                server: *server.stats(),
                udp,
                links,
            }
        });
        let Self { connections, endpoint, server, .. } = &mut counters;
        pumps.add_to(connections, endpoint, server);
        counters
    }
}

impl Counters {
    /// What was dropped, and the rest for whoever looks closer.
    fn tell(&self) {
        let Self { connections, endpoint, chat, server, udp, links } = self;
        let (received, sent) = (endpoint.packets_received, endpoint.packets_sent);
        tracing::info!(connections, received, sent, dropped = ?endpoint.drops, "counters");
        tracing::debug!(?endpoint, ?chat, ?server, ?udp, ?links, "all counters");
    }
}

/// Tells the totals.
pub(super) fn total(shared: &Shared<Hub>, pumps: &Pumps) {
    Counters::read(shared, pumps).tell();
}

/// Tells for as long as it is polled, whenever something more was dropped.
pub(super) async fn report(shared: &Shared<Hub>, pumps: &Pumps) -> Infallible {
    let mut ticks = interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Counters::read(shared, pumps).endpoint.drops;
    loop {
        ticks.tick().await;
        let counters = Counters::read(shared, pumps);
        if counters.endpoint.drops != told {
            counters.tell();
            told = counters.endpoint.drops;
        }
    }
}
