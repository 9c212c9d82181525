//! One peer: the whole protocol, no sockets, no clock (docs/spec/connection.md).

mod admission;
mod asked;
mod blocked;
mod cids;
mod clock;
mod close;
mod commands;
mod counters;
mod delivery;
mod early;
mod exchange;
mod fit;
mod goaway;
mod handover;
mod handshake;
mod heartbeat;
mod init;
mod intake;
mod keys;
mod news;
mod packets;
mod paths;
mod probe;
mod receipts;
mod receive;
mod reconnect;
mod recv_all;
mod requests;
mod resume;
mod sealed;
mod secrecy;
mod settle;
mod sharing;
mod sleep;
mod state;
mod stream;
mod timers;
mod train;
mod transmit;
mod unanswered;
mod urgent;
mod ways;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use core::{fmt, mem};

pub(crate) use self::asked::Asked;
pub(crate) use self::cids::MAX_SPARE;
pub use self::close::Close;
pub use self::commands::{Blocked, Channel, ChannelOptions, Message, Received};
use self::delivery::Batches;
pub use self::goaway::GoAway;
use self::goaway::Leaving;
pub(crate) use self::handshake::reset_token;
use self::handshake::{Confirm, Handshake};
pub(crate) use self::paths::Arrival;
use self::paths::Paths;
use self::receipts::Reports;
pub(crate) use self::reconnect::Attempts;
pub use self::recv_all::RecvAll;
pub(crate) use self::resume::{Proof, Verdict, prove};
use self::secrecy::Secrecy;
pub use self::state::State;
use self::stream::Echo;
use self::timers::{Timer, TimerTable};
use self::urgent::Overdraft;
pub(crate) use self::ways::{MAX_WAYS, Ways};
use crate::arena::Arena;
use crate::channel::{Channels, Delivery, Ends, Gone, Next};
use crate::crypto::PublicKey;
use crate::lazy::{Blank, Lazy};
use crate::recovery::{Carried, Mtu, Outcome, Received as ReceivedPackets, Recovery};
use crate::request::Requests;
use crate::rng::Rng;
use crate::secret::ResetToken;
use crate::wire::Cid;
use crate::{
    CloseReason, Config, ConnectError, Credentials, Ecn, Event, Link, Meta, Secret, SessionId, Stats,
    Timestamp, Transmit,
};

/// One peer.
///
/// Inputs are [`handle_packet`](Self::handle_packet) and [`handle_timeout`](Self::handle_timeout), outputs
/// [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event) and [`poll_timeout`](Self::poll_timeout).
/// Polls come in any order, any number of times; none is required before another or before the next input.
#[derive(Clone)]
pub struct Connection {
    config: Arc<Config>,
    link: Link,
    /// What each attempt of a client begins with.
    first_link: Link,
    is_client: bool,
    rng: Rng,
    /// The latest time any input told.
    clock: Timestamp,
    state: State,
    handshake: Lazy<Handshake>,
    confirm: Confirm,
    /// Hash of INIT and ACCEPT, which CONFIRM carries.
    confirmation: [u8; 16],
    /// Proves ownership of the session.
    secret: Secret,
    /// What encrypts its datagrams, if they are to be.
    secrecy: Option<Box<Secrecy>>,
    /// Attachments of the session so far.
    incarnation: u32,
    resume: Option<Box<resume::Resume>>,
    unanswered: Option<Box<unanswered::Unanswered>>,
    attempts: Attempts,
    ways: Ways,
    /// Attempts that it began.
    begun: u32,
    /// What a client shows to the server's application.
    credentials: Option<Arc<[u8]>>,
    local_cid: Cid,
    remote_cid: Cid,
    guard: u32,
    reset_token: Option<ResetToken>,
    session: SessionId,
    /// Silence after which this side gives a sign of life.
    heartbeat: Duration,
    recovery: Recovery,
    mtu: Mtu,
    blocked: blocked::Blocked,
    /// The packet just written is to be marked as ECN-capable.
    marks: bool,
    received: ReceivedPackets,
    channels: Channels,
    requests: Requests,
    batches: Option<Box<Batches>>,
    reports: Option<Box<Reports>>,
    timers: TimerTable,
    events: VecDeque<Event>,
    ping_due: bool,
    echo: Echo,
    probes_due: u8,
    overdraft: Overdraft,
    wall: clock::Clock,
    ending: close::Ending,
    leaving: Option<Box<Leaving>>,
    paths: Paths,
    /// Where payloads go; an endpoint lends its own. Boxed, so that lending is cheap and none costs little.
    arena: Option<Box<Arena>>,
    scratch: Lazy<Scratch>,
    /// When memory was last given back.
    rested: Timestamp,
    stats: Stats,
}

