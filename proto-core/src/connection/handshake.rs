//! INIT, RETRY, ACCEPT, CONFIRM: from nothing to an agreement (docs/spec/connection.md, section 2).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::admission::Admission;
use super::secrecy::Begun;
use super::state::{End, State};
use super::ways::{Way, WayFailed};
use super::{Connection, Proof, Timer, Verdict};
use crate::lazy::Blank;
use crate::secret::Hidden;
use crate::wire::packet::{self, VERSION};
use crate::wire::params::Params;
use crate::wire::{Accept, Advice, Cid, Close, Frame, Init, Long, LongKind, MAX_TOKEN, Record, RecordWriter};
use crate::{CloseReason, Credentials, DialError, Drop, Link, Secret, SessionId, Timestamp, code};

/// INIT and ACCEPT are not repeated sooner than this: a server may be slow to answer where the network is not.
const MIN_REPEAT: Duration = Duration::from_millis(100);
/// Repeats before the time between them doubles: at the start, losing a packet is likelier than a crowded network.
const EAGER_REPEATS: u32 = 2;
/// ACCEPT has a secret in it, so the memory that it is written to does not move.
pub(super) const MAX_ACCEPT: usize = 512;
/// Tokens that one attempt takes from the server.
const MAX_RETRIES: u32 = 3;

/// What both sides remember until they agree.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshake {
    pub(super) client_random: [u8; 32],
    /// The client's: the ways to the server.
    pub(super) ways: Vec<Way>,
    /// The client's: of the ways that failed, what says most.
    pub(super) way_failed: Option<WayFailed>,
    /// The client's: the destination of its INIT.
    pub(super) original: Cid,
    /// The client's: hashes of its INITs, one for each token. ACCEPT may answer any of them.
    pub(super) transcripts: Vec<[u8; 16]>,
    /// The client's: what it has encrypted. ACCEPT may answer any of them.
    pub(super) begun: Vec<Begun>,
    /// The server's: the record that answers INIT.
    pub(super) accept: Hidden,
    /// The same, encrypted: what goes out in datagrams then.
    pub(super) sealed_accept: Vec<u8>,
    pub(super) due: bool,
    pub(super) sent: u32,
    sent_at: Timestamp,
    /// The server's: bytes that may go to an address that has not been proven.
    pub(super) budget: Option<usize>,
    pub(super) server_key: Option<Secret>,
    pub(super) admission: Admission,
    /// The server's: what the link vouches for.
    pub(super) vouched: Option<Box<Credentials>>,
}

impl Blank for Handshake {
    const BLANK: &'static Self = &Self {
        client_random: [0; 32],
        ways: Vec::new(),
        way_failed: None,
        original: Cid([0; Cid::LEN]),
        transcripts: Vec::new(),
        begun: Vec::new(),
        accept: Hidden::new(),
        sealed_accept: Vec::new(),
        due: false,
        sent: 0,
        sent_at: Timestamp::ZERO,
        budget: None,
        server_key: None,
        admission: Admission::None,
        vouched: None,
    };
}

/// How far CONFIRM has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirm {
    Due,
    InFlight,
    /// It arrived, or this side sends none.
    Done,
}

/// What stands for a reset token where there is none. Anybody can guess it.
pub(super) const NO_TOKEN: [u8; 16] = [0; 16];

/// What a server that has forgotten connection `cid` answers with.
pub(crate) fn reset_token(key: &[u8; 32], cid: Cid) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"stateless reset").update(&cid.0);
    first_half(hasher.finalize().as_bytes())
}

pub(super) fn first_half(hash: &[u8; 32]) -> [u8; 16] {
    core::array::from_fn(|i| hash[i])
}

impl Connection {
    /// Starts an attempt with ids, numbers and randomness of its own, so that nothing late from an earlier one fits.
    pub(super) fn begin_attempt(&mut self, now: Timestamp) {
        self.attempts.number = self.attempts.number.max(1);
        self.begun = self.begun.wrapping_add(1);
        self.local_cid = Cid(self.rng.bytes());
        self.link = self.first_link;
        self.renew_attachment(now);
        self.count_claim();
        *self.handshake = Handshake {
            client_random: self.rng.bytes(),
            original: Cid(self.rng.bytes()),
            ..Handshake::default()
        };
        self.timers.set(Timer::HandshakeDeadline, now + self.config.handshake_timeout);
        self.enter_connecting();
        self.begin_ways(now);
    }

