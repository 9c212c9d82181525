//! What goes into the next packet.

use alloc::vec::Vec;
use core::mem;

use super::fit::{Fit, head_len, share};
use super::handshake::Confirm;
use super::news::{announcement_len, write_announcement};
use super::state::State;
use super::{Connection, Timer};
use crate::channel::{Announce, Candidate, Messages, Next, Piece, Position, Room, Run, Says};
use crate::recovery::{Carried, Mark};
use crate::wire::packet;
use crate::wire::{Extras, Fragment, Frame, Msg, Options, RecordWriter, TimeSample, WireId, varint};
use crate::{ChannelId, Class, Fate, Timestamp, code};

/// Messages of one packet. Together with the window of 1024 packets it bounds how far a late packet's numbers can lie behind
/// (docs/spec/wire.md, section 5).
const MAX_MESSAGES: usize = 48;
/// A packet that asks for an answer is at least this long, so that a server that has forgotten the connection can answer with
/// something shorter (docs/spec/connection.md, section 5).
pub(super) const MIN_TRIGGER: usize = 24;
/// What may go out beside acknowledgements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Permit {
    Nothing,
    /// Messages of priority 0, beyond window or pacing.
    Urgent,
    All,
}

impl Connection {
    /// Writes one packet behind what `buf` holds, if there is one to send; returns the path that it is to take.
    pub(super) fn transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<u8> {
        let may_write = matches!(self.state, State::Established | State::Flushing);
        if may_write && self.keys_mut().is_some_and(|keys| keys.are_used_up()) {
            let text = "a key is used up, and nothing sealed with it was acknowledged";
            self.on_violation(now, code::KEYS_USED_UP, text);
        }
        let written = match self.state {
            State::Connecting | State::Accepting | State::Suspended => return self.write_handshake(now, buf),
            State::Established | State::Flushing => {
                if self.timers.get(Timer::Expiry).is_some_and(|at| at <= now) {
                    self.advance(now);
                    self.expire_messages(now);
                }
                self.write_path_frame(now, buf) || self.write_probe(now, buf) || self.write_data(now, buf)
            }
            State::Closing | State::Draining => self.write_ending(now, buf),
            State::Backoff | State::Drained => false,
        };
        written.then(|| self.take_written_path().0)
    }

    /// Writes the header of a packet; on a stream it has none.
    fn start_packet(&mut self, buf: &mut Vec<u8>) -> u64 {
        let (number, number_len) = self.recovery.next_number();
        if !self.link.is_stream() {
            packet::start_short(buf, self.remote_cid, number, number_len);
        }
        number
    }

    /// Writes the tag of the packet that begins at `start`; on a stream it has none.
    fn finish_packet(&mut self, now: Timestamp, buf: &mut Vec<u8>, start: usize, number: u64) {
        if !self.link.is_stream() {
            self.finish_datagram(now, buf, start, number);
        }
    }

