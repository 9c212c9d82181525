//! Where the peer is: a server follows its client to another address once the client has proven to be there
//! (docs/spec/connection.md, section 5.1).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::cids::Theirs;
use super::receive::{Violation, violation};
use super::state::State;
use super::{Connection, Timer};
use crate::recovery::{Mark, Mtu};
use crate::wire::packet::{self, MIN_INIT};
use crate::wire::{Cid, Frame, RecordWriter, sealed};
use crate::{Drop, Ecn, PathId, Timestamp, code};

/// What an address that is not proven may get for each byte that came from there.
const AMPLIFICATION: usize = 3;
/// Answers to PATH_CHALLENGE that wait.
const MAX_ANSWERS: usize = 3;
/// Addresses that are not proven and may be sent something: those of the answers, and the one that is asked.
const MAX_BUDGETS: usize = MAX_ANSWERS + 1;
/// Times that a new address is asked.
const TRIES: u8 = 3;
/// Frames about paths that are taken in a probe timeout.
const MAX_FRAMES: u32 = 100;

/// A packet with nothing but a frame about paths.
const SHORTEST: usize = sealed::overhead(4) + 1 + 8;

/// How a packet came in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    pub(crate) path: PathId,
    /// Its address differs from the present one in the port only.
    pub(crate) is_same_host: bool,
    pub(crate) ecn: Option<Ecn>,
}

/// The addresses of one peer, as far as its connection knows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    /// The one that is proven and used.
    active: PathId,
    /// Of the packet that is being taken in, and what of its length is in no budget yet.
    arrival: (PathId, usize),
    /// Of the packet that was written last.
    written: PathId,
    /// Frames about paths since then.
    frames: u32,
    since: Timestamp,
    roaming: Option<Box<Roaming>>,
}

/// What is there only while something happens.
#[derive(Clone, Debug, Default)]
struct Roaming {
    moving: Option<Moving>,
    /// The address before the last move, which may be gone back to without proof until then.
    old: Option<(PathId, Timestamp)>,
    answers: VecDeque<Answer>,
    budgets: VecDeque<Budget>,
}

/// What may still be sent to an address that is not proven, whatever for.
#[derive(Clone, Copy, Debug)]
struct Budget {
    path: PathId,
    bytes: usize,
}

impl Roaming {
    /// `len` more bytes came from `path`.
    fn fund(&mut self, path: PathId, len: usize) {
        let bytes = AMPLIFICATION * len;
        if let Some(budget) = self.budgets.iter_mut().find(|budget| budget.path == path) {
            budget.bytes += bytes;
            return;
        }
        if self.budgets.len() >= MAX_BUDGETS {
            let asked = self.moving.map(|moving| moving.to);
            let spared = self.budgets.iter().position(|budget| Some(budget.path) != asked);
            self.budgets.remove(spared.unwrap_or(0));
        }
        self.budgets.push_back(Budget { path, bytes });
    }

    /// How long a packet to `path` may be; it is paid for. Something is left for the next one, if there is enough for two.
    fn spend(&mut self, path: PathId, most: usize) -> Option<usize> {
        let budget = self.budgets.iter_mut().find(|budget| budget.path == path)?;
        let len = most.min(SHORTEST.max(budget.bytes / 2));
        (len <= budget.bytes).then(|| {
            budget.bytes -= len;
            len
        })
    }
}

/// The client seems to be elsewhere.
#[derive(Clone, Copy, Debug)]
struct Moving {
    to: PathId,
    is_same_host: bool,
    /// The largest packet number that came from there.
    number: u64,
    challenge: [u8; 8],
    due: bool,
    tries: u8,
    /// What the client is called there, if it has given an id for that.
    cid: Option<Theirs>,
    /// The address so far is asked as well: whoever answers there has not moved.
    old_challenge: [u8; 8],
    old_due: bool,
}

/// A PATH_RESPONSE that must go out.
#[derive(Clone, Copy, Debug)]
struct Answer {
    path: PathId,
    data: [u8; 8],
}

impl Paths {
    /// Another attachment has one address, and knows of no other.
    pub(super) fn renew(&mut self) {
        *self = Self { active: self.active, ..Self::default() };
    }
}

impl Connection {
    /// The path in use.
    pub(crate) const fn active_path(&self) -> PathId {
        self.paths.active
    }

    /// Whether anything may go to a path.
    pub(crate) fn knows_path(&self, path: PathId) -> bool {
        path == self.paths.active
            || self.paths.roaming.as_ref().is_some_and(|roaming| {
                roaming.moving.is_some_and(|moving| moving.to == path)
                    || roaming.old.is_some_and(|(old, _)| old == path)
                    || roaming.answers.iter().any(|answer| answer.path == path)
                    || roaming.budgets.iter().any(|budget| budget.path == path)
            })
    }

    /// Whether packets from elsewhere are looked at. A session that is claimed by several ways is confirmed over any of them.
    pub(crate) fn may_roam(&self) -> bool {
        !self.is_client && (self.state.is_open() || self.is_claimed()) && !self.link.reliable
    }

