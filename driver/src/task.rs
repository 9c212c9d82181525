//! The task that runs a machine on sockets.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use proto_core::{Now, Timestamp};

use crate::handover::{Datagrams, Handover, Letter};
use crate::link::{self, Links};
use crate::udp::{self, Inbound, Outbound};
use crate::{End, Machine, Ports, Runtime, Shared, Timer as _};

/// Packets that are taken from one socket in a turn, so that none starves another, nor the timers, nor the other tasks. What one
/// system call has read is handed in whole.
const MAX_PACKETS: usize = 128;
/// Times that packets are built and sent at the end of a turn.
const MAX_FILLS: usize = 16;
/// How long the memory that sockets are read into is kept when nothing comes.
const KEPT: Duration = Duration::from_secs(1);
/// Turns in a row in which timers wait for packets that have arrived before them.
const MAX_LATE_TURNS: u32 = 32;

/// Runs a machine on sockets: a future that is ready when the machine is over. Dropped before, it ends the machine.
///
/// It sleeps until something arrives, a command or the machine's deadline. Packets that have arrived are handed in before timers fire. It has
/// work limits of its own: a runtime that cuts tasks short by a budget must leave it out, or it takes a full socket for an empty one.
pub struct Task<M: Machine, R: Runtime> {
    shared: Shared<M>,
    sockets: Vec<udp::Socket<R::Io>>,
    counters: Arc<udp::Counters>,
    links: Links<R>,
    inbound: Inbound,
    outbound: Outbound,
    late_turns: u32,
    /// When memory is given back that was not used for a while.
    release_at: Option<Timestamp>,
    timer: R::Timer,
    handover: Option<Handover>,
    /// Sockets whose datagrams may be other shards'; those behind them are the shard's alone.
    shared_sockets: usize,
    letters: VecDeque<Letter>,
    /// How it ends if it is dropped now.
    end: End,
}

impl<M: Machine, R: Runtime> Task<M, R> {
    /// Runs the machine in `shared` on `ports`.
    pub fn new(shared: Shared<M>, ports: Ports<R>) -> Self {
        let Ports { sockets, links, timer, handover, shared_sockets, .. } = ports;
        Self {
            shared,
            inbound: Inbound::new(),
            sockets,
            counters: Arc::default(),
            links,
            outbound: Outbound::default(),
            late_turns: 0,
            release_at: None,
            timer,
            handover,
            shared_sockets,
            letters: VecDeque::new(),
            end: End::Dropped,
        }
    }

    /// What its UDP sockets do.
    pub fn udp_counters(&self) -> Arc<udp::Counters> {
        Arc::clone(&self.counters)
    }

    /// What its streams do.
    pub fn link_counters(&self) -> Arc<link::Counters> {
        self.links.counters()
    }

    /// When it wants another turn at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        let deadline = self.shared.inspect(Machine::poll_timeout);
        [deadline, self.links.deadline(), self.release_at].into_iter().flatten().min()
    }

    /// One turn: ready when the machine is over. When the work limit cuts it short, the task is woken for the next as soon as others had one.
    pub fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // It stays so when the turn panics.
        self.end = End::Panicked;
        let turned = self.take_turn(cx);
        self.end = if turned.is_ready() { End::Over } else { End::Dropped };
        turned
    }

    fn take_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.ended().is_some() {
            return Poll::Ready(());
        }
        self.counters.turns.add(1);
        self.shared.begin_turn(cx.waker());
        self.links.attend(cx.waker());
        let began = self.shared.now();
        let is_due = self.shared.inspect(|machine| machine.poll_timeout().is_some_and(|at| at <= began.mono));
        self.take_over(cx);
        let all_read = self.receive(cx, is_due);
        self.links.receive(&self.shared, self.handover.as_mut());
        self.deliver();
        if is_due {
            self.fire(began, all_read);
        }
        let all_written = self.links.transmit(&self.shared);
        self.release(began.mono);
        let all_sent = self.transmit(cx, MAX_FILLS) && all_written;
        let is_over = self.shared.inspect(Machine::is_over);
        if is_over && all_sent && self.outbound.is_empty() && self.links.is_quiet() {
            return Poll::Ready(());
        }
        if !all_read || !all_sent {
            self.counters.cut_turns.add(1);
            R::yield_now(cx);
        } else {
            self.arm(cx, self.deadline());
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

    /// Gives the memory back after a while without use.
    fn release(&mut self, now: Timestamp) {
        if self.release_at.is_some_and(|at| at <= now) {
            self.release_at = None;
            self.inbound.release();
            self.links.release();
        }
        if self.release_at.is_none() && (self.inbound.has_memory() || self.links.has_memory()) {
            self.release_at = Some(now + KEPT);
        }
    }

    /// Hands in what has come to other shards and is this one's.
    fn take_over(&mut self, cx: &mut Context<'_>) {
        let Some(handover) = &self.handover else { return };
        handover.attend(cx.waker());
        handover.take(&mut self.letters);
        while let Some(letter) = self.letters.pop_front() {
            match letter {
                Letter::Datagrams(Datagrams { meta, stride, bytes }) => {
                    self.shared.turn(|machine, now| machine.handle_packets(now, meta, &bytes, stride));
                    self.transmit(cx, 1);
                }
                Letter::Stream(moved) => self.links.take_over(&self.shared, *moved),
            }
        }
    }

    /// Wakes the shards that got something.
    fn deliver(&mut self) {
        if let Some(handover) = &mut self.handover {
            handover.deliver();
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
                let Self { shared, inbound, handover, counters, .. } = self;
                let handover = handover.as_mut().filter(|_| socket < self.shared_sockets);
                let handed = shared
                    .turn(|machine, now| inbound.hand_in(machine, now, socket as u16, handover, counters));
                self.deliver();
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
        if self.timer.poll(cx, deadline).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl<M: Machine, R: Runtime> Future for Task<M, R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().turn(cx)
    }
}

impl<M: Machine, R: Runtime> Drop for Task<M, R> {
    fn drop(&mut self) {
        self.shared.end(self.end);
    }
}

impl<M: Machine, R: Runtime> fmt::Debug for Task<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("stats", &self.counters.get()).finish_non_exhaustive()
    }
}
