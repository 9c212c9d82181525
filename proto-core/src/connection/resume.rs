//! A session outlives its link: it is suspended, goes on over another one, and both sides say what they have
//! (docs/spec/connection.md, section 9).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::close::Close;
use super::receive::{Violation, violation};
use super::state::{End, State};
use super::{Connection, Timer};
use crate::channel::Impossible;
use crate::recovery::{Carried, Mtu, Received as ReceivedPackets, Recovery, Rtt};
use crate::wire::{Advice, Claim, Frame, Init, MAX_STATE_LINES, RecordWriter, ResumeState, StateLine};
use crate::{ChannelId, Class, CloseReason, Continuity, Event, Timestamp, code};

/// Bytes of lines in one part, so that it fits into a packet with an ACK and CONFIRM before it.
const PART_BYTES: usize = 700;

/// What a session needs only while it has no link, or has just got a new one.
#[derive(Clone, Debug, Default)]
pub(super) struct Resume {
    /// `Event::Suspended` was told, and neither `Event::Resumed` nor the end yet.
    is_told: bool,
    /// The client's: the last incarnation that it asked for.
    asked: u32,
    /// The server's: what proved ownership before the new attachment, and does until that is confirmed.
    previous: Option<[u8; 32]>,
    /// The server's: a client has claimed the session, and its CONFIRM is awaited.
    is_claimed: bool,
    /// Events that may be polled before those of the new link.
    gate: Option<usize>,
    /// What this side tells, part by part; none once the peer has all of it.
    parts: Vec<Vec<StateLine>>,
    /// Parts that are not known to have arrived, and those of them to be written.
    untold: BTreeSet<u64>,
    due: Vec<u64>,
    /// What has come of the peer's state; none once all of it has.
    hearing: Option<Hearing>,
    /// The new session that the client got instead.
    successor: Option<Box<Connection>>,
}

/// The peer's state, as far as it has come.
#[derive(Clone, Debug, Default)]
struct Hearing {
    parts: BTreeSet<u64>,
    last: Option<u64>,
    /// One above the largest number that had come over the old link.
    had: BTreeMap<(ChannelId, Class), u64>,
    listed: BTreeSet<(ChannelId, Class)>,
    gaps: BTreeMap<ChannelId, u32>,
}

impl Hearing {
    fn is_complete(&self) -> bool {
        self.last.is_some_and(|last| self.parts.len() as u64 == last + 1)
    }
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
    Valid,
}

impl Connection {
    /// How long both sides keep the session without a link.
    pub(super) fn window(&self) -> Duration {
        self.own_window().min(self.channels.peer.resume_window)
    }

    /// How long this side does. A client that never dials again needs no session to go on, and so far only sessions over one
    /// datagram address go on.
    pub(super) fn own_window(&self) -> Duration {
        let comes_back = !self.is_client || self.config.reconnect.is_some() && self.ways.is_one_datagram();
        let comes_back = comes_back && !self.link.is_stream();
        if comes_back { self.config.resume_window } else { Duration::ZERO }
    }

    /// Whether a client may come back to this session.
    pub(crate) fn is_resumable(&self) -> bool {
        matches!(self.state, State::Established | State::Suspended) && !self.window().is_zero()
    }

    /// When the session ends, if it has no link.
    pub(crate) fn suspended_until(&self) -> Option<Timestamp> {
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
        if self.state != State::Established || window.is_zero() {
            return self.enter_closed(now, end, Duration::ZERO);
        }
        if !self.is_client {
            return self.suspend(now + window);
        }
        match self.next_attempt(now, None) {
            Some(at) => {
                self.give_control_back(now);
                self.suspend(now + window);
                self.enter_backoff(at);
            }
            None => self.enter_closed(now, end, Duration::ZERO),
        }
    }