/// Tells what it is and how it is, and nothing that it keeps for itself.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("is_client", &self.is_client)
            .field("state", &self.state)
            .field("session", &self.session)
            .field("incarnation", &self.incarnation)
            .field("link", &self.link)
            .field("peer_key", &self.peer_key())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// What a lost connection leaves to the one that takes its place.
#[derive(Clone)]
pub(crate) struct Legacy {
    pub(crate) attempts: Attempts,
    pub(crate) ways: Ways,
    credentials: Option<Arc<[u8]>>,
    peer: Option<PublicKey>,
    reason: CloseReason,
}

/// Lists that are filled and emptied within one call, kept for their memory.
#[derive(Clone, Debug, Default)]
struct Scratch {
    outcome: Outcome,
    carried: Vec<Carried>,
    deliveries: Vec<Delivery>,
    gone: Vec<Gone>,
    ends: Ends,
    /// A packet that was sealed.
    opened: Vec<u8>,
    /// What did not fit into the packet before, as of that time. Anything but another packet makes it void.
    next: Option<(Timestamp, Next)>,
}

impl Blank for Scratch {
    const BLANK: &'static Self = &Self {
        outcome: Outcome { acked: Vec::new(), lost: Vec::new(), large_acked: false, large_lost: 0 },
        carried: Vec::new(),
        deliveries: Vec::new(),
        gone: Vec::new(),
        ends: Vec::new(),
        opened: Vec::new(),
        next: None,
    };
}

impl Connection {
    /// The client's end: begins to connect.
    pub fn connect(config: Arc<Config>, link: Link, seed: [u8; 32], now: Timestamp) -> Self {
        let mut conn = Self::new(config, link, seed, now, true);
        conn.begin_attempt(now);
        conn
    }

    /// The client's end of a connection that can be reached in several ways.
    pub(crate) fn connect_by(
        config: Arc<Config>,
        link: Link,
        ways: Ways,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Self {
        let mut conn = Self::new(config, link, seed, now, true);
        conn.ways = ways;
        conn.begin_attempt(now);
        conn
    }

    /// A client shows this to the server's application from its next INIT on: at most [`Credentials::MAX_TOKEN`] bytes. The
    /// connection that takes the place of a lost one shows it too.
    pub fn set_credentials(&mut self, credentials: &[u8]) -> Result<(), ConnectError> {
        let max = Credentials::MAX_TOKEN;
        if credentials.len() > max {
            return Err(ConnectError::CredentialsTooLong { max });
        }
        self.credentials = (!credentials.is_empty()).then(|| credentials.into());
        if let Some(handshake) = self.handshake.get_mut() {
            handshake.ways.iter_mut().for_each(|way| way.init.clear());
        }
        Ok(())
    }

    /// The server's end: waits for INIT.
    pub fn accept(config: Arc<Config>, link: Link, seed: [u8; 32], now: Timestamp) -> Self {
        let mut conn = Self::new(config, link, seed, now, false);
        conn.await_init(now);
        conn
    }

    /// A client's end that takes the place of a lost connection: begins to connect at `at`.
    pub(crate) fn reconnect(
        config: Arc<Config>,
        link: Link,
        seed: [u8; 32],
        now: Timestamp,
        legacy: Legacy,
        at: Timestamp,
    ) -> Self {
        let mut conn = Self::new(config, link, seed, now, true);
        conn.ways = legacy.ways;
        conn.attempts = legacy.attempts;
        conn.credentials = legacy.credentials;
        if let Some(secrecy) = &mut conn.secrecy {
            secrecy.peer = legacy.peer;
        }
        conn.enter_backoff(at, legacy.reason);
        conn
    }

    fn new(config: Arc<Config>, link: Link, seed: [u8; 32], now: Timestamp, is_client: bool) -> Self {
        #[cfg(planted)]
        let seed = crate::planted::seed(&config, seed);
        let mut rng = Rng::new(&seed, "connection");
        Self {
            recovery: Recovery::new(now, &config, link, &mut rng),
            channels: Channels::new(now, &config, link.max_packet),
            mtu: Mtu::new(link.max_packet, if link.is_stream() { 0 } else { config.max_packet }),
            blocked: blocked::Blocked::default(),
            marks: false,
            link,
            first_link: link,
            is_client,
            rng,
            clock: now,
            state: if is_client { State::Connecting } else { State::Accepting },
            handshake: Lazy::default(),
            confirm: Confirm::Done,
            confirmation: [0; 16],
            secret: Secret::from([0; 32]),
            secrecy: Secrecy::first(&config, is_client),
            incarnation: 0,
            resume: None,
            unanswered: None,
            attempts: Attempts::default(),
            ways: Ways::one(link.is_stream()),
            begun: 0,
            credentials: None,
            local_cid: Cid::default(),
            remote_cid: Cid::default(),
            guard: 0,
            reset_token: None,
            session: SessionId([0; 16]),
            heartbeat: config.heartbeat,
            received: ReceivedPackets::default(),
            requests: Requests::default(),
            batches: None,
            reports: None,
            timers: TimerTable::default(),
            events: VecDeque::new(),
            ping_due: false,
            echo: Echo::default(),
            probes_due: 0,
            overdraft: Overdraft::default(),
            wall: clock::Clock::default(),
            ending: close::Ending::default(),
            leaving: None,
            paths: Paths::default(),
            arena: None,
            scratch: Lazy::default(),
            rested: Timestamp::ZERO,
            stats: Stats::default(),
            config,
        }
    }

    /// Takes in a packet, over a stream a record. What makes no sense is counted and dropped; no timer fires.
    pub fn handle_packet(&mut self, now: Timestamp, meta: Meta, packet: &[u8]) {
        let now = self.advance(now);
        self.receive(now, meta, packet);
        self.update_timers();
    }

    /// Does what is due at `now`. Afterwards [`poll_timeout`](Self::poll_timeout) is `None` or later than `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.advance(now);
        while let Some((timer, deadline)) = self.take_due(now) {
            self.on_timer(now, timer, deadline);
            self.update_timers();
        }
    }

