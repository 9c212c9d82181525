//! Recovery measured: latency, throughput and fairness over simulated paths.

mod bottleneck;
mod features;
mod host;
mod lossy;
#[path = "../sim/net.rs"]
#[expect(dead_code, reason = "shared with the other simulations")]
mod net;
mod paths;
mod run;
