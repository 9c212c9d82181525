//! A capture for Wireshark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::parts;
use crate::trace::record::What;
use crate::trace::{Trace, TraceView};

/// The bytes of a datagram as they were sent, and as they may have been damaged.
type Contents<'a> = (&'a [u8], &'a [u8]);

/// Raw IP.
const LINKTYPE: u16 = 101;
/// The UDP port of all nodes.
const PORT: u16 = 4_747;

impl Trace {
    /// A pcapng file: an interface for each node, on which are the datagrams that it sent and those that reached it, between
    /// made-up addresses (`fd00::1` for the first node) and ports (4747). Comments say what became of a datagram.
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
        for record in &self.records {
            let bytes = self.bytes_of(record);
            match record.what {
                What::Send { flow, n } => {
                    sent.insert((flow, n), (bytes, bytes));
                    let fate = fates.get(&(flow, n)).map_or("under way", String::as_str);
                    let comment = format!("{} {} [{fate}]", self.id(flow, n, false), self.text_of(record));
                    self.packet(&mut out, record.node, record.at.as_nanos(), flow, bytes, &comment);
                }
                What::Damaged { flow, n, .. } => {
                    if let Some((_, now)) = sent.get_mut(&(flow, n)) {
                        *now = bytes;
                    }
                }
                What::Arrive { flow, n, copy } => {
                    let (original, damaged) = sent.get(&(flow, n)).copied().unwrap_or_default();
                    let bytes = if copy { original } else { damaged };
                    let comment = format!("{} arrives", self.id(flow, n, copy));
                    self.packet(&mut out, record.node, record.at.as_nanos(), flow, bytes, &comment);
                }
                _ => {}
            }
        }
        out
    }

    fn packet(&self, out: &mut Vec<u8>, on: u32, at: u64, flow: u32, payload: &[u8], comment: &str) {
        let (src, dst) = self.flows[flow as usize];
        let packet = ip(src, dst, payload);
        let mut body = Vec::new();
        body.extend_from_slice(&on.to_le_bytes());
        body.extend_from_slice(&((at >> 32) as u32).to_le_bytes());
        body.extend_from_slice(&(at as u32).to_le_bytes());
        body.extend_from_slice(&(packet.len() as u32).to_le_bytes());
        body.extend_from_slice(&(packet.len() as u32).to_le_bytes());
        body.extend_from_slice(&packet);
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
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
            let _ = writeln!(out, "  [\"{hex}\"] = \"{text}\",");
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
"
        );
        out
    }
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

/// An IPv6 packet with a UDP datagram.
fn ip(src: u32, dst: u32, payload: &[u8]) -> Vec<u8> {
    let addr = |node: u32| {
        let mut addr = [0; 16];
        addr[0] = 0xfd;
        addr[12..].copy_from_slice(&(node + 1).to_be_bytes());
        addr
    };
    let len = (payload.len() as u16).saturating_add(8);
    let mut out = vec![0x60, 0, 0, 0];
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[17, 64]);
    out.extend_from_slice(&addr(src));
    out.extend_from_slice(&addr(dst));
    let udp = out.len();
    out.extend_from_slice(&PORT.to_be_bytes());
    out.extend_from_slice(&PORT.to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(payload);
    // The pseudo header of UDP over IPv6: addresses, length, protocol.
    let sum = sum16(&out[8..40]) + sum16(&out[udp..]) + u64::from(len) + 17;
    out[udp + 6..udp + 8].copy_from_slice(&fold(sum).to_be_bytes());
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
