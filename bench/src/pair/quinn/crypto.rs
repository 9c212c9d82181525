//! A session for QUIC without TLS: the handshake carries the transport parameters and nothing else. Packets are left as they
//! are, or sealed with AES-128-GCM under a fixed key, as TLS would have them sealed. For measuring only: nothing is secret.

use std::any::Any;
use std::sync::Arc;

use bytes::BytesMut;
use quinn_proto::crypto::{
    AeadKey, ClientConfig, CryptoError, ExportKeyingMaterialError, HandshakeTokenKey, HeaderKey, HmacKey,
    KeyPair, Keys, PacketKey, ServerConfig, Session, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side, TransportError};
use ring::aead::quic::{AES_128, HeaderProtectionKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const KEY: [u8; 16] = [7; 16];
/// In the place of a checksum, as Bowline's is when it is not computed: as long, and the same for every packet. Without it, a
/// handshake packet ends in the reset token that it announces, and is taken for a reset.
const TAG: [u8; 4] = [0x5A; 4];

/// What protects the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Nothing, not even a checksum.
    None,
    /// AES-128-GCM, the header too.
    Aes,
}

impl Protection {
    fn keys(self) -> Keys {
        Keys {
            header: KeyPair { local: self.header_key(), remote: self.header_key() },
            packet: self.packet_keys(),
        }
    }

    fn header_key(self) -> Box<dyn HeaderKey> {
        match self {
            Self::None => Box::new(Plain),
            Self::Aes => Box::new(Sealed::new()),
        }
    }

    fn packet_key(self) -> Box<dyn PacketKey> {
        match self {
            Self::None => Box::new(Plain),
            Self::Aes => Box::new(Sealed::new()),
        }
    }

    fn packet_keys(self) -> KeyPair<Box<dyn PacketKey>> {
        KeyPair { local: self.packet_key(), remote: self.packet_key() }
    }
}

struct Plain;

impl HeaderKey for Plain {
    fn decrypt(&self, _: usize, _: &mut [u8]) {}

    fn encrypt(&self, _: usize, _: &mut [u8]) {}

    fn sample_size(&self) -> usize {
        0
    }
}

impl PacketKey for Plain {
    fn encrypt(&self, _: u64, packet: &mut [u8], _: usize) {
        if let Some(tag) = packet.last_chunk_mut() {
            *tag = TAG;
        }
    }

    fn decrypt(&self, _: u64, _: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        if payload.last_chunk() != Some(&TAG) {
            return Err(CryptoError);
        }
        payload.truncate(payload.len() - TAG.len());
        Ok(())
    }

    fn tag_len(&self) -> usize {
        TAG.len()
    }

    fn confidentiality_limit(&self) -> u64 {
        u64::MAX
    }

    fn integrity_limit(&self) -> u64 {
        u64::MAX
    }
}

struct Sealed {
    header: HeaderProtectionKey,
    packet: LessSafeKey,
}

