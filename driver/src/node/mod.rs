//! The machine behind the handles: an endpoint of the core, and who waits for what.

mod entry;
mod lifecycle;
mod many;
mod messages;
mod requests;
mod sessions;
mod waiters;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::AddAssign;
use std::task::Waker;

use proto_core::{
    ChannelId, ConnectionId, Credentials, Dial, DialError, DialId, Event, Fate, Link, LinkId, MessageId,
    Meta, Now, Output, RequestId, Stats, Timestamp, Transmit,
};

pub(crate) use self::entry::{Entry, Progress};
use self::requests::Answer;
pub(crate) use self::requests::ReplyKind;
pub(crate) use self::sessions::Next;
use self::sessions::Sessions;
pub(crate) use self::waiters::{Ticket, Topic, Waiters, What};
use crate::flight::Flight;
use crate::{End, Machine, Path, Wakes};

/// What the handles had to refuse or throw away, and who waits by them. Everything else that is dropped is in the core's [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were refused because too many waited to be accepted.
    pub backlog_full: u64,
    /// Connections that were refused because the endpoint was closed.
    pub not_accepting: u64,
    /// Messages that arrived when no handle was left to receive them.
    pub unread_messages: u64,
    /// Parts of replies, where only the whole was asked for.
    pub unread_replies: u64,
    /// Inputs that came after recording had ended: the file was full, or the disk too slow.
    pub unrecorded: u64,
    /// Calls that wait now.
    pub waiting: u64,
    /// Calls that waited and were woken, each time.
    pub woken: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.backlog_full += other.backlog_full;
        self.not_accepting += other.not_accepting;
        self.unread_messages += other.unread_messages;
        self.unread_replies += other.unread_replies;
        self.unrecorded += other.unrecorded;
        self.waiting += other.waiting;
        self.woken += other.woken;
    }
}

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepts {
    Anybody,
    /// The endpoint goes away: those who were at their handshakes then, who may have asked for something already.
    WhoeverHasBegun,
    Nobody,
}

/// An endpoint of the core, with what its handles wait for. It is run by an I/O task and used through the handles.
#[derive(Debug)]
pub struct Node {
    endpoint: Flight,
    /// Boxed, since a node of the map keeps room for many.
    entries: BTreeMap<ConnectionId, Box<Entry>>,
    waiters: Waiters,
    /// The receipts that somebody holds, with their fates once known.
    receipts: BTreeMap<(ConnectionId, MessageId), Option<Fate>>,
    /// Messages with receipts in batches whose fates are not known.
    batches: BTreeMap<(ConnectionId, ChannelId, u64), Vec<MessageId>>,
    /// The requests that somebody waits for, with their answers once known.
    requests: BTreeMap<(ConnectionId, RequestId), Option<Answer>>,
    /// Channels that refused a message and have not said since that there is room.
    full: BTreeSet<(ConnectionId, ChannelId)>,
    sessions: Sessions,
    /// Connections that wait to be accepted.
    backlog: VecDeque<ConnectionId>,
    /// Peers that nobody has looked at yet; the core bounds how many are undecided, and for how long.
    undecided: VecDeque<(ConnectionId, Path, Box<Credentials>)>,
    max_backlog: usize,
    accepts: Accepts,
    /// An endpoint handle exists.
    has_owner: bool,
    /// The I/O task has ended.
    ended: Option<End>,
    /// Entries that are not closed.
    open: usize,
    /// Connections that are closed and may have last words to send.
    leaving: VecDeque<ConnectionId>,
    counters: Counters,
    /// Messages since the last turn of the I/O task that would have found room in any case, others being dropped for them.
    unbraked: usize,
    /// Requests and answers since that turn.
    exchanges: usize,
    /// Requests of peers that the command under way has answered.
    answered: Vec<(ConnectionId, RequestId)>,
}

/// So many of them in a row, and the I/O task gets a turn.
const MAX_UNBRAKED: usize = 256;
/// The same for requests and answers, of which there are never many: the peer begins with these while this side does more.
const MAX_EXCHANGES: usize = 16;

impl Node {
    pub(crate) fn new(endpoint: Flight, max_backlog: usize) -> Self {
        Self {
            accepts: if endpoint.config().accept { Accepts::Anybody } else { Accepts::Nobody },
            endpoint,
            entries: BTreeMap::new(),
            waiters: Waiters::default(),
            receipts: BTreeMap::new(),
            batches: BTreeMap::new(),
            requests: BTreeMap::new(),
            full: BTreeSet::new(),
            sessions: Sessions::default(),
            backlog: VecDeque::new(),
            undecided: VecDeque::new(),
            max_backlog,
            has_owner: true,
            ended: None,
            open: 0,
            leaving: VecDeque::new(),
            counters: Counters::default(),
            unbraked: 0,
            exchanges: 0,
            answered: Vec::new(),
        }
    }

    pub(crate) const fn waiters(&mut self) -> &mut Waiters {
        &mut self.waiters
    }

    pub(crate) const fn endpoint_mut(&mut self) -> &mut Flight {
        &mut self.endpoint
    }

    /// How the I/O task has ended, if it has.
    pub(crate) const fn ended(&self) -> Option<End> {
        self.ended
    }

    pub(crate) fn counters(&self) -> Counters {
        let (waiting, woken) = (self.waiters.len() as u64, self.waiters.woken());
        Counters { unrecorded: self.endpoint.missed(), waiting, woken, ..self.counters }
    }

    /// Why nothing is recorded any more, if so.
    pub(crate) fn recording_ended(&self) -> Option<String> {
        self.endpoint.recording_ended().map(str::to_owned)
    }

    /// Totals of all connections.
    pub(crate) fn stats(&self) -> Stats {
        self.endpoint.stats()
    }

