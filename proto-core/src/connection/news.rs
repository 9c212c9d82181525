//! What goes out beside messages: credit, channels, rates, and what was cancelled.

use alloc::vec::Vec;
use core::mem;

use super::Connection;
use crate::channel::Announce;
use crate::recovery::Carried;
use crate::wire::{Credit, Frame, OpenChannel, RateLimit, RateScope, RecordWriter, varint};
use crate::{ChannelId, Timestamp};

impl Connection {
    /// Writes what is due beside messages.
    #[inline(never)]
    pub(super) fn write_news(
        &mut self,
        now: Timestamp,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        if let Some(credit) = self.take_blocked(now) {
            writer.write(&Frame::Blocked(credit), false);
        }
        self.write_cids(limit, writer, carried);
        self.write_credit(now, limit, writer, carried);
        self.write_announcements(limit, writer, carried);
        self.write_rates(limit, writer, carried);
        self.write_goaway(now, limit, writer, carried);
        while writer.has_room(1 + varint::MAX_LEN, limit)
            && let Some(request) = self.requests.next_cancel()
        {
            writer.write(&Frame::Cancel(request), false);
            carried.push(Carried::Cancel(request));
            self.requests.cancel_written();
        }
        self.write_control(limit, writer, carried);
    }

    fn write_credit(
        &mut self,
        now: Timestamp,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        const LONGEST: usize = 2 + 3 * varint::MAX_LEN;
        if mem::take(&mut self.channels.session_credit_due) {
            let (bytes, messages) = self.channels.session_receive.grant();
            writer.write(&Frame::Credit(Credit { channel: None, bytes, messages }), false);
            carried.push(Carried::Credit(None));
            self.channels.meter_credit(now, ChannelId::DEFAULT);
        }
        while writer.has_room(LONGEST, limit)
            && let Some(channel) = self.channels.take_credit_due()
        {
            let id = channel.id;
            let (bytes, messages) = channel.receive_credit.grant();
            writer.write(&Frame::Credit(Credit { channel: Some(id.0), bytes, messages }), false);
            carried.push(Carried::Credit(Some(id.0)));
            self.channels.meter_credit(now, id);
        }
    }

    fn write_announcements(
        &mut self,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        while let Some(channel) = self.channels.next_announcement() {
            if !writer.has_room(announcement_len(channel.name.len()), limit) {
                return;
            }
            write_announcement(channel, writer, carried);
        }
    }

    fn write_rates(&mut self, limit: usize, writer: &mut RecordWriter<'_>, carried: &mut Vec<Carried>) {
        while let Some((scope, rate)) = self.channels.next_rate() {
            let unknown = match scope {
                RateScope::Channel(id) if !carried.contains(&Carried::OpenChannel(id)) => {
                    let channel = self.channels.get_mut(ChannelId(id));
                    channel.filter(|channel| channel.announce != Announce::Known)
                }
                _ => None,
            };
            let announcement = unknown.as_ref().map_or(0, |channel| announcement_len(channel.name.len()));
            if !writer.has_room(announcement + RateLimit::LONGEST, limit) {
                return;
            }
            if let Some(channel) = unknown {
                write_announcement(channel, writer, carried);
            }
            writer.write(&Frame::Rate(RateLimit { scope, rate }), false);
            carried.push(Carried::Rate(scope));
            self.channels.rate_told();
        }
    }
}

pub(super) const fn announcement_len(name: usize) -> usize {
    1 + varint::len(u32::MAX as u64) + 3 + 2 * varint::MAX_LEN + 1 + name
}

pub(super) fn write_announcement(
    channel: &mut crate::channel::Channel,
    writer: &mut RecordWriter<'_>,
    carried: &mut Vec<Carried>,
) {
    channel.announce = Announce::InFlight;
    let (bytes, messages) = channel.receive_credit.grant();
    let frame = OpenChannel {
        channel: channel.id.0,
        classes: channel.classes,
        priority: channel.priority,
        reliable_sequenced: channel.inbox.reliable_sequenced,
        bytes,
        messages,
        name: &channel.name,
    };
    writer.write(&Frame::OpenChannel(frame), false);
    carried.push(Carried::OpenChannel(channel.id.0));
}