    /// Appends one packet, over a stream one record, to `buf`, if there is one to send; from then on it counts as sent.
    pub fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.clock = self.clock.max(now);
        let now = self.clock;
        let start = buf.len();
        self.begin_writing();
        let written = self.transmit(now, buf);
        let path = crate::PathId(written?);
        let len = buf.len() - start;
        self.stats.packets_sent += 1;
        self.stats.bytes_sent += len as u64;
        let ecn = mem::take(&mut self.marks).then_some(Ecn::Ect0);
        Some(Transmit { path, ecn, len })
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() || !self.pass_gate() {
            return None;
        }
        let event = self.events.pop_front()?;
        self.on_event_polled(&event);
        Some(event)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let set = self.timers.next();
        let asked = [Timer::Loss, Timer::Ack, Timer::Release, Timer::Reassembly, Timer::Rate];
        let first = asked.into_iter().filter_map(|timer| self.asked_deadline(timer)).min();
        let first = first.map_or(set, |first| first.as_nanos().min(set));
        (first != u64::MAX).then(|| Timestamp::from_nanos(first))
    }

    /// Where the connection is in its life.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The public name of the session; all zero before it is established.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The smoothed round trip time; the configured guess before one was measured.
    pub const fn rtt(&self) -> Duration {
        self.recovery.rtt.smoothed()
    }

    /// The largest packet that it sends: at first that of its link, later what the path was found to carry.
    pub const fn max_packet(&self) -> u16 {
        self.mtu.current()
    }

    /// The probe timeout before backoff: how long this side waits for an answer before it asks again.
    pub fn pto(&self) -> Duration {
        self.recovery.pto()
    }

    /// Bytes of payload that it holds: queued and unacknowledged, incomplete, and not yet received.
    pub fn held_bytes(&self) -> usize {
        self.channels.held_bytes()
    }

    /// Counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Messages accepted and not settled, over all channels.
    pub fn unsettled(&self) -> usize {
        self.channels.iter().map(crate::channel::Channel::queued_messages).sum()
    }

    /// Whether nothing can come from or go to this connection any more, and nothing waits to be polled or received.
    pub fn is_over(&self) -> bool {
        self.state == State::Drained && self.events.is_empty() && self.unread() == 0
    }

    pub(crate) const fn local_cid(&self) -> Cid {
        self.local_cid
    }

    /// Whether datagrams may come that name its connection id.
    pub(crate) const fn has_route(&self) -> bool {
        if self.is_client { !self.ways.is_streams_only() } else { !self.link.is_stream() }
    }

    pub(crate) const fn remote_cid(&self) -> Cid {
        self.remote_cid
    }

    pub(crate) const fn reset_token(&self) -> Option<ResetToken> {
        self.reset_token
    }

    pub(crate) const fn ways(&self) -> Ways {
        self.ways
    }

    /// Counts the attempts of this connection: what belongs to an earlier one is of no use any more.
    pub(crate) const fn attempt(&self) -> u32 {
        self.begun
    }

    pub(crate) const fn is_client(&self) -> bool {
        self.is_client
    }

    /// What the next connection goes on with, and how long the peer wants to be left alone, when this one was lost in a way that
    /// calls for another one: not when this side had begun to close it. Only before any event of the loss is polled.
    pub(crate) fn lost(&self) -> Option<(Legacy, Option<Duration>)> {
        match self.events.back() {
            Some(Event::Closed(closed))
                if closed.reason.is_retryable(closed.advice) && !self.ending.is_wanted() =>
            {
                let credentials = self.credentials.clone();
                let peer = self.secrecy.as_ref().and_then(|secrecy| secrecy.peer);
                let reason = closed.reason.clone();
                let legacy = Legacy { attempts: self.attempts, ways: self.ways, credentials, peer, reason };
                Some((legacy, closed.retry_after))
            }
            _ => None,
        }
    }

    /// Whoever owns it will take the new session that a server gives instead of the old one.
    pub(crate) const fn set_replaceable(&mut self) {
        self.attempts.is_replaceable = true;
    }

    /// Names the connection that takes this one's place.
    pub(crate) fn set_next(&mut self, next: crate::ConnectionId) {
        if let Some(Event::Closed(closed)) = self.events.back_mut() {
            closed.next = Some(next);
        }
    }

    pub(crate) const fn arena_mut(&mut self) -> &mut Option<Box<Arena>> {
        &mut self.arena
    }

    /// The clock never runs backwards, whatever the caller says.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        if let Some(scratch) = self.scratch.get_mut() {
            scratch.next = None;
        }
        self.clock = self.clock.max(now);
        self.clock
    }

    fn unread(&self) -> usize {
        let messages: usize = self.channels.iter().map(|channel| channel.inbox.ready_len()).sum();
        messages + self.requests.replies()
    }

    fn on_timer(&mut self, now: Timestamp, timer: Timer, deadline: Timestamp) {
        match timer {
            Timer::Handshake => self.on_handshake_timer(now),
            Timer::HandshakeDeadline => self.on_handshake_deadline(now),
            Timer::NextWay => self.begin_next_way(now),
            Timer::Backoff => self.begin_attempt(now),
            Timer::Resume => self.on_resume_timer(now),
            Timer::Loss => self.on_loss_timer(now),
            Timer::Pacing => {}
            Timer::Ack => self.received.set_due(),
            Timer::Heartbeat => self.on_heartbeat_timer(now),
            Timer::Dead => self.on_dead_timer(now, deadline),
            Timer::Release => self.release_memory(),
            Timer::Reassembly => self.on_reassembly_timer(now),
            Timer::Expiry => self.expire_messages(now),
            Timer::Report => self.on_report_timer(),
            Timer::Request => self.on_request_timer(now),
            Timer::Rate => self.on_rate_timer(now),
            Timer::Linger => self.finish_flushing(now),
            Timer::Close => self.on_close_timer(now),
            Timer::Path => self.on_path_timer(now),
            Timer::Drain => self.on_drain_timer(now),
        }
    }

    fn on_rate_timer(&mut self, now: Timestamp) {
        self.channels.on_rate_timer(now);
        if self.channels.has_admissible(now) {
            self.deliver_held(now);
        }
    }

    /// Stops and returns a timer that is due.
    fn take_due(&mut self, now: Timestamp) -> Option<(Timer, Timestamp)> {
        Timer::ALL.into_iter().find_map(|timer| {
            let at = self.deadline(timer).filter(|&at| at <= now)?;
            self.timers.stop(timer);
            Some((timer, at))
        })
    }

    /// When `timer` fires.
    fn deadline(&self, timer: Timer) -> Option<Timestamp> {
        self.timers.get(timer).or_else(|| self.asked_deadline(timer))
    }

    /// The deadline of a timer whose owner keeps it; none of the others.
    fn asked_deadline(&self, timer: Timer) -> Option<Timestamp> {
        let runs_on = self.state == State::Suspended && timer == Timer::Reassembly;
        if !self.state.is_open() && !runs_on {
            return None;
        }
        match timer {
            Timer::Loss => self.recovery.deadline(&self.config),
            Timer::Ack => self.received.deadline(),
            Timer::Release => self.release_at(),
            Timer::Reassembly => self.channels.reassembly_deadline(),
            Timer::Rate => self.channels.rate_deadline(),
            _ => None,
        }
    }

    /// Files the deadline of the requests.
    fn update_timers(&mut self) {
        if !self.state.is_alive() {
            return;
        }
        if self.leaving.is_some() {
            self.check_flushed(self.clock);
        }
        self.timers.set(Timer::Request, self.requests.deadline());
    }
}