    pub(super) fn await_init(&mut self, now: Timestamp) {
        let mut cid: [u8; Cid::LEN] = self.rng.bytes();
        cid[0] = self.config.shard;
        self.local_cid = Cid(cid);
        self.handshake.budget = (!self.link.is_stream()).then_some(0);
        self.timers.set(Timer::HandshakeDeadline, now + self.config.handshake_timeout);
    }

    /// The client's address has been proven by a token.
    pub(crate) fn set_address_validated(&mut self) {
        self.handshake.budget = None;
    }

    /// The key that reset tokens are made with; the configuration's, or a random one, when the endpoint has none to give.
    pub(crate) fn set_server_key(&mut self, key: Secret) {
        self.handshake.server_key = Some(key);
    }

    /// What reset tokens are made with.
    pub(super) fn reset_key(&mut self) -> Secret {
        let key = self.handshake.server_key.as_ref().or(self.config.server_key.as_ref()).cloned();
        key.unwrap_or_else(|| self.rng.secret())
    }

    /// Proves ownership of the session when it is resumed on another link. It is known to both sides and to nobody else.
    pub const fn session_secret(&self) -> &[u8; 32] {
        self.secret.expose()
    }

    pub(super) fn on_handshake_timer(&mut self, now: Timestamp) {
        if self.is_client {
            self.repeat_inits();
        } else {
            self.handshake.due = true;
        }
        self.arm_repeat(now);
    }

    pub(super) fn arm_repeat(&mut self, now: Timestamp) {
        let first = self.recovery.rtt.pto_base().max(MIN_REPEAT);
        let doublings = self.handshake.sent.saturating_sub(EAGER_REPEATS).min(16);
        let wait = first.saturating_mul(1 << doublings).min(self.config.pto_cap);
        self.timers.set(Timer::Handshake, now + wait.max(self.config.timer_granularity));
    }

    pub(super) fn on_handshake_deadline(&mut self, now: Timestamp) {
        if self.is_client {
            self.on_silence(now);
        } else if self.state == State::Suspended {
            self.timers.stop(Timer::Handshake);
        } else if self.is_undecided() {
            self.on_undecided_deadline(now);
        } else {
            self.stats.drops.count(Drop::HandshakeExpired);
            self.enter_closed(now, End::of(CloseReason::TimedOut), Duration::ZERO);
        }
    }

    /// This attempt is over: the next one is scheduled, or the connection has failed.
    pub(super) fn fail_attempt(&mut self, now: Timestamp, end: End) {
        if matches!(end.reason, CloseReason::Peer { code: code::GOING_AWAY, .. }) {
            self.attempts.on_going_away(now);
        }
        // A network that puts itself in between, or lets nobody out, may be left again.
        let is_passing = match end.reason {
            CloseReason::Dial(
                DialError::Untrusted(_)
                | DialError::Foreign
                | DialError::Unauthenticated
                | DialError::NotAllowed
                | DialError::Http(_),
            ) => self.attempts.is_return(),
            CloseReason::NotEncrypted => self.state == State::Suspended,
            _ => false,
        };
        let is_retryable = is_passing || end.reason.is_retryable(end.advice);
        match is_retryable.then(|| self.next_attempt(now, end.retry_after)).flatten() {
            Some(at) => self.enter_backoff(at, end.reason),
            None => self.enter_closed(now, end, Duration::ZERO),
        }
    }

    /// When the next attempt begins, if there is to be one.
    pub(super) fn next_attempt(
        &mut self,
        now: Timestamp,
        retry_after: Option<Duration>,
    ) -> Option<Timestamp> {
        let policy = self.config.reconnect.as_ref()?;
        self.attempts.next(now, policy, retry_after, &mut self.rng)
    }

