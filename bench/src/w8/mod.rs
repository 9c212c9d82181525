//! W8: sockets, and a relay between that loses packets at random: what a message's delay is at a steady rate, and how many
//! come through when there is always one to send.

mod relay;
mod stacks;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::{sleep, sleep_until, timeout};

use self::relay::{Counts, Narrow, Relay};
use self::stacks::{Kind, Sender, Server};

/// Bytes of a message.
const SIZE: usize = 1024;
/// Messages a second of the steady rate.
const RATE: u32 = 1000;
/// Lost packets of a thousand.
const LOSSES: [u64; 4] = [0, 10, 50, 200];
/// A steady message that takes longer than this will not come within the time of the measurement.
const PATIENCE: Duration = Duration::from_secs(5);

/// Its two parts: with losses, and where the way is narrow.
pub(crate) const WORKLOADS: [&str; 2] = ["w8-loss", "w8-narrow"];

/// What `--only` may name here: all whose names begin so are measured.
pub(crate) const NAMES: [&str; 3] = ["quinn", "quinn-cubic", "quinn-bbr"];

/// 10 Mbit/s, with a queue of 50 ms.
const NARROW: Narrow = Narrow { rate: 10_000_000 / 8, queue: Duration::from_millis(50) };

/// What one stack did at one loss.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) stack: &'static str,
    /// Percent of the packets, each way.
    pub(crate) loss: u64,
    /// Milliseconds from when a message was to be sent to its delivery, at 1000 a second.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Messages a second that arrived of these; 1000 when it keeps up.
    pub(crate) steady: f64,
    /// Messages a second when there is always one to send.
    pub(crate) bulk: f64,
}

/// What one stack did where the way is narrow, with always a message to send.
#[derive(Clone, Debug)]
pub(crate) struct NarrowRow {
    pub(crate) stack: &'static str,
    /// Percent of what could have been carried, headers included.
    pub(crate) used: f64,
    /// Percent of the packets.
    pub(crate) lost: f64,
    /// Milliseconds that packets stood.
    pub(crate) p50: f64,
    pub(crate) p95: f64,
}

/// Measures all stacks for `seconds` where the way is narrow, and prints it.
pub(crate) fn run_narrow(seconds: u64, wants: impl Fn(&str) -> bool) -> Vec<NarrowRow> {
    println!(
        "{:<10} {:<12} {:>8} {:>8} {:>11} {:>11}",
        "workload", "stack", "used %", "lost %", "queue p50", "queue p95"
    );
    let kinds = Kind::ALL.into_iter().filter(|kind| wants(kind.name()));
    kinds.map(|kind| measure_narrow(kind, Duration::from_secs(seconds))).collect()
}

fn measure_narrow(kind: Kind, time: Duration) -> NarrowRow {
    let Carried { counts, .. } = with_connection(kind, 0, Some(NARROW), 3, time, false);
    let stood = counts.stood.lock().expect("nobody panics with it");
    let first = stood.first().map_or_else(std::time::Instant::now, |&(at, ..)| at);
    let measured = stood.iter().filter(|(at, ..)| (time / 5..time).contains(&at.duration_since(first)));
    let (mut stands, bytes): (Vec<_>, Vec<_>) = measured.map(|&(_, stands, len)| (stands, len)).unzip();
    stands.sort_unstable();
    let able = f64::from(NARROW.rate) * (time * 4 / 5).as_secs_f64();
    let row = NarrowRow {
        stack: kind.name(),
        used: bytes.iter().sum::<usize>() as f64 / able * 100.0,
        lost: counts.share_lost(),
        p50: percentile(&stands, 50),
        p95: percentile(&stands, 95),
    };
    let NarrowRow { stack, used, lost, p50, p95 } = row;
    println!("{:<10} {stack:<12} {used:>8.1} {lost:>8.2} {p50:>8.1} ms {p95:>8.1} ms", WORKLOADS[1]);
    row
}

/// Milliseconds that so many percent of `sorted` do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(f64::NAN, |delay| delay.as_secs_f64() * 1000.0)
}

