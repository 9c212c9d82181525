//! Many connections: one message for all of them, or none at all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use adapter_tokio::Message;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use super::asynchronous::run;
use super::ends::{Dialer, End, Listener};
use super::{Job, Workload, message, number, tell, tell_times};
use crate::alloc;

pub(super) const SUBSCRIBERS: usize = 1000;
/// Connections that say nothing.
const IDLE: usize = 10_000;
/// For so long.
const REST: Duration = Duration::from_secs(3);
/// Messages that are published before the first of them has come to all, where deliveries are counted.
pub(super) const PUBLISHED_AHEAD: usize = 64;
/// Handshakes at a time.
const AT_ONCE: usize = 64;

pub(super) fn take_part(job: &Job, address: Option<&str>) {
    run(async {
        match (job.workload, address) {
            (Workload::Idle, None) => count_idle(job).await,
            (Workload::Idle, Some(address)) => stay(job, address).await,
            (_, None) => pass_on(job).await,
            (_, Some(address)) => publish(job, address).await,
        }
    });
}

/// Whoever is to hear what another one says.
enum Mouth {
    Bowline(adapter_tokio::Connection),
    Other(tokio::sync::mpsc::UnboundedSender<Bytes>),
}

/// The server: what one says, all others hear.
async fn pass_on(job: &Job) {
    let (listener, address) = Listener::bind(job.stack).await;
    println!("{address}");
    let mouths: Rc<RefCell<Vec<Mouth>>> = Rc::default();
    let mut tasks = Vec::new();
    for index in 0..=SUBSCRIBERS {
        let end = listener.accept().await;
        let mouths = Rc::clone(&mouths);
        match end {
            End::Bowline(end) => {
                let conn = end.conn;
                mouths.borrow_mut().push(Mouth::Bowline(conn.clone()));
                tasks.push(spawn_local(async move {
                    loop {
                        let received = conn.recv_many(PUBLISHED_AHEAD).await;
                        if received.is_empty() {
                            return;
                        }
                        let messages =
                            received.into_iter().map(|received| received.payload).collect::<Vec<_>>();
                        say_to_others(&mouths, index, &messages);
                    }
                }));
            }
            other => {
                let (mouth, said) = tokio::sync::mpsc::unbounded_channel();
                mouths.borrow_mut().push(Mouth::Other(mouth));
                tasks.push(spawn_local(relay(other, said, mouths, index)));
            }
        }
    }
    for task in tasks {
        let _ = task.await;
    }
}

/// A connection of a stack whose ends are not shared: it hears and says in turn.
async fn relay(
    mut end: End,
    mut said: tokio::sync::mpsc::UnboundedReceiver<Bytes>,
    mouths: Rc<RefCell<Vec<Mouth>>>,
    index: usize,
) {
    loop {
        tokio::select! {
            received = end.recv() => match received {
                Some(received) => say_to_others(&mouths, index, &[received]),
                None => return,
            },
            message = said.recv() => {
                let Some(message) = message else { return };
                end.feed(message).await;
                while let Ok(message) = said.try_recv() {
                    end.feed(message).await;
                }
                end.flush().await;
            }
        }
    }
}

fn say_to_others(mouths: &RefCell<Vec<Mouth>>, index: usize, messages: &[Bytes]) {
    for (other, mouth) in mouths.borrow().iter().enumerate().filter(|&(other, _)| other != index) {
        for message in messages {
            match mouth {
                Mouth::Bowline(conn) => {
                    conn.send_now(Message::new(message.clone()))
                        .unwrap_or_else(|error| panic!("{other}: {error}"));
                }
                Mouth::Other(mouth) => {
                    mouth.send(message.clone()).unwrap_or_else(|_| panic!("{other} is gone"));
                }
            }
        }
    }
}

/// Connections to the server, some at a time.
async fn connect(job: &Job, address: &str, count: usize) -> Vec<End> {
    let dialer = Rc::new(Dialer::new(job.stack));
    let mut ends = Vec::new();
    while ends.len() < count {
        let dials = (0..AT_ONCE.min(count - ends.len())).map(|_| {
            let (dialer, address) = (Rc::clone(&dialer), address.to_owned());
            spawn_local(async move { dialer.connect(&address).await })
        });
        for dial in dials.collect::<Vec<JoinHandle<_>>>() {
            ends.push(dial.await.expect("a connection"));
        }
    }
    ends
}

/// The client: publishes, and waits until the last one has it.
async fn publish(job: &Job, address: &str) {
    let mut ends = connect(job, address, SUBSCRIBERS + 1).await;
    let mut publisher = ends.pop().expect("there is one more");
    // Whoever accepts takes them one by one.
    sleep(Duration::from_millis(300)).await;
    let (heard, all) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
    let size = job.size;
    let tasks: Vec<_> = ends
        .into_iter()
        .map(|mut end| {
            let (heard, all) = (Rc::clone(&heard), Rc::clone(&all));
            spawn_local(async move {
                let mut expected = 0;
                while let Some(received) = end.recv().await {
                    assert_eq!(number(&received, size), expected, "another one is next");
                    expected += 1;
                    heard.set(heard.get() + 1);
                    if heard.get() % SUBSCRIBERS == 0 {
                        all.notify_one();
                    }
                }
            })
        })
        .collect();
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < job.time {
        let sent = Instant::now();
        publisher.feed(message(times.len() as u64, size).into()).await;
        publisher.flush().await;
        all.notified().await;
        times.push(sent.elapsed());
    }
    let (begun, before) = (Instant::now(), heard.get());
    let mut sent = times.len();
    while begun.elapsed() < job.time {
        while sent * SUBSCRIBERS < heard.get() + PUBLISHED_AHEAD * SUBSCRIBERS {
            publisher.feed(message(sent as u64, size).into()).await;
            sent += 1;
        }
        publisher.flush().await;
        all.notified().await;
    }
    tell("deliveries/s", (heard.get() - before) as f64 / begun.elapsed().as_secs_f64());
    while heard.get() < sent * SUBSCRIBERS {
        all.notified().await;
    }
    tell_times(&mut times, "ms", 1e3);
    for task in tasks {
        task.abort();
    }
    // The server learns that all are gone.
    std::process::exit(0);
}

async fn count_idle(job: &Job) {
    let (listener, address) = Listener::bind(job.stack).await;
    let before = alloc::live();
    println!("{address}");
    let mut ends = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        ends.push(listener.accept().await);
    }
    for end in &mut ends {
        let received = end.recv().await.expect("a message");
        end.feed(received).await;
        end.flush().await;
        end.rest();
    }
    sleep(REST).await;
    tell("bytes each", (alloc::live() - before) as f64 / IDLE as f64);
    std::process::exit(0);
}

/// The client of that: one message each way, and silence.
async fn stay(job: &Job, address: &str) {
    let mut ends = connect(job, address, IDLE).await;
    for end in &mut ends {
        end.feed(message(1, job.size).into()).await;
        end.flush().await;
    }
    for end in &mut ends {
        end.recv().await.expect("an answer");
    }
    sleep(REST * 2).await;
}