    pub(super) fn params(&self) -> Params {
        let config = &self.config;
        let (session_bytes, session_messages) = self.channels.session_receive.granted();
        let (channel_bytes, channel_messages) = self.channels.first_credit();
        Params {
            max_message: config.max_message as u64,
            session_bytes,
            session_messages,
            channel_bytes,
            channel_messages,
            max_channels: config.max_channels as u64,
            heartbeat: config.heartbeat,
            dead: config.dead,
            max_ack_delay: config.max_ack_delay,
            resume_window: self.own_window(),
            spare_cids: if config.crypto.is_some() { config.spare_cids.into() } else { 0 },
        }
    }

    /// Writes INIT or ACCEPT when it is due; returns the way that INIT is to take.
    pub(super) fn write_handshake(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<u8> {
        if self.is_client {
            let way = self.next_init()?;
            self.write_init(now, way, buf);
            return Some(way);
        }
        if !self.handshake.due || !self.write_accept(buf) {
            return None;
        }
        self.handshake.due = false;
        self.handshake.sent += 1;
        self.handshake.sent_at = now;
        if !self.link.is_stream() {
            self.arm_repeat(now);
        }
        Some(0)
    }

    fn write_accept(&mut self, buf: &mut Vec<u8>) -> bool {
        let is_sealed = !self.handshake.sealed_accept.is_empty() && !self.link.is_stream();
        let written = if is_sealed {
            let record = core::mem::take(&mut self.handshake.sealed_accept);
            let written = self.write_long_answer(LongKind::Accept, &record, buf);
            self.handshake.sealed_accept = record;
            written
        } else {
            let record = core::mem::take(&mut self.handshake.accept);
            let written = self.write_long_answer(LongKind::Accept, &record, buf);
            self.handshake.accept = record;
            written
        };
        self.handshake.due = false;
        written
    }

    /// Writes what answers INIT, as far as an address that has not been proven may get that much.
    pub(super) fn write_long_answer(&mut self, kind: LongKind, record: &[u8], buf: &mut Vec<u8>) -> bool {
        if self.link.is_stream() {
            buf.extend_from_slice(record);
            return true;
        }
        let start = buf.len();
        let (dcid, scid) = (&self.remote_cid.0, &self.local_cid.0);
        Long { kind, version: VERSION, dcid, scid, payload: record }.encode(buf, self.config.checksum);
        let len = buf.len() - start;
        match &mut self.handshake.budget {
            Some(budget) if *budget < len => {
                buf.truncate(start);
                false
            }
            Some(budget) => {
                *budget -= len;
                true
            }
            None => true,
        }
    }

    /// A handshake packet came in by a way.
    pub(super) fn on_long(&mut self, now: Timestamp, way: u8, long: &Long<'_>, size: usize) {
        let mut record = Record::new(long.payload);
        let Some(Ok(frame)) = record.next() else {
            return self.stats.drops.count(Drop::MalformedHandshake);
        };
        record.skip_padding();
        if !record.is_empty() {
            return self.stats.drops.count(Drop::MalformedHandshake);
        }
        let is_over = self.has_failed(way) && long.kind != LongKind::Accept;
        if self.is_client && (long.dcid != self.local_cid.0 || !self.is_dialling() || is_over) {
            return self.stats.drops.count(Drop::UnexpectedHandshake);
        }
        let sender = Cid::from_slice(long.scid);
        let malformed = Err(Drop::MalformedHandshake);
        let taken = match (long.kind, frame) {
            (LongKind::Init, Frame::Init(init)) if self.is_accepting() || self.new_claim(&init).is_some() => {
                if let Some((incarnation, proof)) = self.new_claim(&init) {
                    self.take_over(now, incarnation, self.link, proof);
                }
                sender.map_or(malformed, |sender| self.on_init(sender, &init, size))
            }
            (LongKind::Init, Frame::Init(init))
                if self.is_refusing() && init.client_random == self.handshake.client_random =>
            {
                self.answer_late_packet(false);
                Ok(())
            }
            (LongKind::Retry, Frame::Retry(token)) if self.is_client => self.on_retry(now, way, token),
            (LongKind::Retry, Frame::Key { key, token }) if self.is_client => {
                self.on_key(now, way, key, token)
            }
            (LongKind::Accept, Frame::Accept(accept)) if self.is_client && self.secrecy.is_some() => {
                self.on_plain_accept(now, way, &accept)
            }
            (LongKind::Accept, Frame::Sealed(message)) if self.is_client => {
                let link = if self.link.is_stream() { Link::datagram(1200) } else { self.link };
                sender.map_or(malformed, |sender| self.on_sealed_accept(now, way, link, sender, message))
            }
            (LongKind::Accept, Frame::Accept(accept)) if self.is_client => {
                let link = if self.link.is_stream() { Link::datagram(1200) } else { self.link };
                sender.map_or(malformed, |sender| self.on_accept(now, way, link, sender, &accept))
            }
            (LongKind::Refuse, Frame::Version(versions)) if self.is_client => {
                self.on_versions(now, way, versions, false)
            }
            (LongKind::Refuse, Frame::Close(close)) if self.is_client => {
                if self.state == State::Suspended && self.secrecy.is_some() {
                    // Nobody vouches for it, and the session has keys: there is another attempt.
                    self.fail_way(now, way, End::of(CloseReason::LinkLost));
                } else {
                    self.on_refused(now, way, &close);
                }
                Ok(())
            }
            _ => Err(Drop::UnexpectedHandshake),
        };
        if let Err(reason) = taken {
            self.stats.drops.count(reason);
        }
    }

    pub(super) fn on_retry(&mut self, now: Timestamp, way: u8, token: &[u8]) -> Result<(), Drop> {
        let state = self.handshake.ways.get_mut(usize::from(way));
        let is_sound = !token.is_empty() && token.len() <= MAX_TOKEN;
        let state = state.filter(|state| is_sound && state.retries < MAX_RETRIES);
        let state = state.ok_or(Drop::UnexpectedHandshake)?;
        if let Some(sent) = state.sent_once() {
            self.recovery.rtt.sample(now, sent, Duration::ZERO);
        }
        state.on_retry(token);
        self.handshake.sent = 0;
        self.prefer_way(now);
        Ok(())
    }

    /// Who is at the end of a way takes nobody, or not this client.
    pub(super) fn on_refused(&mut self, now: Timestamp, way: u8, close: &Close<'_>) {
        if close.code == code::RESUME_UNKNOWN && self.state == State::Suspended {
            return self.enter_closed(now, End::of(CloseReason::Reset), Duration::ZERO);
        }
        let reason = CloseReason::Peer { code: close.code, reason: close.reason.into() };
        let retry_after =
            (close.advice == Advice::After).then(|| Duration::from_millis(close.retry_after_ms));
        self.fail_way(now, way, End { reason, advice: close.advice, retry_after });
    }

    pub(super) fn owe_accept(&mut self) {
        self.handshake.due = true;
    }

    /// A server took this client, over `link`.
    pub(super) fn on_accept(
        &mut self,
        now: Timestamp,
        way: u8,
        link: Link,
        remote: Cid,
        accept: &Accept<'_>,
    ) -> Result<(), Drop> {
        let peer = Params::decode(accept.params).map_err(|_| Drop::MalformedHandshake)?;
        if accept.version != VERSION || !self.handshake.transcripts.contains(&accept.transcript) {
            return Err(Drop::UnexpectedHandshake);
        }
        if !link.is_stream() && accept.reset_token == NO_TOKEN {
            return Err(Drop::MalformedHandshake);
        }
        if self.state == State::Suspended && !self.is_asked_for(accept.session_id, accept.incarnation) {
            return self.begin_anew(now, way, link, remote, accept);
        }
        let sent = self.handshake.ways.get(usize::from(way)).and_then(Way::sent_once);
        self.ways.keep(way);
        if link != self.link {
            self.set_link(now, link);
        }
        self.remote_cid = remote;
        self.session = SessionId(accept.session_id);
        self.reset_token = (!link.is_stream()).then_some(accept.reset_token.into());
        let mut record = Vec::with_capacity(MAX_ACCEPT);
        RecordWriter::new(&mut record).write(&Frame::Accept(*accept), false);
        self.confirmation = confirm_hash(&accept.transcript, &Hidden::from(record));
        self.secret = accept.secret.into();
        // Who shows credentials may have waited for somebody to look at them.
        if let Some(sent) = sent.filter(|_| self.credentials.is_none() || self.state == State::Suspended) {
            self.recovery.rtt.sample(now, sent, Duration::ZERO);
        }
        self.handshake.clear();
        self.agree(peer, self.local_cid, remote);
        self.confirm = Confirm::Due;
        if self.state == State::Suspended {
            self.incarnation = accept.incarnation as u32;
            self.enter_resumed(now);
            return Ok(());
        }
        self.enter_established(now, accept.incarnation as u32);
        self.fit_to_peer();
        Ok(())
    }

    /// The server does not know the session and has made another one: it is a new connection's.
    fn begin_anew(
        &mut self,
        now: Timestamp,
        way: u8,
        link: Link,
        remote: Cid,
        accept: &Accept<'_>,
    ) -> Result<(), Drop> {
        if !self.attempts.is_replaceable || accept.session_id == self.session.0 {
            return Err(Drop::UnexpectedHandshake);
        }
        let mut next = Self::new(Arc::clone(&self.config), self.first_link, self.rng.bytes(), now, true);
        next.attempts = self.attempts;
        next.ways = self.ways;
        next.local_cid = core::mem::replace(&mut self.local_cid, Cid(self.rng.bytes()));
        *next.handshake = core::mem::take(&mut *self.handshake);
        next.recovery.rtt = self.recovery.rtt;
        next.secrecy = self.secrecy.take();
        next.on_accept(now, way, link, remote, accept)?;
        self.set_successor(next);
        self.enter_closed(now, End::of(CloseReason::Reset), Duration::ZERO);
        Ok(())
    }

    /// Both sides' parameters and ids are known.
    pub(super) fn agree(&mut self, peer: Params, client: Cid, server: Cid) {
        self.guard = packet::guard(client, server, self.config.checksum);
        self.recovery.max_ack_delay = peer.max_ack_delay.min(Duration::from_secs(1));
        if self.state == State::Suspended {
            self.channels.set_peer_again(peer);
        } else {
            self.channels.set_peer(peer);
        }
        self.channels.keeps_newest = !self.window().is_zero();
        self.agree_on_heartbeat();
    }

    pub(super) const fn confirm_frame(&self) -> Frame<'static> {
        Frame::Confirm(self.confirmation)
    }

