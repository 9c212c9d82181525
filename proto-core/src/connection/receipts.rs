//! What a receiver tells about messages: receipts, and what it dropped. And what it is told: SKIP, FRAG_ABORT.

use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::news::{announcement_len, write_announcement};
use super::receive::{Violation, violation};
use super::{Connection, Timer};
use crate::channel::{Announce, Arrival, Channel, Gone, Plain, Refused};
use crate::recovery::Carried;
use crate::wire::{
    FragAbort, Frame, Kind, MAX_REPORTS, MAX_SKIPS, MsgAck, RecordWriter, Report, Reported, Skip, Skipped,
    Status, varint,
};
use crate::{ChannelId, Class, Drop, Fate, ReceiptId, Received, Refusal, RequestId, Timestamp, code};

/// Time between two REPORTs.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// What was dropped since the last REPORT.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports {
    lines: Vec<Reported>,
    due: bool,
}

impl Connection {
    /// Says that a received message was processed. That about the last message of a batch counts for all of the batch that was
    /// received and not answered. `false` when no answer is owed: it was given before, or the connection is over.
    pub fn ack(&mut self, now: Timestamp, receipt: ReceiptId) -> bool {
        self.answer_receipt(now, receipt, Status::Processed)
    }

    /// Says that a received message was not processed, for a reason of the application's own. See [`Self::ack`].
    pub fn reject(&mut self, now: Timestamp, receipt: ReceiptId, reason: u64) -> bool {
        self.answer_receipt(now, receipt, Status::Rejected(reason))
    }

    fn answer_receipt(&mut self, now: Timestamp, receipt: ReceiptId, status: Status) -> bool {
        self.advance(now);
        let is_open = self.state.is_alive();
        let channel = self.channels.get_mut(receipt.channel).filter(|_| is_open);
        let Some(channel) = channel else { return false };
        let Some(extra) = &mut channel.extra else { return false };
        let was_owed = extra.receipts.answer(receipt.class, receipt.number, status);
        self.channels.owe_control(receipt.channel);
        was_owed
    }

    /// The next message for the application, if it says nothing beside its payload.
    #[inline]
    pub(super) fn take_plain(&mut self, now: Timestamp, id: ChannelId) -> Option<Plain> {
        self.advance(now);
        if self.is_gated() || self.is_planted_leak() {
            return None;
        }
        let place = self.channels.place_to_take(id)?;
        let plain = self.channels.pop_plain(place)?;
        if plain.class.is_reliable() {
            self.channels.release_at(place, 1, plain.payload.len() as u64);
        }
        self.stats.messages_delivered += 1;
        Some(plain)
    }

    /// The next message for the application, whatever it is.
    #[inline(never)]
    pub(super) fn receive_other(&mut self, now: Timestamp, id: ChannelId) -> Option<Received> {
        let now = self.advance(now);
        if self.is_gated() {
            return None;
        }
        let mut gone = mem::take(&mut self.scratch.gone);
        let config = &self.config;
        let delivery =
            self.channels.receive(config, id, |inbox, _| inbox.pop_live(now, &mut gone, config)).flatten();
        for gone in gone.drain(..) {
            self.on_gone(id, &gone);
        }
        self.scratch.gone = gone;
        let delivery = delivery?;
        self.release_credit(id, delivery.class, delivery.payload.len());
        self.stats.messages_delivered += 1;
        let request = match delivery.kind {
            Kind::Request(request) => Some(RequestId(request)),
            _ => None,
        };
        let cancelled = request.is_some_and(|request| !self.requests.take_owed(request));
        let (class, number) = (delivery.class, delivery.id);
        let said = delivery.said.map(|said| *said).unwrap_or_default();
        let receipt = said.receipt.then_some(ReceiptId { channel: id, class, number });
        if receipt.is_some() {
            self.channels.answer(&self.config, id, |receipts| receipts.owe(class, number, said.batch));
        }
        let (payload, gap) = (delivery.payload, delivery.gap);
        Some(Received { payload, class, number, gap, request, cancelled, receipt, batch: said.batch })
    }

    /// A message was dropped unseen, or will never come: counts it, tells the peer, and gives its room back.
    pub(super) fn on_gone(&mut self, id: ChannelId, gone: &Gone) {
        if let Some(reason) = gone.reason {
            self.count_drop(id, reason.counter());
            self.note_drop(id, reason, gone.id);
            if gone.receipt {
                self.refuse_one(id, gone.class, gone.id, reason);
            }
        }
        if let Some(request) = gone.request
            && self.requests.settle_owed(RequestId(request)).is_some()
        {
            let kind = Kind::ReplyError { request, code: code::REQUEST_REJECTED, index: None };
            self.fail(self.clock, id, kind);
        }
        #[cfg(planted)]
        if gone.reason.is_none() && self.config.planted == Some(crate::planted::Planted::SkipLeak) {
            return;
        }
        self.release_credit(id, gone.class, gone.total as usize);
    }

