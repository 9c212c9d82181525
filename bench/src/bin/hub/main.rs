//! How much a hub carries: a server in a process of its own, and clients in this one. See bench/README.md.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "what is measured is time")]

mod durable;
mod figures;
mod hostile;
mod native;
mod pace;
mod peer;
mod process;
mod rolling;
mod soak;
mod socket;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use figures::Spread;
use peer::Peer;
use process::Hub;

/// Measures a hub.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// What to measure; everything if nothing is named.
    #[arg(value_enum)]
    what: Vec<What>,
    /// The program that is measured.
    #[arg(long, default_value = "target/release/bowline")]
    bowline: PathBuf,
    /// Participants of the one room.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Connections of the idle run.
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Sockets of UDP that native clients share; each client its own if there are as many.
    #[arg(long, default_value_t = 100)]
    sockets: usize,
    /// Shards of the server that is restarted; as many as it takes by default.
    #[arg(long)]
    shards: Option<u8>,
    /// How long a rate is measured, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often the server is killed in the first third of a soak, in seconds.
    #[arg(long, default_value_t = 600)]
    kill_every: u64,
    /// Entries for the start with a full store.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Memory and start of an empty hub.
    Base,
    /// One note to all in a room, until the last has it: native clients.
    NativeBroadcast,
    /// The same over web sockets, and what nothing but sockets takes.
    SocketBroadcast,
    /// Notes delivered in a second: native clients.
    NativeDeliveries,
    /// The same over web sockets.
    SocketDeliveries,
    /// Notes of one native client that are taken in.
    NativeIntake,
    /// The same over a web socket.
    SocketIntake,
    /// Round trips of 50,000 messages a second from all clients over web sockets, and what nothing but sockets takes.
    SocketLatency,
    /// Memory and processor of idle native connections.
    NativeIdle,
    /// The same of web sockets.
    SocketIdle,
    /// Appends that are acknowledged in a second over 100 rooms, and how long they take at 20,000 a second.
    Durable,
    /// The start with a full store, after a kill.
    Full,
    /// Round trips of a few beside half-open handshakes, clients that do not read, and junk.
    Hostile,
    /// Native clients and guests for `--seconds` under loss, kills and junk; not among everything.
    Soak,
    /// Two restarts under 2,000 clients over UDP and TCP: what is lost, and how long they wait.
    Rolling,
}

impl Arguments {
    fn hub(&self) -> Hub {
        Hub::start(&self.bowline, tempfile_dir())
    }

    fn seconds(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A directory that is removed by whoever made it.
fn tempfile_dir() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("bowline-bench-{}-{number}", std::process::id()))
}

fn base(arguments: &Arguments) {
    let starts: Vec<Duration> = (0..21).map(|_| arguments.hub().started_in).collect();
    let hub = arguments.hub();
    let spread = Spread::of(starts);
    println!("base: {} KiB resident, ready in {spread}", hub.resident() / 1024);
}

fn full(arguments: &Arguments) {
    let dir = tempfile_dir();
    let mut hub = Hub::start(&arguments.bowline, dir.clone());
    let filled = process::run(durable::fill(hub.udp, arguments.entries));
    hub.kill();
    let hub = Hub::start(&arguments.bowline, dir);
    println!(
        "full: {filled} entries, ready in {:.0} ms after a kill, {} KiB resident",
        figures::millis(hub.started_in),
        hub.resident() / 1024
    );
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(peer::ROLE) {
        process::run(peer::serve());
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    let all = What::value_variants();
    let what: &[What] = if arguments.what.is_empty() { all } else { &arguments.what };
    for what in what {
        let hub = || arguments.hub();
        match what {
            What::Base => base(&arguments),
            What::Full => full(&arguments),
            What::Rolling => {
                let data = tempfile_dir();
                process::run(rolling::rolling(&arguments, data.clone()));
                // Whoever ran it may look at what is left otherwise.
                let _ = std::fs::remove_dir_all(data);
            }
            What::Soak if arguments.what.is_empty() => {}
            What::Soak => {
                let data = tempfile_dir();
                process::run(soak::soak(&arguments, data.clone()));
                let _ = std::fs::remove_dir_all(data);
            }
            What::NativeBroadcast => process::run(native::broadcast(&hub(), &arguments)),
            What::NativeDeliveries => process::run(native::deliveries(&hub(), &arguments)),
            What::NativeIntake => process::run(native::intake(&hub(), &arguments)),
            What::NativeIdle => process::run(native::idle(&hub(), &arguments)),
            What::SocketBroadcast => {
                process::run(socket::broadcast("web socket", hub().http, &arguments));
                process::run(socket::broadcast("fastwebsockets", Peer::start().address, &arguments));
            }
            What::SocketDeliveries => {
                process::run(socket::deliveries("web socket", hub().http, &arguments));
                process::run(socket::deliveries("fastwebsockets", Peer::start().address, &arguments));
            }
            What::SocketIntake => process::run(socket::intake(&hub(), &arguments)),
            What::SocketLatency => {
                process::run(socket::latency("web socket", hub().http, &arguments));
                process::run(socket::latency("fastwebsockets", Peer::start().address, &arguments));
            }
            What::SocketIdle => process::run(socket::idle(&hub(), &arguments)),
            What::Hostile => process::run(hostile::hostile(&hub(), &arguments)),
            What::Durable => process::run(durable::durable(&hub(), &arguments)),
        }
    }
    ExitCode::SUCCESS
}