    fn suspend(&mut self, until: Timestamp) {
        let asked = self.incarnation;
        let resume = self.resume.get_or_insert_default();
        resume.asked = resume.asked.max(asked);
        (resume.parts, resume.due, resume.hearing) = (Vec::new(), Vec::new(), None);
        resume.untold.clear();
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
                Carried::Piece(_) | Carried::MtuProbe(_) | Carried::State(_) | Carried::Confirm => {}
                carried => self.on_lost(now, carried),
            }
        }
        self.scratch.carried = carried;
    }

    /// Everything that belongs to one attachment begins anew.
    pub(super) fn renew_attachment(&mut self, now: Timestamp) {
        let rtt = Rtt::new(self.recovery.rtt.smoothed());
        self.recovery = Recovery::new(now, &self.config, self.link, &mut self.rng);
        if self.resume.is_some() {
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
    pub(super) fn is_claimed(&self) -> bool {
        self.state == State::Suspended && self.resume.as_ref().is_some_and(|resume| resume.is_claimed)
    }

    /// Whether an ACCEPT is what this attempt asked for.
    pub(super) fn is_asked_for(&self, session: [u8; 16], incarnation: u64) -> bool {
        let asked = self.resume.as_ref().map(|resume| u64::from(resume.asked));
        session == self.session.0 && asked == Some(incarnation)
    }

    /// Judges a claim to this session.
    pub(crate) fn judge(&self, init: &Init<'_>) -> Verdict {
        let Some(claim) = init.attach.claim() else { return Verdict::Unproven };
        let previous = self.resume.as_ref().and_then(|resume| resume.previous);
        // Comparing hashes takes the same time whatever they are, and all are compared.
        let is_right = |secret: &[u8; 32]| blake3::Hash::from(claim.proof) == prove(secret, init);
        let is_proven =
            [Some(self.secret), previous].iter().flatten().filter(|&secret| is_right(secret)).count() > 0;
        if !is_proven {
            Verdict::Unproven
        } else if self.is_claimed() && self.is_same_client(init) {
            Verdict::Repeated
        } else if claim.incarnation <= self.incarnation {
            Verdict::Stale
        } else {
            Verdict::Valid
        }
    }

    /// A client has proven that the session is its own and comes over another link: the old one is fenced at once.
    pub(super) fn take_over(&mut self, now: Timestamp, incarnation: u32) {
        self.give_control_back(now);
        self.suspend(now + self.window());
        self.incarnation = incarnation;
        let secret = self.secret;
        if let Some(resume) = &mut self.resume {
            resume.previous.get_or_insert(secret);
            resume.is_claimed = true;
        }
        let key = self.handshake.server_key;
        self.handshake.clear();
        self.handshake.server_key = key;
        self.renew_attachment(now);
        self.await_init(now);
        self.secret = self.rng.bytes();
    }

    /// The new link is there: messages wait until the peer has said what it has, and the application until it can be told.
    pub(super) fn begin_exchange(&mut self) {
        let events = self.events.len();
        let had = self.channels.iter().flat_map(|channel| {
            let id = channel.id;
            Class::ALL.map(|class| ((id, class), self.channels.heard(id, class)))
        });
        let hearing = Hearing { had: had.collect(), ..Hearing::default() };
        let parts = split(self.channels.state());
        let resume = self.resume.get_or_insert_default();
        resume.previous = None;
        resume.is_claimed = false;
        resume.gate.get_or_insert(events);
        resume.due = (0..parts.len() as u64).rev().collect();
        resume.untold = resume.due.iter().copied().collect();
        resume.parts = parts;
        resume.hearing = Some(hearing);
    }

    /// Whether the peer's state is still to come.
    pub(super) fn is_hearing(&self) -> bool {
        self.resume.as_ref().is_some_and(|resume| resume.hearing.is_some())
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

    pub(super) fn is_state_due(&self) -> bool {
        self.resume.as_ref().is_some_and(|resume| !resume.due.is_empty())
    }

    pub(super) fn write_state(
        &mut self,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        let Some(resume) = &mut self.resume else { return };
        while let Some(&part) = resume.due.last() {
            let Some(lines) = resume.parts.get(part as usize) else { return };
            let len = 12 + lines.iter().map(StateLine::encoded_len).sum::<usize>();
            if !writer.has_room(len, limit) {
                return;
            }
            writer.write_resume_state(part, part as usize + 1 == resume.parts.len(), lines);
            carried.push(Carried::State(part));
            resume.due.pop();
        }
    }

    pub(super) fn on_state_lost(&mut self, part: u64) {
        if let Some(resume) = &mut self.resume
            && resume.untold.contains(&part)
            && !resume.due.contains(&part)
        {
            resume.due.push(part);
        }
    }

    pub(super) fn on_state_arrived(&mut self, part: u64) {
        if let Some(resume) = &mut self.resume {
            resume.untold.remove(&part);
        }
        self.forget_resume();
    }

    /// Nothing is left of the change of links.
    fn forget_resume(&mut self) {
        self.resume.take_if(|resume| {
            resume.untold.is_empty() && resume.hearing.is_none() && resume.gate.is_none() && !resume.is_told
        });
    }

    /// A part of the peer's state.
    pub(super) fn on_resume_state(
        &mut self,
        now: Timestamp,
        state: &ResumeState<'_>,
    ) -> Result<(), Violation> {
        let Some(hearing) = self.resume.as_mut().and_then(|resume| resume.hearing.as_mut()) else {
            return if self.incarnation > 1 {
                Ok(())
            } else {
                violation("the state of a session that did not go on")
            };
        };
        if !hearing.parts.insert(state.part) {
            return Ok(());
        }
        if state.last && hearing.last.replace(state.part).is_some() {
            return violation("a state with two last parts");
        }
        if hearing.last.is_some_and(|last| hearing.parts.last() > Some(&last)) {
            return violation("a state with a part behind the last");
        }
        for line in state.lines() {
            self.hear_line(now, &line)?;
            if self.state.is_closed() {
                return Ok(());
            }
        }
        if self
            .resume
            .as_ref()
            .is_some_and(|resume| resume.hearing.as_ref().is_some_and(Hearing::is_complete))
        {
            self.hear_silence(now)?;
            if !self.state.is_closed() {
                self.finish_exchange();
            }
        }
        Ok(())
    }

    fn hear_line(&mut self, now: Timestamp, line: &StateLine) -> Result<(), Violation> {
        let id = ChannelId(line.channel);
        let class = Class::ALL[usize::from(line.class) % Class::ALL.len()];
        let Some(hearing) = self.resume.as_mut().and_then(|resume| resume.hearing.as_mut()) else {
            return Ok(());
        };
        if !hearing.listed.insert((id, class)) {
            return violation("a state with two lines about the same");
        }
        let Some(&had) = hearing.had.get(&(id, class)) else { return Ok(()) };
        if class == Class::Unreliable {
            *hearing.gaps.entry(id).or_default() += self.channels.note_gap(id, line.sent, had);
            #[cfg(planted)]
            if self.config.planted == Some(crate::planted::Planted::GapTwice) {
                hearing.gaps.entry(id).and_modify(|gap| *gap *= 2);
            }
        }
        #[cfg(planted)]
        let planted = self.config.planted == Some(crate::planted::Planted::ResumeForgets);
        #[cfg(planted)]
        if planted && class == Class::ReliableUnordered {
            return Ok(());
        }
        let mut ends = mem::take(&mut self.scratch.ends);
        let heard = if line.sent < had {
            Err(Impossible::Forgotten)
        } else {
            self.channels.go_on(now, id, class, line, &mut ends)
        };
        self.settle_ends(id, ends);
        match heard {
            Ok(()) => Ok(()),
            Err(Impossible::NeverSent) => violation("a state with messages that were never sent"),
            Err(Impossible::Forgotten) => {
                self.on_forgotten(now);
                Ok(())
            }
        }
    }

    /// What the peer does not speak of it has never known.
    fn hear_silence(&mut self, now: Timestamp) -> Result<(), Violation> {
        let unlisted = self
            .resume
            .iter()
            .flat_map(|resume| resume.hearing.iter())
            .flat_map(|hearing| hearing.had.keys().filter(|key| !hearing.listed.contains(key)));
        let unlisted: Vec<_> = unlisted.copied().collect();
        for (ChannelId(channel), class) in unlisted {
            self.hear_line(now, &StateLine { channel, class: class as u8, ..StateLine::default() })?;
            if self.state.is_closed() {
                break;
            }
        }
        Ok(())
    }

    /// The peer is not the one that the session was with: it has lost its state.
    fn on_forgotten(&mut self, now: Timestamp) {
        let reason = "the state of the session is lost".into();
        let close = Close { code: code::RESUME_UNKNOWN, reason, advice: Advice::Now, ..Close::default() };
        self.end_with(now, close, End::of(CloseReason::Reset));
    }

    /// The peer has said all that it has: the application is told, and then gets what has come since.
    fn finish_exchange(&mut self) {
        let Some(resume) = &mut self.resume else { return };
        let gaps = resume.hearing.take().unwrap_or_default().gaps;
        let gate = resume.gate.take().unwrap_or(0).min(self.events.len());
        resume.is_told = false;
        let behind = self.events.split_off(gate);
        self.tell_resumed(|id| match gaps.get(&id) {
            None | Some(0) => Continuity::Continuous,
            Some(&lost) => Continuity::Gap(lost),
        });
        self.events.extend(behind);
        self.tell_readable();
        self.forget_resume();
    }

    /// Nobody was told of what became ready in the meantime.
    fn tell_readable(&mut self) {
        for channel in self.channels.iter_mut() {
            if channel.inbox.ready_len() > 0 && !mem::replace(&mut channel.readable_queued, true) {
                self.events.push_back(Event::Readable(channel.id));
            }
        }
    }

    fn tell_resumed(&mut self, continuity: impl Fn(ChannelId) -> Continuity) {
        self.stats.resumptions += 1;
        self.events.push_back(Event::Resumed { session: self.session, incarnation: self.incarnation });
        let channels = self.channels.iter().map(|channel| channel.id);
        self.events
            .extend(channels.map(|channel| Event::Continued { channel, continuity: continuity(channel) }));
    }

    /// A server that had given the link up hears from it after all.
    pub(super) fn revive(&mut self, now: Timestamp) {
        self.recovery.forgive();
        if let Some(resume) = &mut self.resume {
            resume.is_told = false;
        }
        self.enter_attached(now);
        self.tell_resumed(|_| Continuity::Continuous);
        self.tell_readable();
        self.forget_resume();
    }

    /// The end comes before the session went on: what came over the new link is behind the gate no longer.
    pub(super) fn open_gate(&mut self, is_reset: bool) {
        let resume = self.resume.take();
        if let Some(gate) = resume.as_ref().and_then(|resume| resume.gate) {
            let mut behind = self.events.split_off(gate.min(self.events.len()));
            behind.retain(|event| !matches!(event, Event::Readable(_)));
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

    /// The new session that the server gave to a client which asked for the old one.
    pub(crate) fn take_successor(&mut self) -> Option<Self> {
        let successor = self.resume.as_mut()?.successor.take();
        self.resume = None;
        successor.map(|successor| *successor)
    }

    /// Ends a session that has no link, for want of room.
    pub(crate) fn evict(&mut self, now: Timestamp) {
        let now = self.advance(now);
        if self.state == State::Suspended {
            self.enter_closed(now, End::of(CloseReason::TimedOut), Duration::ZERO);
        }
    }

    pub(super) fn on_resume_timer(&mut self, now: Timestamp) {
        self.enter_closed(now, End::of(CloseReason::TimedOut), Duration::ZERO);
    }

    pub(super) fn is_dialling(&self) -> bool {
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

/// Lines in parts that fit into a packet each.
fn split(lines: Vec<StateLine>) -> Vec<Vec<StateLine>> {
    let mut parts: Vec<Vec<StateLine>> = Vec::new();
    let mut bytes = PART_BYTES;
    for line in lines {
        let len = line.encoded_len();
        match parts.last_mut() {
            Some(part) if bytes + len <= PART_BYTES && part.len() < MAX_STATE_LINES => part.push(line),
            _ => {
                bytes = 0;
                parts.push(Vec::from([line]));
            }
        }
        bytes += len;
    }
    parts
}

crate::sleep::awake!(Resume);
