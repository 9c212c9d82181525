//! W6: what a server's memory holds for each connection that is established and silent, all included.

mod bowline;
mod enet;
mod kcp;
mod quinn;

use std::any::Any;

use crate::alloc;

/// Whatever holds the server's ends. The clients' are gone.
type Server = Box<dyn Any>;
type Establish = fn(usize) -> Server;

/// What one stack holds.
#[derive(Clone, Debug)]
pub(crate) struct Idle {
    pub(crate) stack: &'static str,
    pub(crate) connections: usize,
    /// Bytes of heap for each connection, as asked of the allocator.
    pub(crate) bytes: f64,
}

/// Measures every stack that can hold connections, and prints it.
pub(crate) fn run(connections: usize) -> Vec<Idle> {
    let stacks: [(_, _, Establish); 5] = [
        ("bowline", connections, bowline::establish),
        ("bowline+aes", connections, bowline::establish_encrypted),
        ("kcp", connections, kcp::establish),
        ("enet", connections.min(enet::MAX), enet::establish),
        ("quinn-plain", connections, quinn::establish),
    ];
    println!("\n{:<8} {:<12} {:>11} {:>22}", "workload", "stack", "connections", "bytes each when idle");
    let measured = stacks.into_iter().map(|(stack, connections, establish)| {
        let before = alloc::live();
        let server = establish(connections);
        let held = alloc::live() - before;
        drop(server);
        let idle = Idle { stack, connections, bytes: held as f64 / connections as f64 };
        println!("{:<8} {:<12} {:>11} {:>22.0}", "w6", idle.stack, idle.connections, idle.bytes);
        idle
    });
    measured.collect()
}
