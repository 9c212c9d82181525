//! The threads of a case, and one more that is the network and the clock. One of them runs at a time: whoever waits hands over, and
//! time passes when all do.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use conformance::world::Job;
use driver::Shared;
use proto_core::{Now, Timestamp};
use simtest::{START_UNIX_MS, Time};

use crate::host::Do;
use crate::world::HOSTS;

/// Turns that threads may have before time passes.
const MAX_TURNS: u32 = 1_000_000;
/// How long somebody pauses who gives others a turn.
const PAUSE: Duration = Duration::from_micros(100);

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Network,
    Thread(u32),
}

/// A thread of the case.
#[derive(Debug)]
struct Thread {
    is_woken: bool,
    /// It goes on then, whatever happens.
    until: Option<Timestamp>,
}

/// What the network is to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Tell a host something.
    Tell(u32, Do),
    /// Wake the case then.
    Alarm(Option<Time>),
    /// Let the next thing happen.
    Go,
}

/// What the threads of a case have in common.
#[derive(Debug)]
pub(crate) struct Case {
    nanos: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    turn: Turn,
    /// Those that wait or run.
    threads: BTreeMap<u32, Thread>,
    begun: u32,
    /// Who had the last turn.
    last: u32,
    orders: VecDeque<(u32, Do)>,
    alarm: Option<Timestamp>,
    /// Who has, or had, the addresses.
    machines: Vec<Option<Shared<driver::Node>>>,
    /// Why there is no network any more.
    is_over: Option<String>,
    has_failed: bool,
    /// Turns since time has passed.
    turns: u32,
    /// Endpoints that were made.
    born: u64,
}

/// Who runs.
#[derive(Clone)]
struct Here {
    case: Arc<Case>,
    thread: u32,
}

fn here() -> Here {
    HERE.with_borrow(Clone::clone).expect("a case has begun")
}

/// The case that is played.
pub(crate) fn case() -> Arc<Case> {
    here().case
}

/// Whether a case is played.
pub(crate) fn is_played() -> bool {
    HERE.with_borrow(Option::is_some)
}

/// The time of the simulation.
pub(crate) fn now() -> Now {
    let mono = HERE.with_borrow(|here| here.as_ref().map_or(Timestamp::ZERO, |here| here.case.now()));
    Now { mono, unix_ms: START_UNIX_MS + mono.as_millis() }
}

/// For the network's thread.
pub(crate) fn set_now(now: Time) {
    HERE.with_borrow(|here| here.as_ref().map(|here| here.case.set_now(now)));
}

impl Case {
    /// Begins one on this thread, with `network` on another.
    pub(crate) fn begin(network: impl FnOnce(&Self) + Send + 'static) -> thread::JoinHandle<()> {
        let state = State {
            turn: Turn::Thread(0),
            threads: BTreeMap::from([(0, Thread { is_woken: false, until: None })]),
            begun: 1,
            last: 0,
            orders: VecDeque::new(),
            alarm: None,
            machines: Vec::new(),
            is_over: None,
            has_failed: false,
            turns: 0,
            born: 0,
        };
        let case =
            Arc::new(Self { nanos: AtomicU64::new(0), state: Mutex::new(state), changed: Condvar::new() });
        HERE.set(Some(Here { case: Arc::clone(&case), thread: 0 }));
        thread::spawn(move || {
            HERE.set(Some(Here { case: Arc::clone(&case), thread: u32::MAX }));
            let ended = panic::catch_unwind(AssertUnwindSafe(|| network(&case)));
            if ended.is_err() {
                case.fail("the network panicked");
            }
        })
    }

    /// Ends it: whoever still waits is gone.
    pub(crate) fn end(&self, why: &str) {
        let mut state = self.lock();
        state.is_over.get_or_insert_with(|| why.into());
        let held = (std::mem::take(&mut state.machines), std::mem::take(&mut state.orders));
        drop(state);
        self.changed.notify_all();
        drop(held);
    }

    /// Ends it as one that has failed.
    pub(crate) fn fail(&self, why: &str) {
        self.lock().has_failed = true;
        self.end(why);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn set_now(&self, now: Time) {
        if self.nanos.swap(now.as_nanos(), Ordering::Relaxed) != now.as_nanos() {
            self.lock().turns = 0;
        }
    }

    /// Tells a host something, before anything else happens.
    pub(crate) fn tell(&self, host: u32, what: Do) {
        self.lock().orders.push_back((host, what));
    }

    /// A new address.
    pub(crate) fn take_new(&self) -> u32 {
        let mut state = self.lock();
        let number = state.machines.len() as u32;
        assert!(number < HOSTS, "more than {HOSTS} hosts");
        state.machines.push(None);
        number
    }

    /// Randomness of its own for each endpoint.
    pub(crate) fn next_seed(&self) -> [u8; 32] {
        let mut state = self.lock();
        state.born += 1;
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&state.born.to_be_bytes());
        seed
    }

