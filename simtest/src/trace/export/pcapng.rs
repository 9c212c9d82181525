//! A capture for Wireshark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::parts;
use crate::trace::record::{What, Which, Wire};
use crate::trace::{Trace, TraceView};

/// The bytes of a datagram as they were sent, and as they may have been damaged.
type Contents<'a> = (&'a [u8], &'a [u8]);

/// Raw IP.
const LINKTYPE: u16 = 101;
/// The UDP port of all nodes.
const PORT: u16 = 4_747;

impl Trace {
    /// A pcapng file: an interface for each node, on which are the datagrams that it sent and those that reached it, between
    /// made-up addresses (`fd00::1` for the first node) and ports (4747). Comments say what became of a datagram. Streams look
    /// like TCP as it is seen where it is sent: a segment for each record, or as many as it takes, from and to ports from 49152 on the side
    /// that dialed. What has arrived is acknowledged by whatever goes back.
    pub fn pcapng(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut header = Vec::new();
        header.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        header.extend_from_slice(&[1, 0, 0, 0]);
        header.extend_from_slice(&u64::MAX.to_le_bytes());
        block(&mut out, 0x0a0d_0d0a, &header);
        for name in &self.names {
            let mut body = Vec::new();
            body.extend_from_slice(&LINKTYPE.to_le_bytes());
            body.extend_from_slice(&[0; 6]);
            option(&mut body, 2, name.as_bytes());
            // Nanoseconds.
            option(&mut body, 9, &[9]);
            option(&mut body, 0, &[]);
            block(&mut out, 1, &body);
        }
        let fates = TraceView::fates_of(self);
        let mut sent: BTreeMap<(u32, u32), Contents<'_>> = BTreeMap::new();
        let mut tcp = Tcp::new(self);
        for record in &self.records {
            let bytes = self.bytes_of(record);
            match record.what {
                What::Stream { flow, what, .. } => {
                    if let Some((on, segment)) = tcp.control(flow, what, record.node) {
                        let comment = format!("{} {}", self.way(flow), what.word());
                        Self::put(&mut out, on, record.at.as_nanos(), &segment, &comment);
                    }
                }
                What::Send { flow, n } if self.streams[flow as usize] > 0 => {
                    let fate = fates.get(&(flow, n)).map_or("under way", String::as_str);
                    let comment =
                        format!("{} {} [{fate}]", self.id(flow, n, Which::Original), self.text_of(record));
                    for segment in tcp.record(flow, n, bytes) {
                        Self::put(&mut out, record.node, record.at.as_nanos(), &segment, &comment);
                    }
                }
                What::Arrive { flow, n, .. } if self.streams[flow as usize] > 0 => tcp.arrives(flow, n),
                What::Send { flow, n } => {
                    sent.insert((flow, n), (bytes, bytes));
                    let fate = fates.get(&(flow, n)).map_or("under way", String::as_str);
                    let comment =
                        format!("{} {} [{fate}]", self.id(flow, n, Which::Original), self.text_of(record));
                    self.packet(&mut out, record.node, record.at.as_nanos(), flow, bytes, &comment);
                }
                What::Damaged { flow, n, .. } | What::Spliced { flow, n, .. } => {
                    if let Some((_, now)) = sent.get_mut(&(flow, n)) {
                        *now = bytes;
                    }
                }
                What::Arrive { flow, n, which } => {
                    let (original, damaged) = sent.get(&(flow, n)).copied().unwrap_or_default();
                    let bytes = if which == Which::Original { damaged } else { original };
                    let comment = format!("{} arrives", self.id(flow, n, which));
                    self.packet(&mut out, record.node, record.at.as_nanos(), flow, bytes, &comment);
                }
                _ => {}
            }
        }
        out
    }

    fn packet(&self, out: &mut Vec<u8>, on: u32, at: u64, flow: u32, payload: &[u8], comment: &str) {
        let (src, dst) = self.flows[flow as usize];
        Self::put(out, on, at, &udp(src, dst, payload), comment);
    }

    fn put(out: &mut Vec<u8>, on: u32, at: u64, packet: &[u8], comment: &str) {
        let mut body = Vec::new();
        body.extend_from_slice(&on.to_le_bytes());
        body.extend_from_slice(&((at >> 32) as u32).to_le_bytes());
        body.extend_from_slice(&(at as u32).to_le_bytes());
        body.extend_from_slice(&(packet.len() as u32).to_le_bytes());
        body.extend_from_slice(&(packet.len() as u32).to_le_bytes());
        body.extend_from_slice(packet);
        pad(&mut body);
        option(&mut body, 1, comment.as_bytes());
        option(&mut body, 0, &[]);
        block(out, 6, &body);
    }