    /// Something came again, or too late.
    pub(super) fn on_repetition(&mut self, id: ChannelId, arrival: &Arrival<'_>, reason: Refusal) {
        self.count_drop(id, reason.counter());
        self.note_drop(id, reason, arrival.id);
        if arrival.extras.receipt && reason != Refusal::Duplicate {
            self.refuse_one(id, arrival.class, arrival.id, reason);
        }
    }

    fn refuse_one(&mut self, id: ChannelId, class: Class, number: u64, reason: Refusal) {
        self.channels.answer(&self.config, id, |receipts| receipts.refuse(class, number, reason.code()));
        self.channels.owe_control(id);
    }

    /// An unreliable message asks for a receipt that would be one too many.
    pub(super) fn refuse_for_receipt(&mut self, id: ChannelId, class: Class, number: u64) {
        self.count_drop(id, Drop::ReceiptsFull);
        self.note_drop(id, Refusal::QueueFull, number);
        if self.channels.has_room_for_refusal(&self.config) {
            self.refuse_one(id, class, number, Refusal::QueueFull);
        }
    }

    pub(super) fn on_reassembly_timer(&mut self, now: Timestamp) {
        while let Some(id) = self.channels.next_assembling(now) {
            let expired = self.take_in(now, id, |inbox, _, intake| {
                inbox.expire_partials(intake);
                Ok(())
            });
            if let Err(Violation(code, text)) = expired {
                return self.on_violation(now, code, text);
            }
        }
    }

    /// The channel that a frame about messages of `class` is for.
    fn channel_of(&mut self, channel: u32, class: u8) -> Result<(&mut Channel, Class), Violation> {
        let Some(&class) = Class::ALL.get(usize::from(class)) else {
            return violation("a class that does not exist");
        };
        match self.channels.get_mut(ChannelId(channel)) {
            Some(channel) if channel.allows(class) => Ok((channel, class)),
            Some(_) => violation("something about a class that its channel does not have"),
            None => violation("something about a channel that was never opened"),
        }
    }

    pub(super) fn on_skip(&mut self, now: Timestamp, skip: &Skip<'_>) -> Result<(), Violation> {
        let (channel, class) = self.channel_of(skip.channel, skip.class)?;
        let id = channel.id;
        for skipped in skip.messages() {
            let was_partial = self.take_in(now, id, |inbox, credit, intake| {
                inbox.skip(class, skipped, credit, intake).map_err(|refused| match refused {
                    Refused::Violation(code, text) => Violation(code, text),
                    Refused::Dropped(_) => Violation(code::PROTOCOL_VIOLATION, "a SKIP that makes no sense"),
                })
            })?;
            if was_partial {
                self.count_drop(id, Drop::Abandoned);
            }
            if self.channels.get(id).is_some_and(|channel| channel.extra.is_some()) {
                self.channels.answer(&self.config, id, |receipts| receipts.forget(class, skipped.number));
            }
        }
        Ok(())
    }

    pub(super) fn on_frag_abort(&mut self, abort: &FragAbort) -> Result<(), Violation> {
        let (channel, class) = self.channel_of(abort.channel, abort.class)?;
        let id = channel.id;
        if self.channels.receive(&self.config, id, |inbox, _| inbox.abort(class, abort.number)) == Some(true)
        {
            self.count_drop(id, Drop::Abandoned);
        }
        Ok(())
    }

    pub(super) fn on_msg_ack(&mut self, receipts: &MsgAck<'_>) -> Result<(), Violation> {
        let fate = match receipts.status {
            Status::Processed => Fate::Processed,
            #[cfg(planted)]
            Status::Rejected(_) if self.config.planted == Some(crate::planted::Planted::Panics) => {
                panic!("planted")
            }
            Status::Rejected(reason) => Fate::Rejected(reason),
            Status::Refused(reason) => {
                Fate::Refused(Refusal::from_code(u8::try_from(reason).unwrap_or(u8::MAX)))
            }
        };
        let (channel, class) = self.channel_of(receipts.channel, receipts.class)?;
        let id = channel.id;
        for range in receipts.ranges() {
            let mut ends = mem::take(&mut self.scratch.ends);
            let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
            let was_sent = channel.outboxes[class as usize]
                .on_receipts(range, |settled| ends.push((class, settled, fate)));
            for (class, settled, _) in &mut ends {
                *settled = channel.account(*class, *settled);
            }
            self.settle_ends(id, ends);
            if !was_sent {
                return violation("a receipt for a message that was never sent");
            }
        }
        let now = self.clock;
        self.check_flushed(now);
        Ok(())
    }

    pub(super) fn on_report(&mut self, report: &Report<'_>) {
        for line in report.lines() {
            self.count_peer_drops(ChannelId(line.channel), Refusal::from_code(line.reason), line.count);
        }
    }