    /// Whether every connection is over and has said its last words.
    pub(crate) fn is_idle(&self) -> bool {
        self.open == 0 && (self.ended.is_some() || self.leaving.is_empty())
    }

    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.entries.len()
    }

    fn on_event(&mut self, now: Now, id: ConnectionId, event: Event, wakes: &mut Wakes) {
        match event {
            Event::Suspended { .. } => {
                let suspended = Progress::Suspended { next_attempt: None, reason: None };
                self.set_progress(id, suspended, wakes);
            }
            Event::Resumed { .. } => self.set_progress(id, Progress::Established, wakes),
            // Whoever has a session keeps it while another link is looked for.
            Event::Connecting { .. } if self.has_session(id) => {}
            Event::RetryAt { at, reason, .. } if self.has_session(id) => {
                self.on_retry(id, at, reason, wakes);
            }
            Event::Continued { channel, continuity } => self.on_continued(id, channel, continuity, wakes),
            Event::Connecting { attempt } => self.set_progress(id, Progress::Connecting { attempt }, wakes),
            Event::RetryAt { at, attempt, reason } => {
                self.set_progress(id, Progress::Waiting { attempt, at, reason: Box::new(reason) }, wakes);
            }
            Event::Undecided(credentials) => self.on_undecided(now, id, credentials, wakes),
            Event::Established { session, .. } => self.on_established(now, id, session, wakes),
            Event::ConnectFailed(closed) | Event::Closed(closed) => self.on_closed(now, id, closed, wakes),
            Event::GoingAway(said) => self.on_going_away(id, said, wakes),
            Event::Opened(channel) => self.on_opened(id, channel, wakes),
            Event::Readable(channel) => self.on_readable(now, id, channel, wakes),
            Event::Writable(channel) => self.on_writable(id, channel, wakes),
            Event::Fate { message, fate } => self.on_fate(id, message, fate, wakes),
            Event::Batch { channel, batch, fate } => self.on_batch(id, channel, batch, fate, wakes),
            Event::RequestDone { request, outcome } => self.on_request_done(now, id, request, outcome, wakes),
            Event::PartialReply(request) => self.on_partial_reply(now, id, request),
            Event::RequestCancelled(request) => self.on_request_cancelled(id, request, wakes),
            // The core may learn to tell more than the handles can show.
            _ => {}
        }
    }

    /// Whether whoever sends must let the I/O task have a turn first: what is never full does not make him wait.
    fn must_yield(&mut self) -> bool {
        let must_yield = self.unbraked >= MAX_UNBRAKED;
        if must_yield {
            self.unbraked = 0;
        }
        must_yield
    }

    /// The same for one more request or answer.
    fn must_yield_exchange(&mut self) -> bool {
        self.exchanges += 1;
        self.exchanges > MAX_EXCHANGES
    }

    /// Forgets the connections that have said their last words.
    fn forget_gone(&mut self, wakes: &mut Wakes) {
        while let Some(&id) = self.leaving.front()
            && self.endpoint.get(id).is_none_or(|conn| conn.state() == proto_core::State::Drained)
        {
            self.leaving.pop_front();
        }
        if self.is_idle() {
            self.waiters.wake(Topic::Idle, wakes);
        }
        if self.accepts == Accepts::WhoeverHasBegun && self.endpoint.is_empty() {
            self.waiters.wake(Topic::Accept, wakes);
        }
    }
}

impl Machine for Node {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.endpoint.handle_packet(now.mono, meta, packet);
    }

    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        self.endpoint.handle_packets(now.mono, meta, packets, stride);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(now.mono);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        self.endpoint.poll_transmit(now.mono, buf)
    }

    fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        self.endpoint.poll_packets(now.mono, max, buf, packets)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        [self.endpoint.poll_timeout(), self.waiters.deadline()].into_iter().flatten().min()
    }

    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        Some(self.endpoint.link_up_from(now.mono, path, link, vouched))
    }

    fn link_down(&mut self, now: Now, id: LinkId) {
        self.endpoint.link_down(now.mono, id);
    }

    fn release_link(&mut self, _: Now, id: LinkId) -> bool {
        self.endpoint.release_link(id)
    }

    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        self.endpoint.link_broken(now.mono, id, why);
    }

    fn link_refused(&mut self, now: Now, id: LinkId) {
        self.endpoint.link_refused(now.mono, id);
    }

    fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        self.endpoint.handle_record(now.mono, id, record);
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.endpoint.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        self.endpoint.poll_link()
    }

    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        self.endpoint.poll_record(now.mono, id, buf)
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.endpoint.has_link(id)
    }

    fn poll_dial(&mut self) -> Option<Dial<Path>> {
        self.endpoint.poll_dial()
    }

    fn dialed(&mut self, now: Now, id: DialId, link: Link) -> Option<LinkId> {
        self.endpoint.dialed(now.mono, id, link)
    }

    fn dial_failed(&mut self, now: Now, id: DialId, error: DialError) {
        self.endpoint.dial_failed(now.mono, id, error);
    }

    fn attend(&mut self, _: &Waker) {
        self.unbraked = 0;
        self.exchanges = 0;
    }

    fn settle(&mut self, now: Now, wakes: &mut Wakes) {
        self.waiters.wake_due(now.mono, wakes);
        self.settle_answered(wakes);
        while let Some((id, event)) = self.endpoint.poll_event() {
            self.on_event(now, id, event, wakes);
        }
        self.forget_gone(wakes);
        self.endpoint.settle(now.mono);
    }

    fn is_over(&self) -> bool {
        !self.has_owner && self.is_idle()
    }

    fn handle_end(&mut self, how: End, wakes: &mut Wakes) {
        self.end(how, wakes);
    }
}
