//! What is done to packets on their way from a peer that lies.

/// What is to be done to the next packet.
#[derive(Default)]
pub(crate) struct Tamper {
    /// Which byte is changed by what.
    pub(crate) changes: Vec<(u16, u8)>,
    /// What it says instead of what it says.
    pub(crate) record: Option<Vec<u8>>,
}

impl Tamper {
    /// Does it.
    pub(crate) fn apply(&mut self, packet: &mut Vec<u8>) {
        // Short packets begin with a zero; the length of the number is in two bits, and the tag is zeros.
        if packet[0] < 0x80
            && let Some(record) = self.record.take()
        {
            packet.truncate(1 + 8 + usize::from(packet[0] >> 3 & 3) + 1);
            packet.extend(record);
            packet.extend([0; 4]);
        }
        for (at, change) in self.changes.drain(..) {
            let at = usize::from(at) % packet.len();
            packet[at] ^= change;
        }
    }
}
