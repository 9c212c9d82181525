//! Probes for larger packets (DPLPMTUD, RFC 8899): PING and PADDING, and nothing that would be missed.

use alloc::vec::Vec;

use super::Connection;
use crate::Timestamp;
use crate::recovery::{Carried, Mark};
use crate::wire::packet;
use crate::wire::{Frame, RecordWriter};

impl Connection {
    /// Writes a probe, if one is wanted, and window and pacing let it go.
    pub(super) fn write_probe(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> bool {
        let Some(size) = self.mtu.wants_probe(now) else { return false };
        if self.probes_due > 0
            || self.recovery.is_exhausted()
            || !self.recovery.has_room_for(size.into())
            || self.recovery.paced_until(now, self.config.timer_granularity).is_some()
        {
            return false;
        }
        let start = buf.len();
        let (number, number_len) = self.recovery.next_number();
        packet::start_short(buf, self.remote_cid, number, number_len);
        RecordWriter::new(buf).write(&Frame::Ping, false);
        buf.resize(start + usize::from(size) - self.tag_len(), 0);
        self.finish_datagram(now, buf, start, number);
        let mark = Mark { ecn: false, mtu_probe: true };
        self.recovery.on_sent(now, size.into(), true, mark, &[Carried::MtuProbe(size)]);
        self.mtu.on_probe_sent(size);
        self.stats.mtu_probes += 1;
        self.restart_heartbeat(now);
        true
    }
}
