//! What the simulator and the core call the same things: addresses, times, and the names of packets.

use std::fmt::Write as _;

use proto_core::wire::packet::{Checksum, TAG_LEN};
use proto_core::wire::{Frame, LongKind, Packet, Reader, Record, WireId};
use proto_core::{Address, Ecn, Meta, Now, Timestamp};
use simtest::{Addr, Time};

/// By the processor's instruction, as adapters do: the core's own table has tests of its own.
pub(crate) const CRC: Checksum = crc32c::crc32c_append;

/// A simulated address as the core sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum At {
    Datagrams(Addr),
    Stream(Addr),
}

impl At {
    pub(crate) const fn addr(self) -> Addr {
        let (Self::Datagrams(addr) | Self::Stream(addr)) = self;
        addr
    }
}

impl Address for At {
    fn token_bytes(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.addr().number().to_be_bytes());
    }

    fn prefix(&self) -> Option<u64> {
        Some(self.addr().number().into())
    }

    fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

pub(crate) fn meta(from: Addr, ecn: simtest::Ecn) -> Meta<At> {
    Meta { path: At::Datagrams(from), ecn: ecn_from(ecn) }
}

pub(crate) fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_nanos(time.as_nanos())
}

pub(crate) fn time(timestamp: Timestamp) -> Time {
    Time::from_nanos(timestamp.as_nanos())
}

pub(crate) fn both(now: simtest::Now) -> Now {
    Now { mono: timestamp(now.mono), unix_ms: now.unix_ms }
}

/// Names a packet by what it means: its messages and control frames, without numbers that every edit changes.
pub(crate) fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
    let packet = Packet::decode(bytes, CRC).ok()?;
    let (kind, payload) = match &packet {
        Packet::Long(long) => {
            let kind = match long.kind {
                LongKind::Init => "INIT",
                LongKind::Retry => "RETRY",
                LongKind::Accept => "ACCEPT",
                LongKind::Refuse => "REFUSE",
            };
            return Some(kind);
        }
        Packet::Short(short) => ("ACK", short.payload),
    };
    dissect_frames(kind, payload, text)
}

/// The same for what a stream carries: a length and a record.
pub(crate) fn dissect_framed(bytes: &[u8], text: &mut String) -> Option<&'static str> {
    let mut reader = Reader::new(bytes);
    reader.vi64().ok()?;
    dissect_frames("ACK", reader.rest(), text)
}

fn dissect_frames(mut kind: &'static str, payload: &[u8], text: &mut String) -> Option<&'static str> {
    let mut previous = 0;
    let mut record = Record::new(payload);
    loop {
        record.skip_padding();
        let Some(frame) = record.next() else { break };
        let name = match frame.ok()? {
            Frame::Padding | Frame::Ack(_) | Frame::Time(_) => continue,
            Frame::Msg(msg) => {
                let id = match msg.id {
                    WireId::Next => previous + 1,
                    WireId::Low8(low) => low.into(),
                    WireId::Low16(low) => low.into(),
                    WireId::Low32(low) => low,
                };
                previous = id;
                kind = "DATA";
                let offset = msg.fragment.map_or(0, |fragment| fragment.offset);
                write!(text, "{}/{}#{id}", msg.channel, msg.class).ok()?;
                if offset > 0 {
                    write!(text, "+{offset}").ok()?;
                }
                text.push(' ');
                continue;
            }
            Frame::Ping => "PING",
            Frame::Pong(_) => "PONG",
            Frame::Init(_) => "INIT",
            Frame::Accept(_) => "ACCEPT",
            Frame::Credit(_) => "CREDIT",
            Frame::Skip(_) => "SKIP",
            Frame::FragAbort(_) => "FRAG_ABORT",
            Frame::MsgAck(_) => "MSG_ACK",
            Frame::Report(_) => "REPORT",
            Frame::OpenChannel(_) => "OPEN",
            Frame::ResumeState(_) => "RESUME_STATE",
            Frame::Close(_) => "CLOSE",
            Frame::CloseAck => "CLOSE_ACK",
            Frame::Confirm(_) => "CONFIRM",
            Frame::Rate(_) => "RATE",
            Frame::Cancel(_) => "CANCEL",
            Frame::GoAway(_) => "GOAWAY",
            Frame::PathChallenge(_) => "PATH_CHALLENGE",
            Frame::PathResponse(_) => "PATH_RESPONSE",
            Frame::NewCid(_) => "NEW_CID",
            Frame::RetireCid(_) => "RETIRE_CID",
            _ => "OTHER",
        };
        if kind == "ACK" {
            kind = name;
        } else {
            text.push_str(name);
            text.push(' ');
        }
    }
    let trimmed = text.trim_end().len();
    text.truncate(trimmed);
    Some(kind)
}

/// A checksum is linear: what differs in the bytes says what differs in the tag, whatever secret it began with.
pub(crate) fn reseal(original: &[u8], corrupted: &mut [u8]) {
    let Some(body) = original.len().checked_sub(TAG_LEN) else { return };
    let differs: Vec<u8> = original[..body].iter().zip(&corrupted[..body]).map(|(a, b)| a ^ b).collect();
    let delta = CRC(0, &differs) ^ CRC(0, &vec![0; body]);
    let tag = original.last_chunk::<TAG_LEN>().map_or(0, |tag| u32::from_be_bytes(*tag));
    corrupted[body..].copy_from_slice(&(tag ^ delta).to_be_bytes());
}

pub(crate) fn ecn_from(ecn: simtest::Ecn) -> Option<Ecn> {
    match ecn {
        simtest::Ecn::NotEct => None,
        simtest::Ecn::Ect0 => Some(Ecn::Ect0),
        simtest::Ecn::Ect1 => Some(Ecn::Ect1),
        simtest::Ecn::Ce => Some(Ecn::Ce),
    }
}

pub(crate) fn ecn_to(ecn: Option<Ecn>) -> simtest::Ecn {
    match ecn {
        None => simtest::Ecn::NotEct,
        Some(Ecn::Ect0) => simtest::Ecn::Ect0,
        Some(Ecn::Ect1) => simtest::Ecn::Ect1,
        Some(Ecn::Ce) => simtest::Ecn::Ce,
    }
}
