//! A session outlives its link: it is suspended, goes on over another one, and both sides say what they have
//! (docs/spec/connection.md, section 9).

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::exchange::Hearing;
use super::packets::first_frame;
use super::state::{End, State};
use super::{Connection, Timer};
use crate::recovery::{Carried, Mtu, Received as ReceivedPackets, Recovery, Rtt};
use crate::wire::{Claim, Frame, Init, RecordWriter, StateLine};
use crate::{ChannelId, CloseReason, Continuity, Event, Link, Secret, Timestamp};

/// What a session needs only while it has no link, or has just got a new one.
#[derive(Clone, Debug, Default)]
pub(super) struct Resume {
    /// `Event::Suspended` was told, and neither `Event::Resumed` nor the end yet.
    pub(super) is_told: bool,
    /// The client's: the last incarnation that it asked for.
    asked: u32,
    /// The server's: what proved ownership before the new attachment, and does until that is confirmed.
    pub(super) previous: Option<Secret>,
    /// The server's: a client has claimed the session, and its CONFIRM is awaited.
    pub(super) is_claimed: bool,
    /// Events that may be polled before those of the new link.
    pub(super) gate: Option<usize>,
    /// What this side tells, part by part; none once the peer has all of it.
    pub(super) parts: Vec<Vec<StateLine>>,
    /// Parts that are not known to have arrived, and those of them to be written.
    pub(super) untold: BTreeSet<u64>,
    pub(super) due: Vec<u64>,
    /// What has come of the peer's state; none once all of it has.
    pub(super) hearing: Option<Hearing>,
    /// The new session that the client got instead.
    successor: Option<Box<Connection>>,
    /// The old link's id, where it is not fenced.
    #[cfg(planted)]
    unfenced: Option<crate::wire::Cid>,
}

/// What to do with a client's claim to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not proven.
    Unproven,
    /// There is a newer attachment, or another one of the same number.
    Stale,
    /// It is the handshake under way, perhaps from another address.
    Repeated,
    Valid(Proof),
}

/// What has proven a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The secret of the last attachment: the client has had its ACCEPT, whether or not the server knows.
    Last,
    /// The one before, as long as the last attachment is not confirmed.
    Previous,
}

impl Connection {
    /// How long both sides keep the session without a link.
    pub(super) fn window(&self) -> Duration {
        self.own_window().min(self.channels.peer.resume_window)
    }

    /// How long this side does. A client that never dials again needs no session to go on.
    pub(super) fn own_window(&self) -> Duration {
        let comes_back = !self.is_client || self.config.reconnect.is_some();
        if comes_back { self.config.resume_window } else { Duration::ZERO }
    }

    /// Whether a client may come back to this session.
    pub(crate) fn is_resumable(&self) -> bool {
        matches!(self.state, State::Established | State::Suspended) && !self.window().is_zero()
    }

    /// When the session ends, if it has no link.
    pub fn suspended_until(&self) -> Option<Timestamp> {
        self.timers.get(Timer::Resume).filter(|_| self.state == State::Suspended)
    }

    /// Which attachment of the session this is, counted from 1.
    pub const fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// The link is gone, for all that its owner knows: the session is suspended, if both sides keep it, or over. A client dials
    /// again when its policy says so.
    pub fn link_lost(&mut self, now: Timestamp) {
        let now = self.advance(now);
        if self.state.is_open() {
            self.lose_link(now, End::of(CloseReason::TimedOut));
        }
        self.update_timers();
    }

    pub(super) fn lose_link(&mut self, now: Timestamp, end: End) {
        let window = self.window();
        if self.state != State::Established || window.is_zero() || self.leaving.is_some() {
            return self.enter_closed(now, end, Duration::ZERO);
        }
        if !self.is_client {
            return self.suspend(now + window);
        }
        match self.next_attempt(now, None) {
            Some(at) => {
                self.give_control_back(now);
                self.suspend(now + window);
                self.enter_backoff(at, end.reason);
            }
            None => self.enter_closed(now, end, Duration::ZERO),
        }
    }

    fn suspend(&mut self, until: Timestamp) {
        let asked = self.incarnation;
        let resume = self.resume.get_or_insert_default();
        resume.asked = resume.asked.max(asked);
        let tell = !mem::replace(&mut resume.is_told, true);
        self.stats.suspensions += u64::from(tell);
        self.enter_suspended(until, tell);
    }