    /// CONFIRM came in; `false` when it is not the answer to this side's ACCEPT.
    pub(super) fn on_confirm(&mut self, now: Timestamp, hash: &[u8; 16]) -> bool {
        if self.is_client || *hash != self.confirmation {
            return false;
        }
        if self.is_accepting() {
            if self.handshake.sent == 1 {
                self.recovery.rtt.sample(now, self.handshake.sent_at, Duration::ZERO);
            }
            self.handshake.clear();
            if self.state == State::Suspended {
                self.enter_resumed(now);
            } else {
                self.enter_established(now, 1);
            }
        }
        true
    }

    /// Whether a server waits for INIT, or for the CONFIRM that follows.
    pub(super) fn is_accepting(&self) -> bool {
        match self.state {
            State::Accepting => true,
            State::Suspended => self.is_claimed(),
            _ => false,
        }
    }

    /// The incarnation that an INIT claims of this session, if it is proven and not there yet, and by what.
    fn new_claim(&self, init: &Init<'_>) -> Option<(u32, Proof)> {
        let claim = init.attach.claim().filter(|claim| claim.session_id == self.session.0)?;
        let may_be = !self.is_client && self.is_resumable();
        match may_be.then(|| self.judge(init)) {
            Some(Verdict::Valid(proof)) => Some((claim.incarnation, proof)),
            _ => None,
        }
    }

    /// Whether an INIT is that of the handshake under way.
    pub(super) fn is_same_client(&self, init: &Init<'_>) -> bool {
        init.client_random == self.handshake.client_random
    }

    /// Whether ACCEPT was built, so that packets of the connection can be expected.
    pub(super) fn has_agreed(&self) -> bool {
        self.is_client || !self.handshake.accept.is_empty()
    }
}

pub(super) fn confirm_hash(transcript: &[u8; 16], accept: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(transcript).update(accept);
    first_half(hasher.finalize().as_bytes())
}

crate::sleep::awake!(Handshake);
crate::sleep::rests_as!(Confirm, Confirm::Done);