    /// Remembers a drop for the next REPORT. Statistics only: what finds no line is not reported.
    fn note_drop(&mut self, id: ChannelId, reason: Refusal, number: u64) {
        if !self.state.is_open() {
            return;
        }
        let reports = self.reports.get_or_insert_default();
        let is_full = reports.lines.len() >= MAX_REPORTS;
        let (channel, reason) = (id.0, reason.code());
        match reports.lines.iter_mut().find(|line| (line.channel, line.reason) == (channel, reason)) {
            Some(line) => {
                line.count += 1;
                line.last = number;
            }
            None if is_full => {}
            None => reports.lines.push(Reported { channel, reason, count: 1, first: number, last: number }),
        }
        if self.timers.get(Timer::Report).is_none() && !reports.due {
            self.timers.set(Timer::Report, self.clock + REPORT_EVERY);
        }
    }

    pub(super) fn on_report_timer(&mut self) {
        if let Some(reports) = &mut self.reports {
            reports.due = true;
        }
    }

    pub(super) fn is_report_due(&self) -> bool {
        self.reports.as_ref().is_some_and(|reports| reports.due)
    }

    pub(super) fn write_report(&mut self, limit: usize, writer: &mut RecordWriter<'_>) {
        const LINE: usize = 6 + 4 * varint::MAX_LEN;
        let Some(reports) = self.reports.as_mut().filter(|reports| reports.due) else { return };
        let room = limit.saturating_sub(writer.buffered() + 2) / LINE;
        let count = room.min(reports.lines.len());
        if count > 0 {
            writer.write_report(&reports.lines[..count]);
            self.reports = None;
        }
    }

    /// Writes SKIP, FRAG_ABORT and MSG_ACK where they are due.
    pub(super) fn write_control(
        &mut self,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        while let Some(channel) = self.channels.next_control() {
            let announced = carried.contains(&Carried::OpenChannel(channel.id.0));
            if channel.announce != Announce::Known && !announced {
                if !writer.has_room(announcement_len(channel.name.len()), limit) {
                    return;
                }
                write_announcement(channel, writer, carried);
            }
            let is_done = write_skips(channel, limit, writer, carried)
                && write_aborts(channel, limit, writer)
                && write_receipts(channel, limit, writer, carried);
            if !is_done {
                return;
            }
        }
    }
}

/// How many things of `size` bytes fit behind a head of `head` bytes.
fn room(limit: usize, writer: &RecordWriter<'_>, head: usize, size: usize) -> usize {
    if !writer.has_room(head, limit) {
        return 0;
    }
    limit.saturating_sub(writer.buffered() + head) / size
}

/// Writes SKIPs; `false` when there was no room for all of them.
fn write_skips(
    channel: &mut Channel,
    limit: usize,
    writer: &mut RecordWriter<'_>,
    carried: &mut Vec<Carried>,
) -> bool {
    let id = channel.id;
    for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
        while channel.outboxes[class as usize].has_skips() {
            let room = room(limit, writer, 8, 2 * varint::MAX_LEN).min(MAX_SKIPS);
            if room == 0 {
                return false;
            }
            let mut skips: Vec<Skipped> = Vec::new();
            channel.outboxes[class as usize].take_skips(room, |message, skipped| {
                skips.push(skipped);
                carried.push(Carried::Skip { channel: id, class, id: message });
            });
            if !skips.is_empty() {
                writer.write_skip(id.0, class as u8, &skips);
            }
        }
    }
    true
}

fn write_aborts(channel: &mut Channel, limit: usize, writer: &mut RecordWriter<'_>) -> bool {
    let Some(extra) = &mut channel.extra else { return true };
    while let Some(&(class, number)) = extra.aborts.last() {
        if room(limit, writer, 0, 8 + varint::MAX_LEN) == 0 {
            return false;
        }
        extra.aborts.pop();
        let abort = FragAbort { channel: channel.id.0, class: class as u8, number };
        writer.write(&Frame::FragAbort(abort), false);
    }
    true
}

fn write_receipts(
    channel: &mut Channel,
    limit: usize,
    writer: &mut RecordWriter<'_>,
    carried: &mut Vec<Carried>,
) -> bool {
    let id = channel.id;
    let Some(extra) = &mut channel.extra else { return true };
    while extra.receipts.is_due() {
        let room = room(limit, writer, 8 + 4 * varint::MAX_LEN, 2 * varint::MAX_LEN);
        if room == 0 {
            return false;
        }
        let Some((class, status, ranges)) = extra.receipts.take(room) else { return true };
        writer.write_msg_ack(id.0, class as u8, status, &ranges);
        carried.extend(ranges.iter().map(|range| Carried::MsgAck {
            channel: id,
            class,
            first: *range.start(),
            len: (range.end() - range.start() + 1) as u32,
        }));
    }
    true
}

crate::sleep::awake!(Reports);