    /// What was in flight beside messages is owed again.
    fn give_control_back(&mut self, now: Timestamp) {
        self.reset_token = None;
        let mut carried = mem::take(&mut self.scratch.carried);
        carried.extend(self.recovery.all_carried());
        for carried in carried.drain(..) {
            match carried {
                Carried::Piece(_)
                | Carried::Messages(_)
                | Carried::MtuProbe(_)
                | Carried::State(_)
                | Carried::NewCid(_)
                | Carried::RetireCid(_)
                | Carried::Confirm => {}
                carried => self.on_lost(now, carried),
            }
        }
        self.scratch.carried = carried;
    }

    /// Everything that belongs to one attachment begins anew.
    pub(super) fn renew_attachment(&mut self, now: Timestamp) {
        let rtt = Rtt::new(self.recovery.rtt.smoothed());
        self.recovery = Recovery::new(now, &self.config, self.link, &mut self.rng);
        if let Some(resume) = &mut self.resume {
            (resume.parts, resume.due, resume.hearing) = (Vec::new(), Vec::new(), None);
            resume.untold.clear();
            self.recovery.rtt = rtt;
        }
        self.received = ReceivedPackets::default();
        self.mtu =
            Mtu::new(self.link.max_packet, if self.link.reliable { 0 } else { self.config.max_packet });
        self.channels.set_packet(self.link.max_packet);
        self.confirm = super::handshake::Confirm::Done;
        self.blocked = super::blocked::Blocked::default();
        self.overdraft = super::Overdraft::default();
        self.echo = super::Echo::default();
        self.paths.renew();
        self.marks = false;
        self.ping_due = false;
        self.probes_due = 0;
        self.forget_keys();
    }

    /// The next attempt's claim to the session, whose proof the caller puts in.
    pub(super) fn next_claim(&self) -> Option<Claim> {
        let resume = self.resume.as_ref().filter(|_| self.state == State::Suspended)?;
        Some(Claim { session_id: self.session.0, incarnation: resume.asked, proof: [0; Claim::PROOF] })
    }

    /// Another attempt to go on: none of its number was made before.
    pub(super) fn count_claim(&mut self) {
        if let Some(resume) = &mut self.resume {
            resume.asked = resume.asked.saturating_add(1);
        }
    }

    /// A server: whether a client has claimed the session, and its CONFIRM is awaited.
    pub(crate) fn is_claimed(&self) -> bool {
        self.state == State::Suspended && self.resume.as_ref().is_some_and(|resume| resume.is_claimed)
    }

    /// Whether an ACCEPT is what this attempt asked for.
    pub(super) fn is_asked_for(&self, session: [u8; 16], incarnation: u64) -> bool {
        let asked = self.resume.as_ref().map(|resume| u64::from(resume.asked));
        session == self.session.0 && asked == Some(incarnation)
    }

    /// Judges a claim to this session, also by the key of who makes it.
    pub(crate) fn judge(&self, init: &Init<'_>) -> Verdict {
        match self.judge_proof(init) {
            Verdict::Valid(proof) => self.judge_key(init, proof),
            verdict => verdict,
        }
    }

    /// The same by its proof only: who gets that right still has to be [read](Self::read_init).
    pub(crate) fn judge_proof(&self, init: &Init<'_>) -> Verdict {
        let Some(claim) = init.attach.claim() else { return Verdict::Unproven };
        let previous = self.resume.as_ref().and_then(|resume| resume.previous.as_ref());
        // Comparing hashes takes the same time whatever they are, and all are compared.
        let is_right = |secret: &Secret| blake3::Hash::from(claim.proof) == prove(secret.expose(), init);
        let (by_last, by_previous) = (is_right(&self.secret), previous.is_some_and(is_right));
        let proof = match (by_last, by_previous) {
            (true, _) => Proof::Last,
            (false, true) => Proof::Previous,
            (false, false) => return Verdict::Unproven,
        };
        if self.is_claimed() && self.is_same_client(init) {
            Verdict::Repeated
        } else if claim.incarnation <= self.incarnation {
            Verdict::Stale
        } else {
            Verdict::Valid(proof)
        }
    }

