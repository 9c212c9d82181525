//! The task that runs a machine on UDP sockets.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use driver::{Machine, Shared};
use proto_core::{Now, Timestamp};
use tokio::sync::watch;
use tokio::time::Sleep;

use super::inbound::Inbound;
use super::outbound::Outbound;
use super::stats::Counters;
use super::{Socket, Stats};
use crate::clock;

/// Packets that are taken from one socket in a turn, so that none starves another, nor the timers, nor the other tasks. What one
/// system call has read is handed in whole.
const MAX_PACKETS: usize = 1024;
/// Times that packets are built and sent at the end of a turn.
const MAX_FILLS: usize = 16;
/// Turns in a row in which timers wait for packets that have arrived before them.
const MAX_LATE_TURNS: u32 = 4;

/// A task that runs a machine on UDP sockets, until the machine is over. Dropping this handle leaves it running.
///
/// It sleeps until a packet, a command or the machine's deadline. Packets that have arrived are handed in before timers fire.
pub struct Pump {
    counters: Arc<Counters>,
    ended: watch::Receiver<()>,
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Pump {
    /// Spawns the task on the present tokio runtime. A path's socket is its place in `sockets`.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or when that was built without time.
    pub fn spawn<M: Machine>(shared: Shared<M>, sockets: Vec<Socket>) -> Self {
        let counters = Arc::new(Counters::default());
        let (alive, ended) = watch::channel(());
        let mut task = Task {
            shared,
            sockets,
            counters: Arc::clone(&counters),
            inbound: Inbound::new(),
            outbound: Outbound::default(),
            late_turns: 0,
            sleep: None,
            _alive: alive,
        };
        // It has work limits of its own, and must be able to tell an empty socket from a used-up budget.
        tokio::spawn(tokio::task::unconstrained(poll_fn(move |cx| task.poll(cx))));
        Self { counters, ended }
    }

    /// What the sockets did.
    pub fn stats(&self) -> Stats {
        self.counters.get()
    }

    /// Waits until the task has ended.
    pub async fn ended(&self) {
        // Nothing is ever sent: the error says that the task and its end of the channel are gone.
        let _ = self.ended.clone().changed().await;
    }
}

struct Task<M: Machine> {
    shared: Shared<M>,
    sockets: Vec<Socket>,
    counters: Arc<Counters>,
    inbound: Inbound,
    outbound: Outbound,
    late_turns: u32,
    /// The timer, and what it is set to.
    sleep: Option<(Timestamp, Pin<Box<Sleep>>)>,
    _alive: watch::Sender<()>,
}

impl<M: Machine> Task<M> {
    /// One turn. When the work limit cuts it short, the task is woken at once for the next.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.counters.turns.add(1);
        self.shared.begin_turn(cx.waker());
        let began = self.shared.now();
        let is_due = self.shared.inspect(|machine| machine.poll_timeout().is_some_and(|at| at <= began.mono));
        let all_read = self.receive(cx, is_due);
        if is_due {
            self.fire(began, all_read);
        }
        let all_sent = self.transmit(cx, MAX_FILLS);
        let (deadline, is_over) = self.shared.inspect(|machine| (machine.poll_timeout(), machine.is_over()));
        if is_over && all_sent && self.outbound.is_empty() {
            return Poll::Ready(());
        }
        if !all_read || !all_sent {
            self.counters.cut_turns.add(1);
            cx.waker().wake_by_ref();
        } else {
            self.arm(cx, deadline);
        }
        Poll::Pending
    }

    /// Fires the timers that were due when the turn began, if everything was read that had arrived by then.
    fn fire(&mut self, began: Now, all_read: bool) {
        if all_read || self.late_turns >= MAX_LATE_TURNS {
            self.late_turns = 0;
            self.shared.turn(|machine, _| machine.handle_timeout(began));
        } else {
            self.late_turns += 1;
        }
    }

    /// Hands in what has arrived; returns whether that was all. `ask`: see [`Inbound::read`].
    fn receive(&mut self, cx: &mut Context<'_>, ask: bool) -> bool {
        let mut was_all = true;
        for socket in 0..self.sockets.len() {
            was_all &= self.receive_from(cx, socket, ask);
        }
        was_all
    }

    /// The same for one socket. In between goes out what the packets call for, before there is too much of it.
    fn receive_from(&mut self, cx: &mut Context<'_>, socket: usize, ask: bool) -> bool {
        let mut packets = 0;
        while packets < MAX_PACKETS {
            if self.inbound.read(cx, &self.sockets[socket], ask, &self.counters).is_pending() {
                return true;
            }
            while !self.inbound.is_empty() {
                let Self { shared, inbound, .. } = self;
                let handed = shared.turn(|machine, now| inbound.hand_in(machine, now, socket as u16));
                self.counters.packets_received.add(handed);
                packets += handed;
                self.transmit(cx, 1);
            }
        }
        false
    }

    /// Builds and sends what there is, at most `fills` times; returns whether that was all that can go now.
    fn transmit(&mut self, cx: &mut Context<'_>, fills: usize) -> bool {
        let Self { outbound, sockets, shared, counters, .. } = self;
        for _ in 0..fills {
            if outbound.flush(cx, sockets, counters).is_pending() {
                return true;
            }
            let was_all = shared.turn(|machine, now| outbound.fill(machine, now));
            if was_all && outbound.is_empty() {
                return true;
            }
        }
        // What was built last is on its way, or waits for room.
        outbound.flush(cx, sockets, counters).is_pending()
    }

    /// Wakes the task at `deadline`.
    fn arm(&mut self, cx: &mut Context<'_>, deadline: Option<Timestamp>) {
        let Some(deadline) = deadline else {
            self.sleep = None;
            return;
        };
        let sleep = match &mut self.sleep {
            Some((armed, sleep)) if *armed == deadline => sleep,
            Some((armed, sleep)) => {
                *armed = deadline;
                sleep.as_mut().reset(clock::instant(deadline));
                sleep
            }
            None => {
                let sleep = Box::pin(tokio::time::sleep_until(clock::instant(deadline)));
                &mut self.sleep.insert((deadline, sleep)).1
            }
        };
        if sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl<M: Machine> Drop for Task<M> {
    fn drop(&mut self) {
        self.shared.end();
    }
}
