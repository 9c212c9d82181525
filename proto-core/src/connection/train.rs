//! Many packets in one call: behind one that says everything else come those with nothing but messages, without asking each time.

use alloc::vec::Vec;
use core::mem;

use super::handshake::Confirm;
use super::keys::Keys;
use super::state::State;
use super::transmit::{MIN_TRIGGER, pad};
use super::{Connection, Timer};
use crate::recovery::{Carried, Mark};
use crate::wire::RecordWriter;
use crate::wire::packet;
use crate::{Ecn, Timestamp, Transmit};

impl Connection {
    /// Appends up to `max` packets to `buf`, and hands `each` what every one of them is: the same as so many calls of
    /// [`Self::poll_transmit`]. Returns how many there were; fewer say that there are no more.
    pub(crate) fn poll_packets(
        &mut self,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
        mut each: impl FnMut(Transmit),
    ) -> usize {
        let mut written = 0;
        while written < max {
            let Some(transmit) = self.poll_transmit(now, buf) else { break };
            each(transmit);
            written += 1;
            written += self.write_train(max - written, buf, &mut each);
        }
        written
    }

    /// Packets that carry messages of one run and nothing else. It ends where the next packet would be another one, or needs a
    /// closer look.
    fn write_train(&mut self, max: usize, buf: &mut Vec<u8>, each: &mut impl FnMut(Transmit)) -> usize {
        let now = self.clock;
        let run = if max > 0 && self.has_only_messages(now) { self.channels.run() } else { None };
        let Some(run) = run else { return 0 };
        let tag_len = self.tag_len();
        let (size, room, before) = (self.packet_limit() - tag_len, self.room(), buf.len());
        // Who may have forgotten the connection must be able to answer with something shorter.
        let least = if self.reset_token.is_some() { MIN_TRIGGER - tag_len } else { 0 };
        let (cid, guard, path) = (self.remote_cid, self.guard, self.active_path());
        let checksum = self.config.checksum;
        self.scratch.next = None;
        let mut carried = mem::take(&mut self.scratch.carried);
        let Self { channels, recovery, mtu, secrecy, config, .. } = self;
        let mut keys = secrecy.as_mut().and_then(|secrecy| secrecy.keys.as_mut());
        let mut lane = channels.lane(run);
        let mut written = 0;
        let are_used_up = |keys: &Option<&mut Keys>| keys.as_ref().is_some_and(|keys| keys.are_used_up());
        while written < max && recovery.is_open(now) && mtu.wants_probe(now).is_none() && !are_used_up(&keys)
        {
            let start = buf.len();
            let (number, number_len) = recovery.next_number();
            packet::start_short(buf, cid, number, number_len);
            let Some(count) = lane.plan(&room, buf.len(), start + size) else {
                buf.truncate(start);
                break;
            };
            let record = buf.len();
            lane.write(count, &mut RecordWriter::new(buf), |messages| {
                carried.push(Carried::Messages(messages));
            });
            if buf.len() < start + least {
                pad(buf, record, start + least);
            }
            match &mut keys {
                Some(keys) => {
                    keys.seal(now, config, (number, recovery.largest_acked()), (buf, start));
                }
                None => packet::finish_short(buf, start, guard, number, checksum),
            }
            let (len, ecn) = (buf.len() - start, recovery.wants_mark());
            recovery.on_sent(now, len, true, Mark { ecn, mtu_probe: false }, &carried);
            carried.clear();
            mtu.on_sent(len);
            written += 1;
            each(Transmit { path, ecn: ecn.then_some(Ecn::Ect0), len });
        }
        let taken = lane.taken();
        self.scratch.carried = carried;
        if written > 0 {
            self.channels.charge(now, run, taken);
            self.restart_heartbeat(now);
            self.stats.packets_sent += written as u64;
            self.stats.bytes_sent += (buf.len() - before) as u64;
        }
        written
    }

    /// Whether nothing waits to be said but messages, nor will before something else happens.
    fn has_only_messages(&self, now: Timestamp) -> bool {
        let is_said = self.confirm == Confirm::Done
            && self.probes_due == 0
            && !self.ping_due
            && !self.owes_echo()
            && !self.received.is_due()
            && !self.received.has_news()
            && !self.is_report_due()
            && !self.blocked.is_due()
            && !self.channels.may_have_news()
            && !self.requests.may_have_cancels()
            && !self.owes_goaway()
            && !self.is_state_due()
            && !self.is_hearing();
        let tells_time =
            self.wall.owes_answer() || !self.config.wall_epoch.is_zero() && self.wall.is_due(now);
        is_said
            && !tells_time
            && matches!(self.state, State::Established | State::Flushing)
            && !self.link.is_stream()
            && !self.is_roaming()
            && !self.recovery.is_nearly_exhausted()
            && self.timers.get(Timer::Expiry).is_none_or(|at| at > now)
    }
}
