//! Packets of no connection: handshakes to begin, and strangers to be answered cheaply or not at all.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::failures::Failures;
use super::waiting::WaitingRoom;
use super::{Address, Endpoint, token};
use crate::connection::{Asked, reset_token};
use crate::rng::Rng;
use crate::room::{Allowed, Bucket};
use crate::wire::packet::{self, MIN_INIT, VERSION};
use crate::wire::{Advice, Cid, Close, Frame, Init, Long, LongKind, Record, RecordWriter, Version, params};
use crate::{Connection, Drop, Meta, Retry, Secret, Timestamp, code};

/// Answers that wait to be sent.
const MAX_ANSWERS: usize = 64;
/// Addresses are told apart by this many buckets when resets are spaced out.
const RESET_BUCKETS: usize = 1024;
/// A bucket gets one reset in this time.
const RESET_INTERVAL: Duration = Duration::from_millis(20);
/// Header, four bytes of noise and the token.
const RESET_MIN: usize = 1 + 4 + 16;

/// What an endpoint keeps about strangers: bounded, whatever they send.
#[derive(Clone, Debug)]
pub(super) struct Incoming<A> {
    /// Makes reset tokens; the same in every life of a server.
    pub(super) key: Secret,
    /// Makes retry tokens; fresh in every life, for they name times of this one's clock.
    pub(super) retry_key: Secret,
    /// Tells addresses apart in a way that no stranger can predict.
    bucket_key: Secret,
    pub(super) waiting: WaitingRoom,
    /// Of those, the ones that wait for the application's decision.
    pub(super) undecided: usize,
    /// How fast clients are let in.
    accepts: Bucket,
    /// Handshakes for another key, or with another secret.
    wrong_keys: Failures,
    /// When each bucket may get a reset again; empty until the first one.
    next_reset: Vec<Timestamp>,
    /// The bytes of an address while they are hashed.
    scratch: Vec<u8>,
    address: core::marker::PhantomData<A>,
}

/// Why an INIT was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It was not looked at: too many of its prefix were for another key.
    Delayed,
    Dropped(Drop),
}

impl<A: Address> Incoming<A> {
    pub(super) fn new(key: Secret, rng: &mut Rng) -> Self {
        Self {
            key,
            retry_key: rng.secret(),
            bucket_key: rng.secret(),
            waiting: WaitingRoom::default(),
            undecided: 0,
            accepts: Bucket::default(),
            wrong_keys: Failures::default(),
            next_reset: Vec::new(),
            scratch: Vec::new(),
            address: core::marker::PhantomData,
        }
    }

    fn may_reset(&mut self, now: Timestamp, address: A) -> bool {
        self.scratch.clear();
        address.token_bytes(&mut self.scratch);
        let hash = blake3::keyed_hash(self.bucket_key.expose(), &self.scratch);
        let bucket =
            usize::from(u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]])) % RESET_BUCKETS;
        self.next_reset.resize(RESET_BUCKETS, Timestamp::ZERO);
        let may = self.next_reset[bucket] <= now;
        if may {
            self.next_reset[bucket] = now + RESET_INTERVAL;
        }
        may
    }
}

impl<A: Address> Endpoint<A> {
    pub(super) fn on_long(&mut self, now: Timestamp, meta: Meta<A>, long: &Long<'_>, packet: &[u8]) {
        if long.kind == LongKind::Init {
            return self.on_init(now, meta, long, packet);
        }
        match Cid::from_slice(long.dcid).and_then(|cid| self.routes.by_cid(cid)) {
            Some(slot) if self.is_late(slot, long) => self.withdraw(slot, meta.path, long),
            Some(slot) => self.hand_in(now, slot, meta, packet),
            None => self.count(Drop::UnknownConnection),
        }
    }

    fn on_init(&mut self, now: Timestamp, meta: Meta<A>, long: &Long<'_>, packet: &[u8]) {
        let client = Cid::from_slice(long.scid);
        let known = client.and_then(|client| self.routes.by_initial(self.routes.initial(client, meta.path)));
        if !self.is_accepting && known.is_none() {
            return self.count(Drop::NotAccepting);
        }
        if packet.len() < MIN_INIT {
            return self.count(Drop::SmallInit);
        }
        if long.version != VERSION {
            self.count(Drop::WrongVersion);
            return self.answer_version(meta.path, long);
        }
        let Some(client) = client else {
            return self.count(Drop::MalformedHandshake);
        };
        if let Some(slot) = known {
            self.hand_in(now, slot, meta, packet);
            return self.end_in_time(slot);
        }
        let mut record = Record::new(long.payload);
        let frame = record.next();
        record.skip_padding();
        let Some(Ok(Frame::Init(init))) = frame.filter(|_| record.is_empty()) else {
            return self.count(Drop::MalformedHandshake);
        };
        if self.refuses_secrecy(now, meta.path, client, &init) {
            return;
        }
        if self.on_claim(now, meta, client, &init, packet) {
            return;
        }
        if self.is_draining() {
            return self.send_away(meta.path, client, Drop::Draining);
        }
        self.on_new_client(now, meta, client, &init, packet.len());
    }