/// Measures all stacks for `seconds` each time, and prints it.
pub(crate) fn run(seconds: u64, wants: impl Fn(&str) -> bool) -> Vec<Row> {
    println!(
        "{:<8} {:<12} {:>6} {:>9} {:>9} {:>11} {:>11} {:>12}",
        "workload", "stack", "loss %", "p50 ms", "p99 ms", "steady/s", "bulk/s", "packets lost"
    );
    let mut rows = Vec::new();
    for loss in LOSSES {
        for kind in Kind::ALL.into_iter().filter(|kind| wants(kind.name())) {
            rows.push(measure(kind, loss, Duration::from_secs(seconds)));
        }
    }
    rows
}

fn measure(kind: Kind, loss: u64, time: Duration) -> Row {
    let Carried { mut delays, rate: steady, counts } = with_connection(kind, loss, None, 1, time, true);
    let bulk = with_connection(kind, loss, None, 2, time, false).rate;
    delays.sort_unstable();
    let (p50, p99, lost) = (percentile(&delays, 50), percentile(&delays, 99), counts.share_lost());
    let row = Row { stack: kind.name(), loss: loss / 10, p50, p99, steady, bulk };
    println!(
        "{:<8} {:<12} {:>6} {:>9.1} {:>9.1} {:>11.0} {:>11.0} {:>11.1}%",
        "w8", row.stack, row.loss, row.p50, row.p99, row.steady, row.bulk, lost
    );
    row
}

/// What came of a connection.
struct Carried {
    /// Of the messages.
    delays: Vec<Duration>,
    /// Messages that arrived in a second.
    rate: f64,
    counts: Arc<Counts>,
}

fn with_connection(
    kind: Kind,
    loss: u64,
    narrow: Option<Narrow>,
    seed: u64,
    time: Duration,
    is_steady: bool,
) -> Carried {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
    LocalSet::new().block_on(&runtime, async {
        let (server, address) = Server::start(kind);
        let relay = Relay::start(address, loss, narrow, seed);
        let (sender, mut receiver) = server.connect(relay.address).await;
        let begin = tokio::time::Instant::now();
        let sending = tokio::task::spawn_local(async move {
            if is_steady {
                send_steadily(sender, begin, time).await;
            } else {
                send_all(sender, begin, time).await;
            }
        });
        let warm = time / 5;
        let (mut delays, mut expected) = (Vec::new(), 0_u64);
        let mut counted = 0_u64;
        let deadline = begin + time;
        loop {
            let patience = if is_steady { deadline + PATIENCE } else { deadline };
            let left = patience.saturating_duration_since(tokio::time::Instant::now());
            let Ok(received) = timeout(left, receiver.recv()).await else { break };
            let Some(message) = received else {
                println!("{} lost its connection", kind.name());
                break;
            };
            let number = check(&message, expected);
            expected += 1;
            let now = tokio::time::Instant::now();
            if is_steady {
                let due = begin + Duration::from_secs(1) / RATE * number as u32;
                if due >= begin + warm {
                    delays.push(now - due);
                    counted += u64::from(now < deadline + relay::DELAY * 2);
                }
                if due + Duration::from_secs(1) / RATE >= deadline {
                    break;
                }
            } else if now >= begin + warm {
                counted += 1;
            }
        }
        sending.abort();
        let rate = counted as f64 / time.saturating_sub(warm).as_secs_f64();
        Carried { delays, rate, counts: Arc::clone(&relay.counts) }
    })
}

/// Message `number`: itself, then bytes that follow from it.
fn message(number: u64) -> Vec<u8> {
    let mut message = vec![number as u8; SIZE];
    message[..8].copy_from_slice(&number.to_be_bytes());
    message
}

/// It is the one that is next, and whole.
fn check(received: &[u8], expected: u64) -> u64 {
    assert!(*received == message(expected)[..], "message {expected} is wrong");
    expected
}

async fn send_steadily(mut sender: Sender, begin: tokio::time::Instant, time: Duration) {
    for number in 0.. {
        let due = begin + Duration::from_secs(1) / RATE * number as u32;
        if due >= begin + time {
            break;
        }
        sleep_until(due).await;
        if !sender.send(message(number)).await {
            return;
        }
    }
    // What is under way still has to arrive.
    sleep(PATIENCE).await;
}

async fn send_all(mut sender: Sender, begin: tokio::time::Instant, time: Duration) {
    for number in 0.. {
        if !sender.send(message(number)).await {
            return;
        }
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
        if begin.elapsed() > time {
            break;
        }
    }
    sleep(PATIENCE).await;
}