    /// The address of an endpoint that is over; `None` when there was none, or it is not.
    pub(crate) fn take(&self, number: u32) -> Option<u32> {
        let machine = self.lock().machines.get(number as usize)?.clone()?;
        machine.ended().is_some().then_some(number)
    }

    /// Who has the address now.
    pub(crate) fn settle_in(&self, number: u32, machine: Shared<driver::Node>) {
        self.lock().machines[number as usize] = Some(machine);
    }

    /// For the network's thread: waits until all others do, and says what happens next; `None` when the case is over.
    pub(crate) fn next(&self) -> Option<Step> {
        let mut state = self.lock();
        loop {
            while state.turn != Turn::Network && state.is_over.is_none() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_over.is_some() {
                return None;
            }
            if let Some((host, what)) = state.orders.pop_front() {
                return Some(Step::Tell(host, what));
            }
            let now = self.now();
            let can_go = |thread: &Thread| thread.is_woken || thread.until.is_some_and(|until| until <= now);
            let from = state.last + 1;
            let in_turn = state.threads.range(from..).chain(state.threads.range(..from));
            let next = in_turn.filter(|(_, thread)| can_go(thread)).map(|(&id, _)| id).next();
            if let Some(id) = next {
                state.turns += 1;
                if state.turns > MAX_TURNS {
                    drop(state);
                    self.fail("time stands still: somebody is woken again and again");
                    return None;
                }
                state.last = id;
                state.turn = Turn::Thread(id);
                self.changed.notify_all();
                continue;
            }
            let alarm = state.threads.values().filter_map(|thread| thread.until).min();
            if alarm != state.alarm {
                state.alarm = alarm;
                return Some(Step::Alarm(alarm.map(|at| Time::from_nanos(at.as_nanos()))));
            }
            return Some(Step::Go);
        }
    }

    /// Hands over until `id` is woken, or until then.
    fn wait(&self, id: u32, until: Option<Timestamp>) {
        let mut state = self.lock();
        if let Some(thread) = state.threads.get_mut(&id) {
            thread.until = until;
        }
        state.turn = Turn::Network;
        self.changed.notify_all();
        self.await_turn(state, id);
    }

    fn await_turn(&self, mut state: MutexGuard<'_, State>, id: u32) {
        while state.turn != Turn::Thread(id) {
            if let Some(why) = state.is_over.clone() {
                drop(state);
                match id {
                    0 => panic!("{why}"),
                    // Nobody waits for this one.
                    _ => panic::resume_unwind(Box::new(why)),
                }
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(thread) = state.threads.get_mut(&id) {
            thread.is_woken = false;
            thread.until = None;
        }
    }

    fn wake(&self, id: u32) {
        if let Some(thread) = self.lock().threads.get_mut(&id) {
            thread.is_woken = true;
        }
    }
}

struct Waking {
    case: Arc<Case>,
    thread: u32,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.case.wake(self.thread);
    }
}

/// Waits for a future, at most for a while.
pub(crate) fn within<T>(wait: Duration, future: impl Future<Output = T>) -> Option<T> {
    let Here { case, thread } = here();
    let deadline = case.now() + wait;
    let waker = Waker::from(Arc::new(Waking { case: Arc::clone(&case), thread }));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return Some(result),
            Poll::Pending if case.now() >= deadline => return None,
            Poll::Pending => case.wait(thread, Some(deadline)),
        }
    }
}

/// Gives others a turn.
pub(crate) fn pause() {
    let Here { case, thread } = here();
    case.wait(thread, Some(case.now() + PAUSE));
}

/// Begins to work on another thread, which waits for its turn.
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
    let case = case();
    let mut state = case.lock();
    let id = state.begun;
    state.begun += 1;
    state.threads.insert(id, Thread { is_woken: true, until: None });
    drop(state);
    let result = Arc::new(Mutex::new(None));
    let done = Arc::clone(&result);
    thread::spawn(move || {
        HERE.set(Some(Here { case: Arc::clone(&case), thread: id }));
        case.await_turn(case.lock(), id);
        let worked = panic::catch_unwind(AssertUnwindSafe(work));
        *done.lock().expect("nobody panics here") = Some(worked);
        let mut state = case.lock();
        state.threads.remove(&id);
        // One of them may wait for this one.
        state.threads.values_mut().for_each(|thread| thread.is_woken = true);
        state.turn = Turn::Network;
        case.changed.notify_all();
    });
    Box::new(move || {
        let Here { case, thread } = here();
        loop {
            let worked = result.lock().expect("nobody panics here").take();
            match worked {
                Some(Ok(worked)) => return worked,
                Some(Err(panic)) => panic::resume_unwind(panic),
                None => case.wait(thread, None),
            }
        }
    })
}

/// Ends the case of this thread; whether it has failed.
pub(crate) fn end() -> bool {
    HERE.take().is_some_and(|here| {
        here.case.end("the case is over");
        here.case.lock().has_failed
    })
}
