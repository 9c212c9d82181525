//! W8: sockets, and a relay between that loses packets at random: what a message's delay is at a steady rate, and how many
//! come through when there is always one to send.

mod relay;
mod stacks;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::{sleep, sleep_until, timeout};

use self::relay::Relay;
use self::stacks::{Kind, Sender, Server};

/// Bytes of a message.
const SIZE: usize = 1024;
/// Messages a second of the steady rate.
const RATE: u32 = 1000;
/// Lost packets of a thousand.
const LOSSES: [u64; 4] = [0, 10, 50, 200];
/// A steady message that takes longer than this will not come within the time of the measurement.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `--only` may name here: all whose names begin so are measured.
pub(crate) const NAMES: [&str; 3] = ["quinn", "quinn-cubic", "quinn-bbr"];

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
    let (mut delays, steady, lost) = with_connection(kind, loss, 1, time, true);
    let (_, bulk, _) = with_connection(kind, loss, 2, time, false);
    delays.sort_unstable();
    let at = |percent: usize| {
        let index = (delays.len() * percent / 100).min(delays.len().saturating_sub(1));
        delays.get(index).map_or(f64::NAN, |delay| delay.as_secs_f64() * 1000.0)
    };
    let row = Row { stack: kind.name(), loss: loss / 10, p50: at(50), p99: at(99), steady, bulk };
    println!(
        "{:<8} {:<12} {:>6} {:>9.1} {:>9.1} {:>11.0} {:>11.0} {:>11.1}%",
        "w8", row.stack, row.loss, row.p50, row.p99, row.steady, row.bulk, lost
    );
    row
}

/// The delays of the messages, how many arrived in a second, and the share of packets lost.
fn with_connection(
    kind: Kind,
    loss: u64,
    seed: u64,
    time: Duration,
    is_steady: bool,
) -> (Vec<Duration>, f64, f64) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
    LocalSet::new().block_on(&runtime, async {
        let (server, address) = Server::start(kind);
        let relay = Relay::start(address, loss, seed);
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
        let (passed, lost) =
            (relay.counts.passed.load(Ordering::Relaxed), relay.counts.lost.load(Ordering::Relaxed));
        let share = lost as f64 / (lost + passed).max(1) as f64 * 100.0;
        (delays, counted as f64 / time.saturating_sub(warm).as_secs_f64(), share)
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