    /// A packet that is not followed: the end, or the answer to one.
    pub(super) fn write_packet(
        &mut self,
        now: Timestamp,
        buf: &mut Vec<u8>,
        frames: impl FnOnce(&mut RecordWriter<'_>),
    ) {
        let start = buf.len();
        let number = self.start_packet(buf);
        let record = buf.len();
        let mut writer = RecordWriter::new(buf);
        if self.confirm != Confirm::Done {
            writer.write(&self.confirm_frame(), false);
        }
        frames(&mut writer);
        if self.reset_token.is_some() {
            pad(buf, record, start + MIN_TRIGGER - self.tag_len());
        }
        self.finish_packet(now, buf, start, number);
        self.recovery.on_sent(now, buf.len() - start, false, Mark::default(), &[]);
    }

    fn write_data(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> bool {
        if self.recovery.is_exhausted() {
            self.on_violation(now, code::NO_ERROR, "all packet numbers are used");
            return false;
        }
        let left_over = self.scratch.get_mut().and_then(|scratch| scratch.next.take());
        let left_over = left_over.filter(|&(at, _)| at == now);
        let link = self.link;
        let is_hearing = self.is_hearing();
        let run = self.channels.run().filter(|run| !is_hearing && (!link.is_stream() || run.repeats));
        #[cfg(planted)]
        let run = run.filter(|_| self.config.planted != Some(crate::planted::Planted::WrittenIsAcked));
        let next = match left_over {
            _ if run.is_some() => None,
            Some((_, next)) => Some(next),
            None => self.candidate(now, false),
        };
        let mut next = Waiting { run, next };
        let permit = if self.probes_due > 0 {
            Permit::All
        } else if self.wants_to_elicit(now, next.is_some()) {
            self.permit(now)
        } else {
            Permit::Nothing
        };
        let must_answer = self.received.is_due() || self.owes_echo() || self.is_report_due();
        if permit == Permit::Nothing && !must_answer {
            return false;
        }
        if permit == Permit::Urgent {
            next = Waiting { run: None, next: self.candidate(now, true) };
        }
        let start = buf.len();
        let number = self.start_packet(buf);
        let record = buf.len();
        let mut carried = mem::take(&mut self.scratch.carried);
        let mut writer = RecordWriter::new(buf);
        let limit = start + self.packet_limit() - self.tag_len();
        let eliciting = self.write_frames(now, permit, next, limit, &mut writer, &mut carried);
        let is_empty = writer.frames() == 0;
        if is_empty {
            buf.truncate(start);
        } else {
            self.finish_data(now, number, (start, record), eliciting, &carried, buf);
        }
        if eliciting {
            self.probes_due = self.probes_due.saturating_sub(1);
            self.ping_due = false;
            self.restart_heartbeat(now);
            if permit == Permit::Urgent {
                self.overdraft.on_sent(now, self.recovery.rtt.smoothed());
            }
        }
        carried.clear();
        self.scratch.carried = carried;
        !is_empty
    }

    /// The next message to write; none while the peer has still to say what it has.
    pub(super) fn candidate(&mut self, now: Timestamp, urgent: bool) -> Option<Next> {
        if self.is_hearing() { None } else { self.channels.candidate(now, urgent) }
    }

    /// Ends the packet and the record that begin where the pair says, and takes note of it.
    #[inline]
    fn finish_data(
        &mut self,
        now: Timestamp,
        number: u64,
        (start, record): (usize, usize),
        eliciting: bool,
        carried: &[Carried],
        buf: &mut Vec<u8>,
    ) {
        if eliciting && self.reset_token.is_some() && buf.len() < start + MIN_TRIGGER - self.tag_len() {
            pad(buf, record, start + MIN_TRIGGER - self.tag_len());
        }
        self.finish_packet(now, buf, start, number);
        let len = buf.len() - start;
        self.marks = eliciting && self.recovery.wants_mark();
        let mark = Mark { ecn: self.marks, mtu_probe: false };
        self.recovery.on_sent(now, len, eliciting, mark, carried);
        if eliciting {
            self.mtu.on_sent(len);
        }
    }

    /// How large the next packet may be. When nothing is heard any more, it may be that large ones do not arrive.
    pub(super) fn packet_limit(&self) -> usize {
        let is_silent = self.recovery.probes() > 1;
        usize::from(if is_silent { self.mtu.base() } else { self.mtu.current() })
    }

    /// Whether anything waits that asks for an acknowledgement; `has_next`: a message does.
    fn wants_to_elicit(&mut self, now: Timestamp, has_next: bool) -> bool {
        let mut wants = has_next
            || self.ping_due
            || self.owes_goaway()
            || self.owes_cids()
            || self.confirm == Confirm::Due
            || self.is_state_due()
            || self.channels.has_news()
            || self.requests.next_cancel().is_some();
        if !wants && self.wants_early_ack() {
            self.ping_due = true;
            wants = true;
        }
        if !wants && self.recovery.window_has_room() {
            self.recovery.set_app_limited(true);
            wants = self.note_blocked(now);
        }
        wants
    }

    /// What window and pacing let go.
    fn permit(&mut self, now: Timestamp) -> Permit {
        if self.link.is_stream() {
            return Permit::All;
        }
        let mut resume = None;
        if self.recovery.window_has_room() {
            resume = self.recovery.paced_until(now, self.config.timer_granularity);
            if resume.is_none() {
                return Permit::All;
            }
        }
        self.recovery.set_app_limited(false);
        let mut permit = Permit::Nothing;
        if self.candidate(now, true).is_some() {
            match self.overdraft.blocked_until(now, self.recovery.rtt.smoothed()) {
                None => permit = Permit::Urgent,
                Some(at) => resume = Some(resume.map_or(at, |paced| paced.min(at))),
            }
        }
        if let Some(at) = resume {
            self.timers.set(Timer::Pacing, at);
        }
        permit
    }

    /// Writes what there is up to `limit`; returns whether it asks for an acknowledgement.
    fn write_frames(
        &mut self,
        now: Timestamp,
        permit: Permit,
        next: Waiting,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) -> bool {
        let mut eliciting = false;
        if self.confirm != Confirm::Done {
            writer.write(&self.confirm_frame(), false);
            carried.push(Carried::Confirm);
            self.confirm = if self.link.is_stream() { Confirm::Done } else { Confirm::InFlight };
            eliciting = true;
        }
        self.write_echo(writer);
        if self.link.is_stream() {
            if self.received.is_due() || self.received.has_news() && self.channels.owes_credit() {
                self.received.write_record_ack(now, writer);
            }
        } else if self.received.has_news() || self.received.is_due() {
            let wants_pruning = self.received.wants_pruning() && self.recovery.is_idle();
            carried.push(Carried::Ack(self.received.write_ack(now, writer)));
            if wants_pruning {
                writer.write(&Frame::Ping, false);
                eliciting = true;
            }
        }
        let asks = !self.config.wall_epoch.is_zero()
            && self.wall.is_due(now)
            && permit != Permit::Nothing
            && (eliciting || self.ping_due || self.probes_due > 0 || next.is_some());
        if (asks || self.wall.owes_answer() && writer.frames() > 0)
            && writer.buffered() + TimeSample::LONGEST <= limit
        {
            if asks {
                self.wall.wait(now + self.heartbeat);
            }
            writer.write(&Frame::Time(self.wall.sample(now, self.here(now), asks)), false);
        }
        self.write_report(limit, writer);
        if permit == Permit::Nothing {
            return eliciting;
        }
        let before = writer.frames();
        self.write_state(limit, writer, carried);
        if self.blocked.is_due()
            || self.channels.may_have_news()
            || self.requests.may_have_cancels()
            || self.owes_goaway()
            || self.owes_cids()
        {
            self.write_news(now, limit, writer, carried);
        }
        self.write_messages(now, permit == Permit::Urgent, next, limit, writer, carried);
        eliciting |= writer.frames() > before;
        if !eliciting && (self.ping_due || self.probes_due > 0) {
            writer.write(&Frame::Ping, false);
            self.note_ping(now);
            eliciting = true;
        }
        eliciting
    }

    /// What waits; with `urgent` only messages of priority 0.
    fn write_messages(
        &mut self,
        now: Timestamp,
        urgent: bool,
        waiting: Waiting,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        let Some(run) = waiting.run else {
            return self.write_others(now, urgent, waiting.next, limit, writer, carried);
        };
        let room = self.room();
        let mut lane = self.channels.lane(run);
        let Some(count) = lane.plan(&room, writer.buffered(), limit) else {
            let next = self.candidate(now, urgent);
            return self.write_others(now, urgent, next, limit, writer, carried);
        };
        lane.write(count, writer, |messages| carried.push(Carried::Messages(messages)));
        let taken = lane.taken();
        self.channels.charge(now, run, taken);
    }

    /// What a packet has room for.
    pub(super) fn room(&self) -> Room {
        Room { max_whole: self.packet_limit() - self.packet_overhead(), messages: MAX_MESSAGES }
    }

    /// Messages from `next` on.
    fn write_others(
        &mut self,
        now: Timestamp,
        urgent: bool,
        mut next: Option<Next>,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        let mut previous = None;
        let mut head = next.and_then(|next| self.fit(&next, previous, 0, limit, writer, carried));
        for written in 1..=MAX_MESSAGES {
            let (Some(current), Some(fit)) = (next, head) else { return };
            let Next { class, candidate, .. } = current;
            let channel_id = current.channel();
            if fit.must_announce {
                let Some(channel) = current.of(&mut self.channels) else { return };
                write_announcement(channel, writer, carried);
            }
            let Some(piece) = self.channels.take(now, &current, fit.len) else { return };
            // Only the last message of a record has no length, so it must be known whether another one follows.
            previous = Some((channel_id, class, candidate.number + 1));
            next = None;
            if !fit.is_last && written < MAX_MESSAGES {
                next = self.candidate(now, urgent);
            }
            head = next.and_then(|next| self.fit(&next, previous, fit.size, limit, writer, carried));
            if head.is_none() && !urgent {
                self.scratch.next = next.map(|next| (now, next));
            }
            let fragment = (fit.len != candidate.total)
                .then_some(Fragment { total: candidate.total.into(), offset: candidate.offset.into() });
            self.channels.write(now, &current, fit.len, |kind, says, payload| {
                let (class, channel) = (class as u8, channel_id.0);
                let msg =
                    Msg { class, channel, id: fit.id, fragment, kind, extras: Extras::default(), payload };
                write_msg(writer, msg, says, head.is_none());
            });
            if self.link.is_stream() && !self.is_followed(channel_id, class, &candidate) {
                self.on_written(channel_id, class, &candidate, fit.len);
            } else {
                carry(carried, &candidate, piece);
            }
        }
    }

    /// How `next` fits in behind `pending` bytes that are taken and not written, `previous` being the number that would be the next
    /// one there; `None` when it should wait for another packet.
    #[inline]
    fn fit(
        &mut self,
        next: &Next,
        previous: Option<Position>,
        pending: usize,
        limit: usize,
        writer: &RecordWriter<'_>,
        carried: &[Carried],
    ) -> Option<Fit> {
        let (channel_id, class, candidate) = (next.channel(), next.class, &next.candidate);
        let most = self.packet_limit() - self.packet_overhead();
        let channel = next.of(&mut self.channels)?;
        let must_announce =
            channel.announce != Announce::Known && !carried.contains(&Carried::OpenChannel(channel_id.0));
        let announcement = if must_announce { announcement_len(channel.name.len()) } else { 0 };
        let used = writer.buffered() + pending + announcement;
        let is_next = previous == Some((channel_id, class, candidate.number));
        let id =
            if is_next { WireId::Next } else { channel.outboxes[class as usize].wire_id(candidate.number) };
        let is_named = channel_id != previous.map_or(ChannelId::DEFAULT, |(channel, ..)| channel);
        let name_len = if is_named { varint::len(channel_id.0.into()) } else { 0 };
        let max_whole = most - announcement - usize::from(candidate.says_len);
        let room = limit.saturating_sub(used);
        let (len, is_last) = share(candidate, name_len, id, room, max_whole)?;
        let size = head_len(candidate, name_len, id, len != candidate.total)
            + varint::len(len.into())
            + len as usize;
        Some(Fit { id, len, size, is_last, must_announce })
    }

    /// Whether what becomes of a message matters once a reliable link has it.
    fn is_followed(&self, id: ChannelId, class: Class, candidate: &Candidate) -> bool {
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::WrittenIsAcked) {
            return false;
        }
        candidate.receipt || self.channels.get(id).is_some_and(|channel| channel.repeats(class))
    }

    /// A reliable link has an unreliable message: it is not followed further.
    fn on_written(&mut self, id: ChannelId, class: Class, candidate: &Candidate, len: u32) {
        let is_end = candidate.offset + len == candidate.total;
        let channel = self.channels.get_mut(id).filter(|_| is_end);
        if let Some(settled) = channel.and_then(|channel| channel.settle(class, candidate.id)) {
            let fate = if cfg!(planted) && class.is_reliable() { Fate::Acked } else { Fate::Written };
            self.on_settled(id, class, settled, fate);
        }
    }
}

/// What a packet carries of a message: usually all of it, behind another one.
fn carry(carried: &mut Vec<Carried>, candidate: &Candidate, piece: Piece) {
    let Piece { channel, class, id, .. } = piece;
    if !candidate.is_plain || piece.len < candidate.total || piece.tries > 0 {
        return carried.push(Carried::Piece(piece));
    }
    Carried::Messages(Messages { channel, class, count: 1, first: id }).append_to(carried);
}

/// Appends `msg`, which also says `says`; `last` says that nothing follows it.
#[inline]
fn write_msg(writer: &mut RecordWriter<'_>, msg: Msg<'_>, says: Says, last: bool) {
    let Says { ttl, receipt, batch } = says;
    let Some(batch) = batch else {
        return writer.write_msg(&Msg { extras: Extras { ttl, receipt, ..msg.extras }, ..msg }, last);
    };
    let mut block = Vec::new();
    batch.encode(&mut block);
    let options = Options::new(&block).unwrap_or_default();
    writer.write_msg(&Msg { extras: Extras { ttl, receipt, options }, ..msg }, last);
}

/// Messages that wait: a run, or one whose turn it is.
#[derive(Clone, Copy)]
struct Waiting {
    run: Option<Run>,
    next: Option<Next>,
}

impl Waiting {
    const fn is_some(&self) -> bool {
        self.run.is_some() || self.next.is_some()
    }
}

/// Puts padding before the record that starts at `record`, until `buf` is `len` bytes long.
pub(super) fn pad(buf: &mut Vec<u8>, record: usize, len: usize) {
    let Some(missing) = len.checked_sub(buf.len()).filter(|&missing| missing > 0) else { return };
    let end = buf.len();
    buf.resize(len, 0);
    buf.copy_within(record..end, record + missing);
    buf[record..record + missing].fill(0);
}