impl Sealed {
    fn new() -> Self {
        Self {
            header: HeaderProtectionKey::new(&AES_128, &KEY).expect("16 bytes"),
            packet: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &KEY).expect("16 bytes")),
        }
    }

    /// RFC 9001, section 5.4.1.
    fn mask(&self, pn_offset: usize, packet: &mut [u8], is_masked: bool) {
        let (header, sample) = packet.split_at_mut(pn_offset + 4);
        let mask = self.header.new_mask(&sample[..16]).expect("a sample of 16 bytes");
        let (first, number) = (header[0], &mut header[pn_offset..]);
        let bits = mask[0] & if first & 0x80 == 0x80 { 0x0F } else { 0x1F };
        let plain = if is_masked { first ^ bits } else { first };
        let len = usize::from(plain & 3) + 1;
        for (byte, mask) in number.iter_mut().zip(&mask[1..]).take(len) {
            *byte ^= mask;
        }
        header[0] = first ^ bits;
    }

    fn nonce(number: u64) -> Nonce {
        let mut nonce = [7; 12];
        for (byte, low) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= low;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

impl HeaderKey for Sealed {
    fn decrypt(&self, pn_offset: usize, packet: &mut [u8]) {
        self.mask(pn_offset, packet, true);
    }

    fn encrypt(&self, pn_offset: usize, packet: &mut [u8]) {
        self.mask(pn_offset, packet, false);
    }

    fn sample_size(&self) -> usize {
        16
    }
}

impl PacketKey for Sealed {
    fn encrypt(&self, number: u64, packet: &mut [u8], header_len: usize) {
        let (header, rest) = packet.split_at_mut(header_len);
        let (payload, tag) = rest.split_at_mut(rest.len() - 16);
        let sealed =
            self.packet.seal_in_place_separate_tag(Self::nonce(number), Aad::from(&*header), payload);
        tag.copy_from_slice(sealed.expect("a packet is not too long").as_ref());
    }

    fn decrypt(&self, number: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        let opened = self.packet.open_in_place(Self::nonce(number), Aad::from(header), payload);
        let len = opened.map_err(|_| CryptoError)?.len();
        payload.truncate(len);
        Ok(())
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn confidentiality_limit(&self) -> u64 {
        u64::MAX
    }

    fn integrity_limit(&self) -> u64 {
        u64::MAX
    }
}

struct Handshake {
    side: Side,
    protection: Protection,
    params: TransportParameters,
    peer: Option<TransportParameters>,
    has_written: bool,
    /// Handshake keys, then those of the data.
    keys_due: u8,
}

impl Session for Handshake {
    fn initial_keys(&self, _: &ConnectionId, _: Side) -> Keys {
        self.protection.keys()
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.peer.map(|_| Box::new(()) as Box<dyn Any>)
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        self.peer.is_none() || !self.has_written
    }

    fn read_handshake(&mut self, mut bytes: &[u8]) -> Result<bool, TransportError> {
        if self.peer.is_some() {
            return Ok(false);
        }
        self.peer = Some(TransportParameters::read(self.side, &mut bytes)?);
        Ok(true)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        Ok(self.peer)
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        // The client's parameters go first; a server's follow under the handshake keys.
        if !self.has_written && (self.side.is_client() || self.keys_due == 1) {
            self.params.write(buf);
            self.has_written = true;
        }
        self.keys_due = self.keys_due.checked_sub(1)?;
        Some(self.protection.keys())
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        Some(self.protection.packet_keys())
    }

    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        true
    }

    fn export_keying_material(
        &self,
        _: &mut [u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}

fn session(protection: Protection, side: Side, params: &TransportParameters) -> Box<dyn Session> {
    Box::new(Handshake { side, protection, params: *params, peer: None, has_written: false, keys_due: 2 })
}

impl ClientConfig for Protection {
    fn start_session(
        self: Arc<Self>,
        _: u32,
        _: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        Ok(session(*self, Side::Client, params))
    }
}

impl ServerConfig for Protection {
    fn initial_keys(&self, _: u32, _: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        Ok(self.keys())
    }

    fn retry_tag(&self, _: u32, _: &ConnectionId, _: &[u8]) -> [u8; 16] {
        [0; 16]
    }

    fn start_session(self: Arc<Self>, _: u32, params: &TransportParameters) -> Box<dyn Session> {
        session(*self, Side::Server, params)
    }
}

/// Keys of the things around the connection, of which none is used here.
pub(crate) struct NoKey;

impl HmacKey for NoKey {
    fn sign(&self, _: &[u8], out: &mut [u8]) {
        for (byte, i) in out.iter_mut().zip(0xA0..) {
            *byte = i;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, _: &[u8], _: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }
}

impl HandshakeTokenKey for NoKey {
    fn aead_from_hkdf(&self, _: &[u8]) -> Box<dyn AeadKey> {
        Box::new(Self)
    }
}

impl AeadKey for NoKey {
    fn seal(&self, _: &mut Vec<u8>, _: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }

    fn open<'a>(&self, data: &'a mut [u8], _: &[u8]) -> Result<&'a mut [u8], CryptoError> {
        Ok(data)
    }
}
