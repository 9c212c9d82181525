//! Names that are looked up on a few threads: for a runtime that has none for what blocks. The system's resolver cannot be interrupted,
//! so whoever asks is told when its time is over, and the thread stays until the system has answered.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use proto_core::Timestamp;

use crate::{LOOKUP_TIMEOUT, Lookup, clock};

/// Names that are asked for at once.
const THREADS: usize = 8;

/// A host and a port.
type Name = (String, u16);
/// Where it is, or why that is not known: every one of those who ask for a name gets it.
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// Somebody who asks.
#[derive(Debug, Default)]
struct Asker(Mutex<(Option<Found>, Option<Waker>)>);

impl Asker {
    fn tell(&self, found: Found) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = Some(found);
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

#[derive(Debug)]
struct Resolver {
    /// Names that no thread has yet.
    waiting: VecDeque<Name>,
    /// Who asks for each name, and until when.
    askers: BTreeMap<Name, Vec<(Timestamp, Arc<Asker>)>>,
    threads: usize,
    /// A thread looks after the time.
    is_timed: bool,
}

static RESOLVER: Mutex<Resolver> =
    Mutex::new(Resolver { waiting: VecDeque::new(), askers: BTreeMap::new(), threads: 0, is_timed: false });

fn resolver() -> MutexGuard<'static, Resolver> {
    RESOLVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the system's resolver on a thread of its own, for at most [`LOOKUP_TIMEOUT`]. Those who ask for the same name get the same
/// answer, and no more than eight names are asked for at once, by all of the program.
pub fn look_up(host: String, port: u16) -> Lookup {
    let asker = Arc::new(Asker::default());
    let begun = resolver().ask((host, port), Arc::clone(&asker), LOOKUP_TIMEOUT);
    let mut failed = begun.err();
    Box::pin(poll_fn(move |cx| {
        if let Some(error) = failed.take() {
            return Poll::Ready(Err(error));
        }
        let mut state = asker.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = state.0.take() {
            return Poll::Ready(found.map_err(|(kind, why)| io::Error::new(kind, why)));
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }))
}

impl Resolver {
    fn ask(&mut self, name: Name, asker: Arc<Asker>, timeout: Duration) -> io::Result<()> {
        if !self.is_timed {
            spawn(tell_the_time)?;
            self.is_timed = true;
        }
        if !self.askers.contains_key(&name) {
            if self.threads < THREADS {
                match spawn(answer) {
                    Ok(()) => self.threads += 1,
                    Err(error) if self.threads == 0 => return Err(error),
                    Err(_) => {}
                }
            }
            self.waiting.push_back(name.clone());
        }
        self.askers.entry(name).or_default().push((clock::now().mono + timeout, asker));
        Ok(())
    }

    /// Tells those whose time is over, and says when the next one's is.
    fn expire(&mut self, now: Timestamp) -> Option<Timestamp> {
        for askers in self.askers.values_mut() {
            askers.retain(|(until, asker)| {
                let is_in_time = *until > now;
                if !is_in_time {
                    asker.tell(Err((io::ErrorKind::TimedOut, "the resolver does not answer".to_owned())));
                }
                is_in_time
            });
        }
        let Self { waiting, askers, .. } = self;
        waiting.retain(|name| {
            askers.get(name).is_some_and(|askers| !askers.is_empty()) || {
                askers.remove(name);
                false
            }
        });
        askers.values().flatten().map(|&(until, _)| until).min()
    }
}

fn spawn(body: fn()) -> io::Result<()> {
    thread::Builder::new().name("bowline-lookup".into()).spawn(body).map(drop)
}

/// Asks for one name after the other, until none waits.
fn answer() {
    loop {
        let mut state = resolver();
        let Some(name) = state.waiting.pop_front() else {
            state.threads -= 1;
            return;
        };
        drop(state);
        let found = (name.0.as_str(), name.1).to_socket_addrs();
        let found = found.map(Iterator::collect).map_err(|error| (error.kind(), error.to_string()));
        let askers = resolver().askers.remove(&name).unwrap_or_default();
        for (_, asker) in askers {
            asker.tell(Found::clone(&found));
        }
    }
}

/// Looks after the time as long as anybody asks.
fn tell_the_time() {
    loop {
        let now = clock::now().mono;
        let mut state = resolver();
        let Some(next) = state.expire(now) else {
            state.is_timed = false;
            return;
        };
        drop(state);
        thread::park_timeout(next.since(now));
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;

    fn told(asker: &Asker) -> Option<Found> {
        asker.0.lock().unwrap().0.take()
    }

    #[test]
    fn who_asks_for_the_same_name_waits_for_the_same_answer_and_no_longer_than_it_said() {
        let mut resolver = Resolver {
            waiting: VecDeque::new(),
            askers: BTreeMap::new(),
            // Nobody answers.
            threads: THREADS,
            is_timed: true,
        };
        let askers: Vec<Arc<Asker>> = (0..1000).map(|_| Arc::default()).collect();
        for (number, asker) in askers.iter().enumerate() {
            let name = (format!("host{}", number % 3), 1);
            let timeout = Duration::from_secs(if number < 500 { 10 } else { 1000 });
            resolver.ask(name, Arc::clone(asker), timeout).expect("no thread is needed");
        }
        assert_eq!((resolver.waiting.len(), resolver.threads), (3, THREADS));
        let now = clock::now().mono;
        let next = resolver.expire(now).expect("they wait");
        assert!(askers.iter().all(|asker| told(asker).is_none()) && next > now);
        assert!(resolver.expire(next + Duration::from_mins(1)).is_some_and(|at| at > next));
        for (number, asker) in askers.iter().enumerate() {
            let is_over = matches!(told(asker), Some(Err((io::ErrorKind::TimedOut, _))));
            assert_eq!(is_over, number < 500);
        }
        assert_eq!(resolver.expire(now + Duration::from_secs(2000)), None);
        assert!(resolver.waiting.is_empty() && resolver.askers.is_empty());
    }

    #[test]
    fn names_of_this_machine_are_found() {
        let mut lookups: Vec<Lookup> = (0..100).map(|_| look_up("localhost".to_owned(), 80)).collect();
        for lookup in &mut lookups {
            let found = loop {
                match lookup.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(found) => break found,
                    Poll::Pending => thread::yield_now(),
                }
            };
            assert!(found.expect("it is known").iter().all(|place| place.ip().is_loopback()));
        }
        assert!(resolver().threads <= THREADS);
    }
}
