//! What both sides of a session tell each other when it has got another link, and what follows from it
//! (docs/spec/connection.md, section 9).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use super::Connection;
use super::close::Close;
use super::receive::{Violation, violation};
use super::state::End;
use crate::channel::Impossible;
use crate::recovery::Carried;
use crate::wire::{Advice, MAX_STATE_LINES, RecordWriter, ResumeState, StateLine};
use crate::{ChannelId, Class, CloseReason, Continuity, Timestamp, code};

/// Bytes of lines in one part, so that it fits into a packet with an ACK and CONFIRM before it.
const PART_BYTES: usize = 700;

/// The peer's state, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Hearing {
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

impl Connection {
    /// The new link is there: messages wait until the peer has said what it has, and the application until it can be told.
    pub(super) fn begin_exchange(&mut self, now: Timestamp) {
        let max = self.link.max_unreliable();
        for id in self.channels.iter().map(|channel| channel.id).collect::<Vec<_>>() {
            let mut ends = mem::take(&mut self.scratch.ends);
            self.channels.drop_longer(now, id, max, &mut ends);
            self.settle_ends(id, ends);
        }
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::ResumeTwice) {
            self.channels.iter_mut().for_each(|channel| channel.inbox.forget_newest());
        }
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
