//! Sessions without links: claims to them, and how many are kept (docs/spec/connection.md, section 9).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::failures::Failures;
use super::{Address, Endpoint, token};
use crate::connection::{MAX_WAYS, Proof, Verdict, prove};
use crate::wire::{Advice, Attach, Cid, Close, Frame, Init, LongKind, Packet, Record, checksum};
use crate::{Drop, Link, Meta, SessionId, Shard, State, Timestamp, code};

/// Ids of attachments that others have taken the place of; of more the oldest are forgotten.
const MAX_FENCED: usize = 1024;

/// What a client is told whose session is not known, or not proven to be its own.
const UNKNOWN: Close<'static> =
    Close { code: code::RESUME_UNKNOWN, advice: Advice::Now, retry_after_ms: 0, reason: "no such session" };

/// What an endpoint keeps about sessions beside their connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    /// A server's, by their names. Lookups only.
    by_name: BTreeMap<SessionId, u32>,
    /// Those without links, by when they end, and what they hold.
    suspended: BTreeSet<(Timestamp, u32)>,
    bytes: usize,
    /// Ids of fenced attachments, and until when they are known.
    fenced: BTreeMap<Cid, Timestamp>,
    fenced_order: VecDeque<(Timestamp, Cid)>,
    /// Streams on which sessions were claimed and CONFIRM is awaited, by the slots of the sessions.
    bids: BTreeMap<u32, Vec<u32>>,
    /// Claims that failed.
    failures: Failures,
}

/// What is filed of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filed {
    name: Option<SessionId>,
    suspended: Option<(Timestamp, usize)>,
}

impl Sessions {
    pub(super) fn file(&mut self, slot: u32, filed: &mut Filed, now: Filed) {
        if filed.name != now.name {
            if let Some(name) = filed.name {
                self.by_name.remove(&name);
            }
            if let Some(name) = now.name {
                self.by_name.insert(name, slot);
            }
        }
        if filed.suspended != now.suspended {
            if let Some((until, bytes)) = filed.suspended {
                self.suspended.remove(&(until, slot));
                self.bytes -= bytes;
            }
            if let Some((until, bytes)) = now.suspended {
                self.suspended.insert((until, slot));
                self.bytes += bytes;
            }
        }
        *filed = now;
    }

    /// Packets for `cid` are dropped until then.
    pub(super) fn fence(&mut self, cid: Cid, until: Timestamp) {
        if self.fenced_order.len() >= MAX_FENCED
            && let Some((_, oldest)) = self.fenced_order.pop_front()
        {
            self.fenced.remove(&oldest);
        }
        self.fenced.insert(cid, until);
        self.fenced_order.push_back((until, cid));
    }

    pub(super) fn is_fenced(&mut self, now: Timestamp, cid: Cid) -> bool {
        while let Some(&(_, oldest)) = self.fenced_order.front().filter(|&&(until, _)| until <= now) {
            self.fenced_order.pop_front();
            self.fenced.remove(&oldest);
        }
        self.fenced.get(&cid).is_some_and(|&until| until > now)
    }

    /// The session that ends first, if there are more than there may be.
    fn surplus(&self, count: usize, bytes: usize) -> Option<u32> {
        let is_over = self.suspended.len() > count || self.bytes > bytes;
        self.suspended.first().filter(|_| is_over).map(|&(_, slot)| slot)
    }

    pub(super) fn first_to_end(&self) -> Option<u32> {
        self.suspended.first().map(|&(_, slot)| slot)
    }
}