    /// Whether the client has moved a moment ago, or may have.
    pub(super) const fn is_roaming(&self) -> bool {
        self.paths.roaming.is_some()
    }

    pub(super) const fn set_arrival(&mut self, path: PathId, len: usize) {
        self.paths.arrival = (path, len);
    }

    /// The path of the packet that was just written.
    pub(super) const fn take_written_path(&mut self) -> PathId {
        core::mem::replace(&mut self.paths.written, self.paths.active)
    }

    pub(super) const fn begin_writing(&mut self) {
        self.paths.written = self.paths.active;
    }

    /// All of packet `number` was taken in: what it says about where the client is. `is_newest`: no larger number came before.
    pub(super) fn follow(
        &mut self,
        now: Timestamp,
        arrival: Arrival,
        number: u64,
        is_newest: bool,
        is_probing: bool,
    ) {
        let path = arrival.path;
        if path == self.paths.active {
            if self.paths.roaming.is_some() && !is_probing {
                self.stay(number);
            }
            return;
        }
        if !self.may_roam() || self.is_claimed() {
            return;
        }
        let len = core::mem::take(&mut self.paths.arrival.1);
        let roaming = self.paths.roaming.get_or_insert_default();
        roaming.fund(path, len);
        if let Some(moving) = roaming.moving.as_mut().filter(|moving| moving.to == path) {
            if is_newest && !is_probing {
                moving.number = number;
            }
            return;
        }
        #[cfg(planted)]
        let is_probing = is_probing && self.config.planted != Some(crate::planted::Planted::ProbesMove);
        if is_probing || !is_newest {
            return;
        }
        if let Some((_, until)) = roaming.old.filter(|&(old, until)| old == path && until > now) {
            self.drop_moving();
            self.renew_cid();
            return self.move_to(now, path, arrival.is_same_host, until);
        }
        let challenge = self.rng.bytes();
        let old_challenge = self.rng.bytes();
        let is_same_host = arrival.is_same_host;
        // Another address than was asked before.
        self.drop_moving();
        let cid = self.take_spare();
        let roaming = self.paths.roaming.get_or_insert_default();
        roaming.moving = Some(Moving {
            to: path,
            is_same_host,
            number,
            challenge,
            due: true,
            tries: 1,
            cid,
            old_challenge,
            old_due: true,
        });
        self.stats.paths_challenged += 1;
        self.arm_path_timer(now);
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::MovesUnproven) {
            self.on_path_proven(now);
        }
    }

    /// A packet came from where the client has been: if it was sent later than those from elsewhere, the client has not moved.
    fn stay(&mut self, number: u64) {
        if let Some(roaming) = &mut self.paths.roaming
            && roaming.moving.is_some_and(|moving| moving.number < number)
        {
            self.give_up_moving();
        }
    }

    fn give_up_moving(&mut self) {
        self.drop_moving();
        self.forget_roaming();
    }

    /// The client is not where it seemed to be.
    fn drop_moving(&mut self) {
        let moving = self.paths.roaming.as_mut().and_then(|roaming| roaming.moving.take());
        if let Some(moving) = moving {
            self.stats.paths_given_up += 1;
            if let Some(cid) = moving.cid {
                self.give_cid_back(cid);
            }
        }
    }

    fn forget_roaming(&mut self) {
        let is_over = self.paths.roaming.as_ref().is_some_and(|roaming| {
            roaming.moving.is_none() && roaming.old.is_none() && roaming.answers.is_empty()
        });
        if is_over {
            self.paths.roaming = None;
            self.timers.stop(Timer::Path);
        }
    }

    fn arm_path_timer(&mut self, now: Timestamp) {
        let Some(roaming) = &self.paths.roaming else { return };
        let again = roaming.moving.map(|_| now + self.recovery.pto());
        let old = roaming.old.map(|(_, until)| until);
        self.timers.set(Timer::Path, again.into_iter().chain(old).min());
    }

    pub(super) fn on_path_timer(&mut self, now: Timestamp) {
        let Some(roaming) = &mut self.paths.roaming else { return };
        if roaming.old.is_some_and(|(_, until)| until <= now) {
            roaming.old = None;
        }
        match &mut roaming.moving {
            Some(moving) if moving.tries < TRIES => {
                moving.tries += 1;
                moving.due = true;
            }
            Some(_) => self.give_up_moving(),
            None => {}
        }
        self.arm_path_timer(now);
        self.forget_roaming();
    }

    /// Too many frames about paths, for nothing.
    pub(super) fn count_path_frame(&mut self, now: Timestamp) -> Result<(), Violation> {
        if now.since(self.paths.since) > self.recovery.pto() {
            (self.paths.since, self.paths.frames) = (now, 0);
        }
        self.paths.frames += 1;
        if self.paths.frames > MAX_FRAMES {
            return Err(Violation(code::EXCESSIVE, "too many frames about paths"));
        }
        Ok(())
    }

    pub(super) fn on_path_challenge(&mut self, now: Timestamp, data: [u8; 8]) -> Result<(), Violation> {
        if self.link.reliable {
            return violation("a frame about paths on a link that has none");
        }
        self.count_path_frame(now)?;
        let (path, len) = self.paths.arrival;
        let roaming = self.paths.roaming.get_or_insert_default();
        if path != self.paths.active {
            roaming.fund(path, len);
            self.paths.arrival.1 = 0;
        }
        if roaming.answers.len() >= MAX_ANSWERS {
            roaming.answers.pop_front();
            self.stats.drops.count(Drop::PathAnswerDropped);
        }
        roaming.answers.push_back(Answer { path, data });
        Ok(())
    }

    pub(super) fn on_path_response(&mut self, now: Timestamp, data: [u8; 8]) -> Result<(), Violation> {
        if self.link.reliable {
            return violation("a frame about paths on a link that has none");
        }
        self.count_path_frame(now)?;
        let moving = self.paths.roaming.as_ref().and_then(|roaming| roaming.moving);
        match moving {
            Some(moving) if moving.challenge == data => self.on_path_proven(now),
            Some(moving) if moving.old_challenge == data && self.paths.arrival.0 == self.paths.active => {
                self.give_up_moving();
            }
            _ => self.stats.drops.count(Drop::PathAnswerUnexpected),
        }
        Ok(())
    }

    fn on_path_proven(&mut self, now: Timestamp) {
        let Some(moving) = self.paths.roaming.as_mut().and_then(|roaming| roaming.moving.take()) else {
            return;
        };
        let until = now + self.recovery.pto() * 3;
        if let Some(cid) = moving.cid {
            self.adopt_cid(cid);
        }
        self.move_to(now, moving.to, moving.is_same_host, until);
    }

    /// From here on packets go to `path`. What was there before can be gone back to until then.
    fn move_to(&mut self, now: Timestamp, path: PathId, is_same_host: bool, until: Timestamp) {
        let from = core::mem::replace(&mut self.paths.active, path);
        let roaming = self.paths.roaming.get_or_insert_default();
        roaming.old = Some((from, until));
        roaming.moving = None;
        self.stats.moves += 1;
        if !is_same_host {
            self.recovery.reset_path(now, &self.config);
            self.mtu = Mtu::new(self.link.max_packet, self.config.max_packet);
            self.channels.set_packet(self.link.max_packet);
        }
        self.arm_path_timer(now);
        // What went to the old address is looked for at once.
        if !self.recovery.is_idle() {
            self.begin_probe(now);
        }
    }

    /// Writes a packet that asks or answers where somebody is.
    pub(super) fn write_path_frame(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> bool {
        if self.paths.roaming.is_none() || !matches!(self.state, State::Established | State::Flushing) {
            return false;
        }
        if let Some((path, frame, len)) = self.next_path_frame() {
            let start = buf.len();
            let (number, number_len) = self.recovery.next_number();
            packet::start_short(buf, self.cid_on(path), number, number_len);
            RecordWriter::new(buf).write(&frame, false);
            buf.resize(start + len - self.tag_len(), 0);
            self.finish_datagram(now, buf, start, number);
            // Its loss says nothing about the path in use; it is repeated by the timer, or not at all.
            self.recovery.on_sent(now, buf.len() - start, false, Mark::default(), &[]);
            self.paths.written = path;
            self.forget_roaming();
            return true;
        }
        self.forget_roaming();
        false
    }

    /// What the peer is called on a path.
    fn cid_on(&self, path: PathId) -> Cid {
        let moving = self.paths.roaming.as_ref().and_then(|roaming| roaming.moving);
        let other = moving.filter(|moving| moving.to == path).and_then(|moving| moving.cid);
        other.map_or(self.remote_cid, |theirs| theirs.cid)
    }

    fn next_path_frame(&mut self) -> Option<(PathId, Frame<'static>, usize)> {
        let active = self.paths.active;
        let most = MIN_INIT.min(usize::from(self.link.max_packet));
        let roaming = self.paths.roaming.as_mut()?;
        if let Some(moving) = &mut roaming.moving {
            let Moving { to, challenge, old_challenge, .. } = *moving;
            if core::mem::take(&mut moving.old_due) {
                return Some((active, Frame::PathChallenge(old_challenge), SHORTEST));
            }
            if core::mem::take(&mut moving.due)
                && let Some(len) = roaming.spend(to, most)
            {
                return Some((to, Frame::PathChallenge(challenge), len));
            }
        }
        while let Some(Answer { path, data }) = roaming.answers.pop_front() {
            let len = if path == active { Some(most) } else { roaming.spend(path, most) };
            if let Some(len) = len {
                return Some((path, Frame::PathResponse(data), len));
            }
            self.stats.drops.count(Drop::PathAnswerDropped);
        }
        None
    }
}

crate::sleep::saved!(Paths { active, arrival, written, frames, since, roaming });
crate::sleep::awake!(Roaming);
