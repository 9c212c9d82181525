//! Two processes with one connection between them.

use std::future::Future;
use std::time::{Duration, Instant};

use adapter_tokio::Message;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::ends::{Dialer, End, Listener};
use super::{Job, Workload, message, number, tell, tell_times};

/// Requests that wait for their answers.
const OUTSTANDING: usize = 64;
/// Prime, so that no batch size hides a message that came in another's place.
const KINDS: usize = 61;
/// Nothing came for so long: it is over.
const SILENCE: Duration = Duration::from_millis(500);

pub(super) fn take_part(job: &Job, address: Option<&str>) {
    let (job, address) = (*job, address.map(str::to_owned));
    let part = async move {
        match address {
            None => {
                let (listener, address) = Listener::bind(job.stack).await;
                println!("{address}");
                serve(&job, listener.accept().await).await;
            }
            Some(address) => ask(&job, Dialer::new(job.stack).connect(&address).await).await,
        }
    };
    // A task, as the work of any server is: tokio wakes the future that `block_on` was given by way of the system.
    runtime().block_on(async { tokio::spawn(part).await.expect("no panic") });
}

/// Different messages that are sent in turn, numbered.
fn messages(size: usize) -> [Bytes; KINDS] {
    std::array::from_fn(|number| message(number as u64, size).into())
}

/// Runs `future` on one thread.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    LocalSet::new().block_on(&runtime(), future)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a tokio runtime")
}

async fn serve(job: &Job, mut end: End) {
    match job.workload {
        Workload::Ordered => {
            let (mut count, mut begun, mut last) = (0, None, Instant::now());
            while let Some(received) = end.recv().await {
                assert_eq!(number(&received, job.size), count % KINDS as u64, "another one is next");
                begun.get_or_insert_with(Instant::now);
                count += 1;
                last = Instant::now();
            }
            let time = last.duration_since(begun.expect("messages came"));
            tell("messages/s", count as f64 / time.as_secs_f64());
        }
        Workload::Unreliable => {
            let (mut count, mut begun, mut last) = (0_u64, None, Instant::now());
            while let Ok(Some(received)) = timeout(SILENCE, end.recv_unreliable()).await {
                number(&received, job.size);
                begun.get_or_insert_with(Instant::now);
                count += 1;
                last = Instant::now();
            }
            let time = last.duration_since(begun.expect("messages came"));
            tell("messages/s", count as f64 / time.as_secs_f64());
            tell("arrived", count as f64);
        }
        _ => echo(end).await,
    }
}

/// Sends each message back, and those that come together together.
async fn echo(mut end: End) {
    if let End::Bowline(end) = &end {
        while let Some(received) = end.conn.recv().await {
            let answered = match received.request {
                Some(request) => end.conn.reply(request, received.payload).await,
                None => end.conn.send(Message::new(received.payload)).await,
            };
            answered.expect("a connection");
        }
        return;
    }
    while let Some(received) = end.recv().await {
        end.feed(received).await;
        while let Some(Some(received)) = end.recv().now_or_never() {
            end.feed(received).await;
        }
        end.flush().await;
    }
}

async fn ask(job: &Job, mut end: End) {
    let begun = Instant::now();
    match job.workload {
        Workload::RoundTrip => {
            let mut times = Vec::new();
            let message = Bytes::from(message(1, job.size));
            while begun.elapsed() < job.time {
                let sent = Instant::now();
                end.feed(message.clone()).await;
                end.flush().await;
                let answer = end.recv().await.expect("an answer");
                times.push(sent.elapsed());
                assert_eq!(answer, message);
            }
            tell_times(&mut times, "us", 1e6);
        }
        Workload::Outstanding => {
            let count = if let End::Bowline(end) = &end {
                request(job, &end.conn, begun).await
            } else {
                pipeline(job, &mut end, begun).await
            };
            tell("requests/s", count as f64 / begun.elapsed().as_secs_f64());
        }
        Workload::Unreliable => {
            let (messages, mut sent) = (messages(job.size), 0);
            while begun.elapsed() < job.time {
                end.feed_unreliable(messages[sent % KINDS].clone()).await;
                sent += 1;
            }
            end.flush().await;
            tell("sent", sent as f64);
            tokio::time::sleep(SILENCE).await;
        }
        _ => {
            let (messages, mut sent) = (messages(job.size), 0);
            while sent % 64 != 0 || begun.elapsed() < job.time {
                end.feed(messages[sent % KINDS].clone()).await;
                sent += 1;
            }
        }
    }
    end.finish().await;
}

async fn request(job: &Job, conn: &adapter_tokio::Connection, begun: Instant) -> u64 {
    let question = Bytes::from(message(1, job.size));
    let ask = || async {
        let mut count = 0_u64;
        while begun.elapsed() < job.time {
            let answer = conn.request(Message::new(question.clone()), Duration::from_secs(5)).await;
            assert_eq!(answer.expect("an answer"), question);
            count += 1;
        }
        count
    };
    join_all((0..OUTSTANDING).map(|_| ask())).await.into_iter().sum()
}

async fn pipeline(job: &Job, end: &mut End, begun: Instant) -> u64 {
    let question = Bytes::from(message(1, job.size));
    for _ in 0..OUTSTANDING {
        end.feed(question.clone()).await;
    }
    end.flush().await;
    let mut count = 0;
    while begun.elapsed() < job.time {
        let mut answer = end.recv().await;
        while let Some(received) = answer {
            assert_eq!(received, question);
            count += 1;
            end.feed(question.clone()).await;
            answer = end.recv().now_or_never().flatten();
        }
        end.flush().await;
    }
    count
}