impl<A: Address> Endpoint<A> {
    /// A client claims a session. `true`: it is dealt with. `false`: it is to be served like any other.
    pub(super) fn on_claim(
        &mut self,
        now: Timestamp,
        meta: Meta<A>,
        client: Cid,
        init: &Init<'_>,
        packet: &[u8],
    ) -> bool {
        let Some(claim) = init.attach.claim() else { return false };
        let prefix = self.limited_prefix(meta.path);
        let is_proven = token::is_valid(self.incoming.retry_key.expose(), now, init.token, client, meta.path);
        let has_failed = self.sessions.failures.has_failed(now, prefix, self.config.max_resume_failures);
        if has_failed && !is_proven {
            self.ask_for_proof(now, meta.path, client);
            return true;
        }
        if has_failed && self.refusals.has(client, meta.path) {
            self.count(Drop::ResumeDelayed);
            return true;
        }
        let slot = self.sessions.by_name.get(&SessionId(claim.session_id)).copied();
        let mut verdict = if let Some(entry) = slot.and_then(|slot| self.entry(slot)) {
            entry.conn.look().judge_proof(init)
        } else {
            // The same work, so that nobody learns by the clock which sessions there are.
            let _ = prove(self.incoming.key.expose(), init) == blake3::Hash::from(claim.proof);
            Verdict::Unproven
        };
        let mut asked = None;
        if let (Verdict::Valid(_), Some(entry)) = (verdict, slot.and_then(|slot| self.entry(slot))) {
            match entry.conn.wake().read_init(init) {
                Ok(read) => asked = Some(read),
                Err(Drop::WrongKey) => verdict = Verdict::Unproven,
                Err(reason) => {
                    self.count(reason);
                    return true;
                }
            }
        }
        match (verdict, slot) {
            // Every address gets the same answer, so who has it at one could let it go to another's, and confirm it.
            (Verdict::Repeated, Some(slot)) if !is_proven && !self.is_at(slot, meta.path) => {
                self.ask_for_proof(now, meta.path, client);
                true
            }
            (Verdict::Valid(_) | Verdict::Repeated, Some(slot)) => {
                if let Verdict::Valid(proof) = verdict {
                    self.take_over(now, slot, claim.incarnation, proof);
                }
                self.readdress(slot, client, meta.path);
                match asked {
                    Some(asked) => self.hand_in_init(now, slot, meta, (client, init, asked), packet.len()),
                    None => self.hand_in(now, slot, meta, packet),
                }
                if let Some(conn) = self.awake(slot).filter(|_| is_proven) {
                    conn.set_address_validated();
                }
                true
            }
            (Verdict::Stale, _) => {
                self.count(Drop::Superseded);
                self.refuse_claim(meta.path, client, code::SUPERSEDED, Advice::Never, "superseded");
                true
            }
            _ => {
                self.sessions.failures.note(now, prefix);
                let is_only = matches!(init.attach, Attach::Resume(_));
                match (is_only, has_failed) {
                    (true, true) => {
                        self.count(Drop::ResumeDelayed);
                        self.refuse_later(now, meta.path, client);
                    }
                    (true, false) => {
                        self.count(Drop::ResumeRefused);
                        self.refuse_unknown(meta.path, client);
                    }
                    (false, _) => self.count(Drop::ResumeRefused),
                }
                is_only
            }
        }
    }

    /// The session in `slot` gets another link, which the client chooses by its CONFIRM.
    fn take_over(&mut self, now: Timestamp, slot: u32, incarnation: u32, proof: Proof) {
        let link = self.link;
        let Some(entry) = self.entry(slot) else { return };
        let old = entry.link.take();
        entry.conn.wake().take_over(now, incarnation, link, proof);
        self.end_in_time(slot);
        for link in old.into_iter().chain(self.sessions.bids.remove(&slot).into_iter().flatten()) {
            self.let_go(link);
        }
    }

    /// A client claims a session over a stream. `true`: it is dealt with.
    pub(super) fn on_stream_claim(
        &mut self,
        now: Timestamp,
        link: u32,
        init: &Init<'_>,
        record: &[u8],
    ) -> bool {
        let Some(claim) = init.attach.claim() else { return false };
        let prefix = self.links.prefix(link);
        let slot = self.sessions.by_name.get(&SessionId(claim.session_id)).copied();
        let verdict = if let Some(entry) = slot.and_then(|slot| self.entry(slot)) {
            entry.conn.look().judge(init)
        } else {
            let _ = prove(self.incoming.key.expose(), init) == blake3::Hash::from(claim.proof);
            Verdict::Unproven
        };
        match (verdict, slot) {
            (Verdict::Valid(_) | Verdict::Repeated, Some(slot)) => {
                if let Verdict::Valid(proof) = verdict {
                    self.take_over(now, slot, claim.incarnation, proof);
                }
                let key = self.incoming.key.clone();
                let answer = self.awake(slot).and_then(|conn| {
                    conn.set_server_key(key);
                    conn.handle_claim(now, init, record.len());
                    conn.claim_answer().map(<[u8]>::to_vec)
                });
                let bids = self.sessions.bids.get(&slot).map_or(0, Vec::len);
                match answer.filter(|_| bids < MAX_WAYS) {
                    Some(answer) => {
                        self.answer_bid(link, slot, answer);
                        self.sessions.bids.entry(slot).or_default().push(link);
                    }
                    None => self.let_go(link),
                }
                self.refile(slot);
            }
            (Verdict::Stale, _) => {
                self.count(Drop::Superseded);
                self.refuse_stream_claim(link, code::SUPERSEDED, Advice::Never, "superseded");
            }
            _ => {
                let has_failed =
                    self.sessions.failures.has_failed(now, prefix, self.config.max_resume_failures);
                self.sessions.failures.note(now, prefix);
                let is_only = matches!(init.attach, Attach::Resume(_));
                if is_only && has_failed {
                    self.count(Drop::ResumeDelayed);
                    self.say_farewell_later(now, link, &Frame::Close(UNKNOWN));
                } else {
                    self.count(Drop::ResumeRefused);
                    if is_only {
                        self.say_farewell(link, &Frame::Close(UNKNOWN));
                    }
                }
                return is_only;
            }
        }
        true
    }

    fn refuse_stream_claim(&mut self, link: u32, code: u64, advice: Advice, reason: &'static str) {
        self.say_farewell(link, &Frame::Close(Close { code, advice, retry_after_ms: 0, reason }));
    }

