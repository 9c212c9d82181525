//! Packets of no connection: handshakes to begin, and strangers to be answered cheaply or not at all.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Address, Endpoint, token};
use crate::connection::reset_token;
use crate::rng::Rng;
use crate::wire::packet::{MIN_INIT, VERSION};
use crate::wire::{Advice, Cid, Close, Frame, Init, Long, LongKind, Record, RecordWriter, Version};
use crate::{Connection, Drop, Meta, Retry, Timestamp, code};

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
    key: [u8; 32],
    /// Makes retry tokens; fresh in every life, for they name times of this one's clock.
    retry_key: [u8; 32],
    /// Tells addresses apart in a way that no stranger can predict.
    bucket_key: [u8; 32],
    pending: usize,
    /// Of those, the ones that wait for the application's decision.
    pub(super) undecided: usize,
    by_prefix: BTreeMap<u64, usize>,
    /// When each bucket may get a reset again; empty until the first one.
    next_reset: Vec<Timestamp>,
    /// The bytes of an address while they are hashed.
    scratch: Vec<u8>,
    address: core::marker::PhantomData<A>,
}

impl<A: Address> Incoming<A> {
    pub(super) fn new(key: [u8; 32], rng: &mut Rng) -> Self {
        Self {
            key,
            retry_key: rng.bytes(),
            bucket_key: rng.bytes(),
            pending: 0,
            undecided: 0,
            by_prefix: BTreeMap::new(),
            next_reset: Vec::new(),
            scratch: Vec::new(),
            address: core::marker::PhantomData,
        }
    }

    pub(super) fn begin(&mut self, address: A) {
        self.pending += 1;
        if let Some(prefix) = address.prefix() {
            *self.by_prefix.entry(prefix).or_default() += 1;
        }
    }

    pub(super) fn end(&mut self, address: A) {
        self.pending -= 1;
        if let Some(prefix) = address.prefix()
            && let Some(count) = self.by_prefix.get_mut(&prefix)
        {
            *count -= 1;
            if *count == 0 {
                self.by_prefix.remove(&prefix);
            }
        }
    }

    fn of_prefix(&self, address: A) -> usize {
        address.prefix().and_then(|prefix| self.by_prefix.get(&prefix)).copied().unwrap_or(0)
    }

    fn may_reset(&mut self, now: Timestamp, address: A) -> bool {
        self.scratch.clear();
        address.token_bytes(&mut self.scratch);
        let hash = blake3::keyed_hash(&self.bucket_key, &self.scratch);
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
            Some(slot) => self.hand_in(now, slot, meta, packet),
            None => self.count(Drop::UnknownConnection),
        }
    }

    fn on_init(&mut self, now: Timestamp, meta: Meta<A>, long: &Long<'_>, packet: &[u8]) {
        let client = Cid::from_slice(long.scid);
        let known = client.and_then(|client| self.routes.by_initial(client, meta.path));
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
            return self.hand_in(now, slot, meta, packet);
        }
        let Some(Ok(Frame::Init(init))) = Record::new(long.payload).next() else {
            return self.count(Drop::MalformedHandshake);
        };
        self.on_new_client(now, meta, client, &init, packet);
    }

    fn on_new_client(&mut self, now: Timestamp, meta: Meta<A>, client: Cid, init: &Init<'_>, packet: &[u8]) {
        let is_proven = token::is_valid(&self.incoming.retry_key, now, init.token, client, meta.path);
        let is_crowded = self.incoming.of_prefix(meta.path) >= self.config.max_pending_per_prefix;
        let must_prove = match self.config.retry {
            _ if self.config.admission => true,
            Retry::Always => true,
            Retry::UnderPressure => is_crowded || self.incoming.pending * 4 > self.config.max_pending,
        };
        if must_prove && !is_proven {
            self.count(Drop::Retried);
            let token = token::issue(&self.incoming.retry_key, now, self.rng.bytes(), client, meta.path);
            return self.answer(meta.path, LongKind::Retry, client, &Frame::Retry(&token));
        }
        let is_full =
            self.len() >= self.config.max_connections || self.incoming.pending >= self.config.max_pending;
        if is_full || is_crowded {
            return self.answer_busy(meta.path, client, Drop::Busy);
        }
        if self.config.admission && self.incoming.undecided >= self.config.max_undecided {
            return self.answer_busy(meta.path, client, Drop::UndecidedFull);
        }
        let mut conn = Connection::accept(Arc::clone(&self.config), self.link, self.rng.bytes(), now);
        if self.routes.by_cid(conn.local_cid()).is_some() {
            return self.count(Drop::Busy);
        }
        conn.set_server_key(self.incoming.key);
        if is_proven {
            conn.set_address_validated();
        }
        let id = self.insert(conn, meta.path, Some(client));
        self.hand_in(now, id.slot, meta, packet);
    }

    fn answer_busy(&mut self, address: A, client: Cid, reason: Drop) {
        self.count(reason);
        let close = Close {
            code: code::BUSY,
            advice: Advice::After,
            retry_after_ms: u64::try_from(self.config.busy_retry_after.as_millis()).unwrap_or(u64::MAX),
            reason: "busy",
        };
        self.answer(address, LongKind::Refuse, client, &Frame::Close(close));
    }

    /// The answer carries the ids that the client sent, whatever their length: its version may have other rules.
    fn answer_version(&mut self, address: A, long: &Long<'_>) {
        let versions = VERSION.to_be_bytes();
        let Some(list) = Version::from_bytes(&versions) else { return };
        self.enqueue_answer(address, LongKind::Refuse, long.scid, long.dcid, &Frame::Version(list));
    }

    fn answer(&mut self, address: A, kind: LongKind, client: Cid, frame: &Frame<'_>) {
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
        packet.push(0x40 | noise[30] & 0x18);
        packet.extend_from_slice(&noise[..4 + extra]);
        packet.extend_from_slice(&reset_token(&self.incoming.key, cid));
        self.answers.push_back((address, packet));
    }
}