    fn on_new_client(&mut self, now: Timestamp, meta: Meta<A>, client: Cid, init: &Init<'_>, size: usize) {
        let is_proven = token::is_valid(self.incoming.retry_key.expose(), now, init.token, client, meta.path);
        #[cfg(planted)]
        let is_proven = is_proven
            || self.config.planted == Some(crate::planted::Planted::TokenForAnyone) && !init.token.is_empty();
        let is_crowded = self.is_crowded(meta.path);
        let must_prove = match self.config.retry {
            _ if self.config.admission || self.config.crypto.is_some() => true,
            Retry::Always => true,
            Retry::UnderPressure => is_crowded || self.incoming.waiting.len() * 4 > self.config.max_pending,
        };
        if must_prove && !is_proven {
            return self.ask_for_proof(now, meta.path, client);
        }
        // What costs nothing comes first, and nobody gives way for one who is not let in.
        if let Err(reason) = if is_crowded { Err(Drop::Busy) } else { self.may_come(now) } {
            return self.send_away(meta.path, client, reason);
        }
        let asked = match self.read_init(now, self.limited_prefix(meta.path), init) {
            Ok(asked) => asked,
            Err(Unread::Delayed) => return self.send_away(meta.path, client, Drop::WrongKey),
            Err(Unread::Dropped(reason)) => {
                self.count(reason);
                if reason == Drop::WrongKey {
                    self.refuse_key(meta.path, client);
                }
                return;
            }
        };
        let room = self.take_accept(now).and_then(|()| {
            let made_room = self.make_room();
            self.make_waiting_room(now);
            self.room(made_room)
        });
        if let Err(reason) = room {
            return self.send_away(meta.path, client, reason);
        }
        let mut conn = Connection::accept(Arc::clone(&self.config), self.link, self.rng.bytes(), now);
        if self.routes.by_cid(conn.local_cid()).is_some() {
            return self.count(Drop::Busy);
        }
        conn.set_server_key(self.incoming.key.clone());
        if is_proven {
            conn.set_address_validated();
        }
        let id = self.insert(conn, meta.path, Some(client), None);
        self.hand_in_init(now, id.index(), meta, (client, init, asked), size);
    }

    /// Reads an INIT that begins something, before anything is kept for it.
    pub(super) fn read_init(
        &mut self,
        now: Timestamp,
        prefix: Option<u64>,
        init: &Init<'_>,
    ) -> Result<Asked, Unread> {
        let most = self.config.max_key_failures;
        let is_encrypted = self.config.crypto.is_some() && params::secrecy(init.params).is_some();
        if is_encrypted && self.incoming.wrong_keys.has_failed(now, prefix, most) {
            return Err(Unread::Delayed);
        }
        let asked = Asked::of(&self.config, None, || self.rng.bytes(), init);
        if asked.as_ref().err() == Some(&Drop::WrongKey) {
            self.incoming.wrong_keys.note(now, prefix);
        }
        asked.map_err(Unread::Dropped)
    }

    fn send_away(&mut self, address: A, client: Cid, reason: Drop) {
        let close = self.busy(reason);
        self.answer(address, LongKind::Refuse, client, &Frame::Close(close));
    }

    /// A client is to prove its address first.
    pub(super) fn ask_for_proof(&mut self, now: Timestamp, address: A, client: Cid) {
        self.count(Drop::Retried);
        let token = token::issue(self.incoming.retry_key.expose(), now, self.rng.bytes(), client, address);
        self.answer(address, LongKind::Retry, client, &Frame::Retry(&token));
    }

    /// Whether there is room for another client, or why not.
    pub(super) fn room(&self, made_room: bool) -> Result<(), Drop> {
        if self.is_draining() {
            return Err(Drop::Draining);
        }
        let is_full = self.len() >= self.config.max_connections && !made_room;
        if is_full || self.incoming.waiting.len() >= self.config.max_pending {
            return Err(Drop::Busy);
        }
        if self.config.admission && self.incoming.undecided >= self.config.max_undecided {
            return Err(Drop::UndecidedFull);
        }
        Ok(())
    }

    /// Whether another client could be let in now, if those gave way who have to; or why not.
    fn may_come(&self, now: Timestamp) -> Result<(), Drop> {
        if !self.incoming.accepts.can_take(now, self.accept_rate()) {
            return Err(Drop::AcceptRate);
        }
        let can_make_room = self.sessions.first_to_end().is_some();
        match self.room(can_make_room) {
            Err(Drop::Busy) if self.incoming.waiting.is_overdue(now) => Ok(()),
            room => room,
        }
    }

    fn accept_rate(&self) -> Allowed {
        let every = Duration::from_secs(1) / self.config.accept_rate;
        Allowed { burst: self.config.accept_burst, every }
    }

    /// Whether another client may be let in now, after so many others.
    pub(super) fn take_accept(&mut self, now: Timestamp) -> Result<(), Drop> {
        let allowed = self.accept_rate();
        if self.incoming.accepts.take(now, allowed) { Ok(()) } else { Err(Drop::AcceptRate) }
    }