    /// A client has proven that the session is its own and comes over another link, as far as is known `link`: the old one is
    /// fenced at once.
    pub(crate) fn take_over(&mut self, now: Timestamp, incarnation: u32, link: Link, proof: Proof) {
        let now = self.advance(now);
        self.give_control_back(now);
        self.link = link;
        self.suspend(now + self.window());
        self.incarnation = incarnation;
        let secret = self.secret.clone();
        if let Some(resume) = &mut self.resume {
            // What proved this claim proves the next one, should the client never have the answer.
            if proof == Proof::Last || resume.previous.is_none() {
                resume.previous = Some(secret);
            }
            resume.is_claimed = true;
        }
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::FenceOpen)
            && let Some(resume) = &mut self.resume
        {
            resume.unfenced = Some(self.local_cid);
        }
        let key = self.handshake.server_key.clone();
        self.handshake.clear();
        self.handshake.server_key = key;
        self.renew_attachment(now);
        self.await_init(now);
        self.secret = self.rng.secret();
    }

    /// Whether what came over the new link must wait for `Event::Resumed`.
    pub(super) fn is_gated(&self) -> bool {
        self.resume.as_ref().is_some_and(|resume| resume.gate.is_some())
    }

    /// Whether an event may be polled; the caller then does.
    pub(super) fn pass_gate(&mut self) -> bool {
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::GateOpen) {
            return true;
        }
        match self.resume.as_mut().and_then(|resume| resume.gate.as_mut()) {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// What is told of a search for a link is told before what came over one that was lost again.
    pub(super) fn tell_attempt(&mut self, event: Event) {
        let at = match self.resume.as_mut().and_then(|resume| resume.gate.as_mut()) {
            Some(gate) => {
                *gate += 1;
                *gate - 1
            }
            None => self.events.len(),
        };
        self.events.insert(at.min(self.events.len()), event);
    }

    pub(crate) fn has_events(&self) -> bool {
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::GateOpen) {
            return !self.events.is_empty();
        }
        let is_shut = self.resume.as_ref().is_some_and(|resume| resume.gate == Some(0));
        !is_shut && !self.events.is_empty()
    }

    /// Whether `cid` is that of an old link that is not fenced.
    #[cfg(planted)]
    pub(super) fn is_unfenced(&self, cid: crate::wire::Cid) -> bool {
        self.state.is_open() && self.resume.as_ref().is_some_and(|resume| resume.unfenced == Some(cid))
    }

    /// Nothing is left of the change of links.
    pub(super) fn forget_resume(&mut self) {
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::FenceOpen) {
            return;
        }
        self.resume.take_if(|resume| {
            resume.untold.is_empty() && resume.hearing.is_none() && resume.gate.is_none() && !resume.is_told
        });
    }

    /// Nobody was told of what became ready in the meantime.
    pub(super) fn tell_readable(&mut self) {
        for channel in self.channels.iter_mut() {
            if channel.inbox.ready_len() > 0 && !mem::replace(&mut channel.readable_queued, true) {
                self.events.push_back(Event::Readable(channel.id));
            }
        }
    }

    pub(super) fn tell_resumed(&mut self, continuity: impl Fn(ChannelId) -> Continuity) {
        self.stats.resumptions += 1;
        self.events.push_back(Event::Resumed { session: self.session, incarnation: self.incarnation });
        let channels = self.channels.iter().map(|channel| channel.id);
        self.events
            .extend(channels.map(|channel| Event::Continued { channel, continuity: continuity(channel) }));
    }

    /// A server that had given the link up hears from it after all.
    pub(super) fn revive(&mut self, now: Timestamp) {
        self.recovery.forgive();
        self.enter_attached(now);
        if self.is_hearing() {
            // What the client has is still to come, and the application hears of the link then.
            return;
        }
        if let Some(resume) = &mut self.resume {
            resume.is_told = false;
        }
        self.tell_resumed(|_| Continuity::Continuous);
        self.tell_readable();
        self.forget_resume();
    }

    /// The end comes before the session went on: what came over the new link is behind the gate no longer.
    pub(super) fn open_gate(&mut self, is_reset: bool) {
        let resume = self.resume.take();
        if let Some(gate) = resume.as_ref().and_then(|resume| resume.gate) {
            let mut behind = self.events.split_off(gate.min(self.events.len()));
            let is_of_peer = |event: &Event| {
                matches!(event, Event::Readable(_) | Event::Opened(_) | Event::PartialReply(_))
            };
            behind.retain(|event| !is_of_peer(event));
            self.events.extend(behind);
        }
        if let Some(successor) = resume.and_then(|resume| resume.successor) {
            self.resume = Some(Box::new(Resume { successor: Some(successor), ..Resume::default() }));
        }
        if is_reset {
            let channels = self.channels.iter().map(|channel| channel.id);
            self.events
                .extend(channels.map(|channel| Event::Continued { channel, continuity: Continuity::Reset }));
        }
    }

    pub(super) fn set_successor(&mut self, successor: Self) {
        self.resume.get_or_insert_default().successor = Some(Box::new(successor));
    }

    /// Whether there is one, which was given over a stream by this way.
    pub(crate) fn has_successor_by(&self, way: u8) -> bool {
        let successor = self.resume.as_ref().and_then(|resume| resume.successor.as_ref());
        successor.is_some_and(|next| next.link.is_stream() && next.ways.kept() == way)
    }

    /// The new session that the server gave to a client which asked for the old one.
    pub(crate) fn take_successor(&mut self) -> Option<Self> {
        let successor = self.resume.as_mut()?.successor.take();
        self.resume = None;
        successor.map(|successor| *successor)
    }

    /// A session that has no link ends by then.
    pub(crate) fn end_by(&mut self, until: Timestamp) {
        if self.suspended_until().is_some_and(|at| at > until) {
            self.timers.set(Timer::Resume, until);
        }
    }

    /// Ends a session that has no link, for want of room.
    pub(crate) fn evict(&mut self, now: Timestamp) {
        let now = self.advance(now);
        if self.state == State::Suspended {
            self.end_without_link(now, CloseReason::TimedOut);
        }
    }

    pub(super) fn on_resume_timer(&mut self, now: Timestamp) {
        self.enter_closed(now, End::of(CloseReason::TimedOut), Duration::ZERO);
    }

    /// A client that has proven to own the session asks for it over a stream.
    pub(crate) fn handle_claim(&mut self, now: Timestamp, init: &Init<'_>, size: usize) {
        self.advance(now);
        let (budget, due) = (self.handshake.budget, self.handshake.due);
        if let Err(reason) = self.on_init(self.remote_cid, init, size) {
            self.stats.drops.count(reason);
        }
        // What came over a stream proves nothing about an address for datagrams.
        (self.handshake.budget, self.handshake.due) = (budget, due);
    }

    /// Whether a record is the CONFIRM of the claim under way: it comes over the link that the client has chosen.
    pub(crate) fn is_confirmed_by(&self, record: &[u8]) -> bool {
        let confirmation = Some(Frame::Confirm(self.confirmation));
        self.is_claimed() && self.has_agreed() && first_frame(record) == confirmation
    }

    /// The link of the claim under way is this one.
    pub(crate) fn choose_link(&mut self, now: Timestamp, link: Link) {
        let now = self.advance(now);
        self.set_link(now, link);
    }

    /// The answer to the claim under way, for a stream that it came over too.
    pub(crate) fn claim_answer(&self) -> Option<&[u8]> {
        (self.is_claimed() && self.has_agreed()).then(|| &self.handshake.accept[..])
    }

    pub(crate) fn is_dialling(&self) -> bool {
        match self.state {
            State::Connecting => true,
            State::Suspended => self.is_client && self.timers.get(Timer::HandshakeDeadline).is_some(),
            _ => false,
        }
    }
}

/// What a claim is proven by: BLAKE3 of the INIT frame up to the proof, keyed with the session's secret.
pub(crate) fn prove(secret: &[u8; 32], init: &Init<'_>) -> blake3::Hash {
    let mut frame = Vec::with_capacity(256);
    RecordWriter::new(&mut frame).write(&Frame::Init(*init), false);
    blake3::keyed_hash(secret, &frame[..frame.len() - Claim::PROOF.min(frame.len())])
}

crate::sleep::awake!(Resume);
