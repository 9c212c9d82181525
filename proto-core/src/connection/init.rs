//! INIT: what a client asks with, on each of its ways.

use alloc::vec::Vec;

use super::handshake::first_half;
use super::{Connection, prove};
use crate::Timestamp;
use crate::crypto::PublicKey;
use crate::wire::packet::{MIN_INIT, TAG_LEN, VERSION};
use crate::wire::{Attach, Cid, Claim, Frame, Init, Long, LongKind, RecordWriter, Version};

/// An INIT with the longest token and the longest credentials, and what encrypting them adds.
const LONGEST_INIT: usize = 1280;
const SECRECY: usize = 128;

impl Connection {
    /// Writes the INIT of a way, which is a bare record on a stream.
    pub(super) fn write_init(&mut self, now: Timestamp, way: u8, buf: &mut Vec<u8>) {
        let is_stream = self.ways.is_stream(way);
        let Some(state) = self.handshake.ways.get_mut(usize::from(way)) else { return };
        state.on_init_sent(now);
        let (token, shown) = (core::mem::take(&mut state.token), state.key);
        let mut record = core::mem::take(&mut state.init);
        let start = buf.len();
        if record.is_empty() {
            self.build_init(&token, shown, is_stream, &mut record);
        }
        self.frame_init(&mut record, is_stream, buf);
        if !is_stream {
            self.handshake.sent += 1;
            self.arm_repeat(now);
            let longest = LONGEST_INIT + if self.secrecy.is_some() { SECRECY } else { 0 };
            debug_assert!(buf.len() - start <= usize::from(self.link.max_packet).max(longest));
        }
        let state = &mut self.handshake.ways[usize::from(way)];
        state.token = token;
        if self.secrecy.is_some() && !is_stream {
            state.init = record;
        }
    }

    /// Writes an INIT; `shown` is the key that the server has shown.
    fn build_init(&mut self, token: &[u8], shown: Option<PublicKey>, is_stream: bool, record: &mut Vec<u8>) {
        let claim = self.next_claim();
        // Whether those with credentials get a new session is not the transport's decision: they ask for the old one only.
        let credentials = self.credentials.as_deref().filter(|_| claim.is_none()).unwrap_or_default();
        let mut params = Vec::new();
        self.params().encode_with(credentials, &mut params);
        let versions = VERSION.to_be_bytes();
        let mut init = Init {
            versions: Version::from_bytes(&versions).expect("one version is between 1 and 16"),
            client_random: self.handshake.client_random,
            token,
            attach: Attach::New,
            params: &params,
        };
        if let Some(claim) = claim {
            let takes_new = self.attempts.is_replaceable && self.credentials.is_none();
            let attach = if takes_new { Attach::ResumeOrNew } else { Attach::Resume };
            init.attach = attach(claim);
        }
        let encrypted = if is_stream { None } else { self.encrypt_params(shown, &init) };
        if let Some(encrypted) = &encrypted {
            init.params = encrypted;
        }
        if let Some(claim) = init.attach.claim().copied() {
            let proof = *prove(self.secret.expose(), &init).as_bytes();
            init.attach = init.attach.with(Claim { proof, ..claim });
        }
        RecordWriter::new(record).write(&Frame::Init(init), false);
        let transcript = first_half(blake3::hash(record).as_bytes());
        if !self.handshake.transcripts.contains(&transcript) {
            self.handshake.transcripts.push(transcript);
        }
    }

    /// Puts an INIT into a packet, which fills a datagram.
    fn frame_init(&self, record: &mut Vec<u8>, is_stream: bool, buf: &mut Vec<u8>) {
        if is_stream {
            return buf.extend_from_slice(record);
        }
        let header = 1 + 4 + 2 * (1 + Cid::LEN);
        record.resize(record.len().max(MIN_INIT - header - TAG_LEN), 0);
        let long = Long {
            kind: LongKind::Init,
            version: VERSION,
            dcid: &self.handshake.original.0,
            scid: &self.local_cid.0,
            payload: record,
        };
        long.encode(buf, self.config.checksum);
    }
}