    /// A dissector in Lua for Wireshark that gives the datagrams of [`pcapng`](Self::pcapng) their labels:
    /// `wireshark -X lua_script:FILE.lua FILE.pcapng`.
    pub fn lua(&self) -> String {
        let mut out = String::from("local labels = {\n");
        let mut known = BTreeMap::new();
        for record in self.records.iter().filter(|record| parts(record).word == "tx") {
            known.insert(self.bytes_of(record), self.text_of(record));
        }
        for (bytes, text) in known {
            let mut hex = String::new();
            for byte in bytes {
                let _ = write!(hex, "{byte:02x}");
            }
            let _ = writeln!(out, "  [\"{hex}\"] = {},", lua_string(text));
        }
        let _ = write!(
            out,
            "}}
local proto = Proto(\"simtest\", \"simtest datagram\")
local label = ProtoField.string(\"simtest.label\", \"Label\")
proto.fields = {{ label }}
function proto.dissector(buffer, pinfo, tree)
  local text = labels[tostring(buffer():bytes()):lower()] or \"damaged\"
  pinfo.cols.protocol = \"SIMTEST\"
  pinfo.cols.info = text
  tree:add(proto, buffer()):add(label, buffer(), text)
end
DissectorTable.get(\"udp.port\"):add({PORT}, proto)
DissectorTable.get(\"tcp.port\"):add({PORT}, proto)
"
        );
        out
    }
}

/// Text as a string of Lua, with its quotes.
fn lua_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii_control() => _ = write!(out, "\\{:03}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&(value.len() as u16).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let len = (body.len() as u32 + 12).to_le_bytes();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&len);
    out.extend_from_slice(body);
    out.extend_from_slice(&len);
}

/// Streams, as segments of TCP.
struct Tcp<'a> {
    trace: &'a Trace,
    /// By flow.
    ways: Vec<Way>,
    /// By flow and number, how many bytes had been written when a record was.
    records: BTreeMap<(u32, u32), u32>,
}

/// A direction of a stream.
#[derive(Clone, Copy, Default)]
struct Way {
    /// Bytes written so far.
    written: u32,
    /// Of these, how many are known to have arrived, as whole records.
    arrived: u32,
    finished: bool,
    /// The other end has read to the end.
    ended: bool,
    reset: bool,
}

/// The most bytes of a segment: with TCP's header they fill a packet.
const SEGMENT: usize = u16::MAX as usize - 20;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PUSH: u8 = 8;
const ACK: u8 = 16;

impl<'a> Tcp<'a> {
    fn new(trace: &'a Trace) -> Self {
        Self { trace, ways: vec![Way::default(); trace.flows.len()], records: BTreeMap::new() }
    }

    /// The two directions of a stream follow each other.
    fn back(&self, flow: u32) -> u32 {
        if self.is_first(flow) { flow + 1 } else { flow - 1 }
    }

    /// Whether it is the direction from the side that dialed.
    fn is_first(&self, flow: u32) -> bool {
        let streams = self.trace.streams[..flow as usize].iter().rev();
        streams.take_while(|stream| **stream > 0).count() % 2 == 0
    }

    fn segment(&self, flow: u32, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let first = self.is_first(flow);
        let dialed = 49_152 + (flow.min(self.back(flow)) % 16_384) as u16;
        let ports = if first { (dialed, PORT) } else { (PORT, dialed) };
        let (src, dst) = self.trace.flows[flow as usize];
        let back = self.ways.get(self.back(flow) as usize).copied().unwrap_or_default();
        let ack = back.arrived.wrapping_add(1 + u32::from(back.ended));
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend_from_slice(&ports.0.to_be_bytes());
        tcp.extend_from_slice(&ports.1.to_be_bytes());
        tcp.extend_from_slice(&seq.to_be_bytes());
        tcp.extend_from_slice(&(if flags & ACK == 0 { 0 } else { ack }).to_be_bytes());
        tcp.extend_from_slice(&[5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend_from_slice(payload);
        ip(src, dst, 6, &tcp, 16)
    }

    /// A segment without bytes, and the node on which it is seen.
    fn control(&mut self, flow: u32, what: Wire, on: u32) -> Option<(u32, Vec<u8>)> {
        let own = if self.trace.flows[flow as usize].0 == on { flow } else { self.back(flow) };
        let other = self.back(own);
        let next = self.next(own)?;
        let segment = match what {
            Wire::Dial => self.segment(own, 0, SYN, &[]),
            Wire::Accepted => self.segment(own, 0, SYN | ACK, &[]),
            Wire::Opened => self.segment(own, 1, ACK, &[]),
            Wire::Finish => {
                self.ways[own as usize].finished = true;
                self.segment(own, next, FIN | ACK, &[])
            }
            Wire::Reset => {
                self.ways[own as usize].reset = true;
                self.segment(own, next, RST | ACK, &[])
            }
            Wire::Refused => self.segment(other, 0, RST | ACK, &[]),
            // It has been seen where it was sent.
            Wire::Broken if self.ways.get(other as usize)?.reset => return None,
            Wire::Broken => self.segment(other, self.next(other)?, RST | ACK, &[]),
            Wire::Finished => {
                self.ways.get_mut(other as usize)?.ended = true;
                return None;
            }
            Wire::Read | Wire::Held => return None,
        };
        Some((on, segment))
    }

    /// The number of the next byte.
    fn next(&self, flow: u32) -> Option<u32> {
        let way = self.ways.get(flow as usize)?;
        Some(way.written.wrapping_add(1 + u32::from(way.finished)))
    }

    /// As many as it takes.
    fn segments(&self, flow: u32, seq: u32, bytes: &[u8]) -> Vec<Vec<u8>> {
        let begins = (0..).step_by(SEGMENT).map(|at| seq.wrapping_add(at));
        let parts = bytes.chunks(SEGMENT).zip(begins);
        parts.map(|(part, seq)| self.segment(flow, seq, PUSH | ACK, part)).collect()
    }

    fn record(&mut self, flow: u32, n: u32, bytes: &[u8]) -> Vec<Vec<u8>> {
        let way = &mut self.ways[flow as usize];
        let seq = way.written.wrapping_add(1);
        way.written = way.written.wrapping_add(bytes.len() as u32);
        self.records.insert((flow, n), way.written);
        self.segments(flow, seq, bytes)
    }

    fn arrives(&mut self, flow: u32, n: u32) {
        if let Some(written) = self.records.get(&(flow, n)) {
            self.ways[flow as usize].arrived = *written;
        }
    }
}

/// An IPv6 packet with a UDP datagram.
fn udp(src: u32, dst: u32, payload: &[u8]) -> Vec<u8> {
    let mut udp = Vec::with_capacity(8 + payload.len());
    udp.extend_from_slice(&PORT.to_be_bytes());
    udp.extend_from_slice(&PORT.to_be_bytes());
    udp.extend_from_slice(&(payload.len() as u16).saturating_add(8).to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(payload);
    ip(src, dst, 17, &udp, 6)
}

/// An IPv6 packet; the checksum of what it carries lies at `sum_at`.
fn ip(src: u32, dst: u32, protocol: u8, payload: &[u8], sum_at: usize) -> Vec<u8> {
    let addr = |node: u32| {
        let mut addr = [0; 16];
        addr[0] = 0xfd;
        addr[12..].copy_from_slice(&node.wrapping_add(1).to_be_bytes());
        addr
    };
    let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut out = vec![0x60, 0, 0, 0];
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[protocol, 64]);
    out.extend_from_slice(&addr(src));
    out.extend_from_slice(&addr(dst));
    out.extend_from_slice(payload);
    // The pseudo header: addresses, length, protocol.
    let sum = sum16(&out[8..]) + u64::from(len) + u64::from(protocol);
    out[40 + sum_at..42 + sum_at].copy_from_slice(&fold(sum).to_be_bytes());
    out
}

fn sum16(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Cmd, replay, three};
    use crate::time::ms;

    #[test]
    fn a_long_record_takes_several_segments() {
        let (mut sim, [a, b, _]) = three();
        sim.workload(|w| {
            w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["x"]));
        });
        let trace = replay(&sim, "").trace;
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        let mut tcp = Tcp::new(&trace);
        let first = tcp.record(0, 1, &bytes);
        let next = tcp.record(0, 2, &[9]);
        let mut seq = 1;
        let mut whole = Vec::new();
        for packet in first.iter().chain(&next) {
            let (head, segment) = packet.split_at(40);
            assert_eq!(usize::from(u16::from_be_bytes([head[4], head[5]])), segment.len());
            assert_eq!(segment[4..8], u32::to_be_bytes(seq));
            // A checksum that is right makes the sum of everything zero.
            assert_eq!(fold(sum16(&packet[8..]) + segment.len() as u64 + 6), 0xffff);
            seq += segment.len() as u32 - 20;
            whole.extend_from_slice(&segment[20..]);
        }
        assert_eq!((first.len(), next.len(), whole.len()), (4, 1, 200_001));
        assert_eq!(whole[..200_000], bytes[..]);
        let sequence = |packet: &[u8]| u32::from_be_bytes(packet[44..48].try_into().unwrap());
        tcp.arrives(0, 1);
        let ways = (tcp.ways[0].written, tcp.ways[0].arrived);
        assert_eq!((ways, sequence(&next[0])), ((200_001, 200_000), 200_001));
    }
}
