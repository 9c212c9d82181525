//! Counters, in the log once a minute when they have changed.

use std::convert::Infallible;
use std::time::Duration;

use adapter_tokio::udp::{self, Pump};
use driver::Shared;
use proto_core::{Stats, chat, server};
use tokio::time::{MissedTickBehavior, interval_at};

use super::machine::Hub;

const INTERVAL: Duration = Duration::from_mins(1);

/// Everything that is counted.
#[derive(Clone, Debug, PartialEq)]
struct Counters {
    connections: usize,
    endpoint: Stats,
    chat: chat::ServerStats,
    server: server::ServerStats,
    udp: udp::Stats,
}

impl Counters {
    fn read(shared: &Shared<Hub>, pump: &Pump) -> Self {
        let udp = pump.stats();
        shared.inspect(|hub| {
            let server = hub.server();
            Self {
                connections: server.connections(),
                endpoint: server.endpoint_stats(),
                chat: *server.chat_stats(),
                server: *server.stats(),
                udp,
            }
        })
    }
}

/// Reports for as long as it is polled.
pub(super) async fn report(shared: &Shared<Hub>, pump: &Pump) -> Infallible {
    let mut ticks = interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Counters::read(shared, pump);
    loop {
        ticks.tick().await;
        let counters = Counters::read(shared, pump);
        if counters != last {
            let Counters { connections, endpoint, chat, server, udp } = &counters;
            tracing::info!(connections, "counters have changed; --log debug shows them");
            tracing::debug!(?endpoint, ?chat, ?server, ?udp, "counters");
            last = counters;
        }
    }
}
