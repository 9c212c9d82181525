//! The specification's vectors, properties over generated frames, and sweeps over damaged bytes.

mod builders;
mod model;
mod properties;
mod rules;
mod sweeps;
mod vectors;

use alloc::vec::Vec;

use super::checksum::crc32c;
use super::packet::{self, Cid, Packet};
use super::{DecodeError, Frame, Record, RecordWriter, Short};

/// The connection ids of the specification's vectors.
const CLIENT: Cid = Cid([0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7]);
const SERVER: Cid = Cid([0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57]);

fn guard() -> u32 {
    packet::guard(CLIENT, SERVER, crc32c)
}

/// The bytes that the frames of a record are written as again.
fn rewrite(record: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let frames: Vec<Frame<'_>> = Record::new(record).collect::<Result<_, _>>()?;
    let mut buf = Vec::new();
    let mut writer = RecordWriter::new(&mut buf);
    for (index, frame) in frames.iter().enumerate() {
        writer.write(frame, index + 1 == frames.len());
    }
    Ok(buf)
}

/// `number` with those of its bytes that a short packet sends replaced by what this one sends.
fn whole_number(short: &Short<'_>, number: u64) -> u64 {
    let sent = (1 << (8 * u32::from(short.number_len))) - 1;
    number & !sent | u64::from(short.number)
}

/// The bytes that a packet is written as again; `number` has the bytes of its number that a short one does not send.
fn rewrite_packet(datagram: &[u8], number: u64) -> Result<Vec<u8>, DecodeError> {
    let mut buf = Vec::new();
    match Packet::decode(datagram, crc32c)? {
        Packet::Long(long) => long.encode(&mut buf, crc32c),
        Packet::Short(short) => {
            let number = whole_number(&short, number);
            if !short.verify(guard(), number, crc32c) {
                return Err(DecodeError::Invalid("the checksum is wrong"));
            }
            packet::start_short(&mut buf, short.dcid, number, short.number_len);
            buf.extend_from_slice(short.payload);
            packet::finish_short(&mut buf, 0, guard(), number, crc32c);
        }
    }
    Ok(buf)
}