    /// A record came on a stream that may become the link of the session in `slot`: it does if that is CONFIRM.
    pub(super) fn on_bid(
        &mut self,
        now: Timestamp,
        link: u32,
        slot: u32,
        kind: Link,
        address: A,
        record: &[u8],
    ) {
        let confirmed = self.awake(slot).filter(|conn| conn.is_confirmed_by(record));
        let Some(conn) = confirmed else {
            self.count(Drop::UnexpectedHandshake);
            return self.forget_bid(link, slot);
        };
        conn.choose_link(now, kind);
        self.carry(link, slot);
        if let Some(bids) = self.sessions.bids.get_mut(&slot) {
            bids.retain(|&bid| bid != link);
        }
        if let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() {
            entry.link = Some(link);
            entry.address = address;
            if let Some(initial) = entry.initial.take() {
                self.routes.remove_initial(initial);
            }
        }
        self.lend_arena_to(slot, |conn| conn.handle_packet(now, Meta::default(), record));
    }

    /// A stream does not become the link of the session in `slot`.
    pub(super) fn forget_bid(&mut self, link: u32, slot: u32) {
        if let Some(bids) = self.sessions.bids.get_mut(&slot) {
            bids.retain(|&bid| bid != link);
        }
        self.let_go(link);
    }

    /// A datagram claimed a session that is not known, or not proven to be the client's.
    pub(super) fn refuse_unknown(&mut self, address: A, client: Cid) {
        self.answer(address, LongKind::Refuse, client, &Frame::Close(UNKNOWN));
    }

    fn refuse_claim(&mut self, address: A, client: Cid, code: u64, advice: Advice, reason: &'static str) {
        let close = Close { code, advice, retry_after_ms: 0, reason };
        self.answer(address, LongKind::Refuse, client, &Frame::Close(close));
    }

    fn is_at(&mut self, slot: u32, address: A) -> bool {
        self.entry(slot).is_some_and(|entry| entry.address == address)
    }

    /// The connection in `slot` goes on at another address.
    fn readdress(&mut self, slot: u32, client: Cid, address: A) {
        let key = self.incoming.key.clone();
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(|slot| slot.entry.as_deref_mut()) else {
            return;
        };
        let initial = self.routes.initial(client, address);
        if let Some(before) = entry.initial.replace(initial) {
            self.routes.remove_initial(before);
        }
        self.routes.add_initial(initial, slot);
        entry.address = address;
        entry.conn.wake().set_server_key(key);
    }

    /// Files the session of the connection in `slot`, and ends the one that would end first when there are too many without links.
    pub(super) fn refile_session(&mut self, slot: u32) {
        let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() else { return };
        let Some(conn) = entry.conn.awake() else { return };
        // A stream that was silent for too long is of no use any more.
        if conn.state() == State::Suspended
            && !conn.is_claimed()
            && let Some(link) = entry.link.take()
        {
            return self.let_go_silent(slot, link);
        }
        if conn.is_client() {
            return;
        }
        let is_claimed = conn.is_claimed();
        let now = Filed {
            name: conn.is_resumable().then(|| conn.session()),
            suspended: conn.suspended_until().map(|until| (until, conn.held_bytes())),
        };
        self.sessions.file(slot, &mut entry.session, now);
        if !is_claimed && let Some(bids) = self.sessions.bids.remove(&slot) {
            for link in bids {
                self.let_go(link);
            }
        }
        let (count, bytes) = (self.config.max_suspended, self.config.suspended_bytes);
        while let Some(surplus) = self.sessions.surplus(count, bytes) {
            self.evict(surplus);
        }
    }

    fn let_go_silent(&mut self, slot: u32, link: u32) {
        self.let_go(link);
        self.refile(slot);
    }

    /// Ends the session in `slot`, which has no link.
    pub(super) fn evict(&mut self, slot: u32) {
        let now = self.clock;
        self.stats.evictions += 1;
        if let Some(conn) = self.awake(slot) {
            conn.evict(now);
        }
        if let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() {
            self.sessions.file(slot, &mut entry.session, Filed::default());
        }
        self.refile(slot);
    }

    /// A new client finds no room: a session without a link gives way.
    pub(super) fn make_room(&mut self) -> bool {
        let is_full = self.len() >= self.config.max_connections;
        let oldest = self.sessions.first_to_end().filter(|_| is_full);
        oldest.map(|slot| self.evict(slot)).is_some()
    }

    /// The connection is gone.
    pub(super) fn forget_session(&mut self, slot: u32, mut filed: Filed) {
        if let Some(bids) = self.sessions.bids.remove(&slot) {
            for link in bids {
                self.let_go(link);
            }
        }
        self.sessions.file(slot, &mut filed, Filed::default());
    }
}

/// The shard of the session that a datagram with INIT claims.
pub(super) fn claimed(packet: &[u8]) -> Option<Shard> {
    let Ok(Packet::Long(long)) = Packet::decode(packet, checksum::crc32c) else { return None };
    claimed_by(long.payload)
}

/// The shard of the session that a record with INIT claims.
pub(super) fn claimed_by(record: &[u8]) -> Option<Shard> {
    match Record::new(record).next() {
        Some(Ok(Frame::Init(init))) => init.attach.claim().map(|claim| Shard(claim.session_id[0])),
        _ => None,
    }
}