    /// Whether those at `address` take as much room as they may. Streams have room from the moment that they are there, many come at once,
    /// and none comes from where it does not say.
    pub(super) fn is_crowded(&self, address: A) -> bool {
        const STREAMS: usize = 8;
        let most = self.config.max_pending_per_prefix;
        let most = if address.is_stream() { most.saturating_mul(STREAMS) } else { most };
        self.incoming.waiting.of_prefix(address) >= most && !address.is_of(&self.config.exempt_networks)
    }

    /// The network of an address, for the limits that hold for it.
    pub(super) fn limited_prefix(&self, address: A) -> Option<u64> {
        address.prefix().filter(|_| !address.is_of(&self.config.exempt_networks))
    }

    /// Sends a client away.
    pub(super) fn busy(&mut self, reason: Drop) -> Close<'static> {
        self.count(reason);
        let (advice, retry_after) = self.drain_advice();
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        Close { code: code::BUSY, advice, retry_after_ms, reason: "busy" }
    }

    /// Whether a packet takes a client that has found another way.
    fn is_late(&self, slot: u32, long: &Long<'_>) -> bool {
        let entry = self.slots[slot as usize].entry.as_deref();
        long.kind == LongKind::Accept
            && entry.is_some_and(|entry| {
                entry.race.is_some()
                    && !entry.conn.look().is_dialling()
                    && entry.conn.look().remote_cid().0 != long.scid
            })
    }

    /// Tells a server that the client will not come, so that it does not wait for it.
    fn withdraw(&mut self, slot: u32, address: A, long: &Long<'_>) {
        let Some(server) = Cid::from_slice(long.scid) else {
            return self.count(Drop::MalformedHandshake);
        };
        if self.answers.len() >= MAX_ANSWERS {
            return self.count(Drop::AnswerQueueFull);
        }
        self.count(Drop::UnexpectedHandshake);
        let Some(client) = self.entry(slot).map(|entry| entry.conn.look().local_cid()) else { return };
        let checksum = self.config.checksum;
        let mut answer = Vec::with_capacity(32);
        packet::start_short(&mut answer, server, 0, 1);
        let close = Close { code: code::NO_ERROR, advice: Advice::Never, retry_after_ms: 0, reason: "" };
        RecordWriter::new(&mut answer).write(&Frame::Close(close), false);
        packet::finish_short(&mut answer, 0, packet::guard(client, server, checksum), 0, checksum);
        self.answers.push_back((address, answer));
    }

    /// The answer carries the ids that the client sent, whatever their length: its version may have other rules.
    fn answer_version(&mut self, address: A, long: &Long<'_>) {
        let versions = VERSION.to_be_bytes();
        let Some(list) = Version::from_bytes(&versions) else { return };
        self.enqueue_answer(address, LongKind::Refuse, long.scid, long.dcid, &Frame::Version(list));
    }

    pub(super) fn answer(&mut self, address: A, kind: LongKind, client: Cid, frame: &Frame<'_>) {
        self.enqueue_answer(address, kind, &client.0, &[], frame);
    }

    fn enqueue_answer(&mut self, address: A, kind: LongKind, dcid: &[u8], scid: &[u8], frame: &Frame<'_>) {
        if self.answers.len() >= MAX_ANSWERS {
            return self.count(Drop::AnswerQueueFull);
        }
        let mut record = Vec::with_capacity(64);
        RecordWriter::new(&mut record).write(frame, false);
        let mut packet = Vec::with_capacity(96);
        Long { kind, version: VERSION, dcid, scid, payload: &record }
            .encode(&mut packet, self.config.checksum);
        self.answers.push_back((address, packet));
    }

    /// A packet that leads to no connection: the server may have forgotten one of this side's, or a client may not know that
    /// this side has forgotten its.
    pub(super) fn on_unknown(&mut self, now: Timestamp, meta: Meta<A>, cid: Option<Cid>, packet: &[u8]) {
        if let Some(slot) = packet.last_chunk::<16>().and_then(|tail| self.routes.by_reset(tail)) {
            return self.hand_in(now, slot, meta, packet);
        }
        let Some(cid) = cid else {
            return self.count(Drop::MalformedHeader);
        };
        self.count(Drop::UnknownConnection);
        if self.config.accept {
            self.answer_reset(now, meta.path, cid, packet.len());
        }
    }

    /// Says, in a packet shorter than the one that asked, that the connection is gone.
    fn answer_reset(&mut self, now: Timestamp, address: A, cid: Cid, trigger: usize) {
        if trigger <= RESET_MIN || self.answers.len() >= MAX_ANSWERS || !self.incoming.may_reset(now, address)
        {
            return self.count(Drop::ResetSuppressed);
        }
        let noise: [u8; 32] = self.rng.bytes();
        let extra = usize::from(noise[31] % 8).min(trigger - RESET_MIN - 1);
        let mut packet = Vec::with_capacity(RESET_MIN + extra);
        packet.push(0x40 | noise[30] & if self.config.crypto.is_some() { 0x3F } else { 0x18 });
        packet.extend_from_slice(&noise[..4 + extra]);
        packet.extend_from_slice(&reset_token(self.incoming.key.expose(), cid));
        self.answers.push_back((address, packet));
    }
}
