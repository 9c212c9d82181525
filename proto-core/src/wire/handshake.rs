//! INIT, RETRY, VERSION, ACCEPT and CONFIRM (spec: wire.md, section 3).

use alloc::vec::Vec;

use super::params::{self, MAX_PARAMS};
use super::{Attach, Claim, DecodeError, Reader, varint};

/// Longest token in bytes.
pub const MAX_TOKEN: usize = 96;
/// Longest message of a handshake that encrypts, in bytes.
pub const MAX_MESSAGE: usize = 2048;
/// Most versions that INIT or VERSION lists.
pub const MAX_VERSIONS: usize = 16;

/// A list of versions, most wanted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    list: &'a [u8],
}

impl<'a> Version<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.vi64_upto(MAX_VERSIONS as u64, "over 16 versions")?;
        if count == 0 {
            return Err(DecodeError::Invalid("an empty list of versions"));
        }
        Ok(Self { list: reader.take(4 * count as usize)? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode((self.list.len() / 4) as u64, buf);
        buf.extend_from_slice(self.list);
    }

    /// The versions: 1 to 16 of them, given as their big-endian bytes; `None` for any other number.
    pub fn from_bytes(list: &'a [u8]) -> Option<Self> {
        (list.len().is_multiple_of(4) && (1..=MAX_VERSIONS).contains(&(list.len() / 4)))
            .then_some(Self { list })
    }

    /// The versions, most wanted first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + 'a {
        self.list.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// A client asks for a connection.
///
/// ```text
/// 20 | versions: vi64 count, 4 each | client_random 32 | token: vi64 length, bytes | attach 1 | params: vi64 length, TLVs
///    | session_id 16 | incarnation vi64 | proof 32, only with attach 1 and 2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init<'a> {
    /// What the client speaks.
    pub versions: Version<'a>,
    /// Chosen once per handshake; a repeated INIT repeats it.
    pub client_random: [u8; 32],
    /// From RETRY; empty at first.
    pub token: &'a [u8],
    /// Whether it is to be an old session or a new one.
    pub attach: Attach,
    /// The client's parameters.
    pub params: &'a [u8],
}

impl<'a> Init<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let versions = Version::decode(reader)?;
        let client_random = reader.array()?;
        let token = reader.bytes(MAX_TOKEN, "INIT: token over 96 bytes")?;
        let mode = reader.u8()?;
        if mode > 2 {
            return Err(DecodeError::Invalid("INIT: an attach mode that this version does not know"));
        }
        let params = decode_params(reader)?;
        let attach = match mode {
            0 => Attach::New,
            1 => Attach::Resume(Claim::decode(reader)?),
            _ => Attach::ResumeOrNew(Claim::decode(reader)?),
        };
        Ok(Self { versions, client_random, token, attach, params })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        self.versions.encode(buf);
        buf.extend_from_slice(&self.client_random);
        varint::encode(self.token.len() as u64, buf);
        buf.extend_from_slice(self.token);
        buf.push(self.attach.mode());
        encode_params(self.params, buf);
        if let Some(claim) = self.attach.claim() {
            claim.encode(buf);
        }
    }
}

/// A server takes a client.
///
/// ```text
/// 23 | version 4 | server_random 32 | session_id 16 | incarnation vi64 | secret 32 | reset_token 16 | transcript 16 | params: vi64 length, TLVs
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept<'a> {
    /// The version that both speak from here on.
    pub version: u32,
    /// Chosen once per handshake.
    pub server_random: [u8; 32],
    /// The public name of the session.
    pub session_id: [u8; 16],
    /// 1 for the first attachment of a session.
    pub incarnation: u64,
    /// Proves ownership of the session when it is resumed; never the session's name.
    pub secret: [u8; 32],
    /// What a server that has forgotten the connection answers with.
    pub reset_token: [u8; 16],
    /// Hash of the INIT that this answers, so that neither list of versions can have been changed on the way.
    pub transcript: [u8; 16],
    /// The server's parameters.
    pub params: &'a [u8],
}

impl<'a> Accept<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: reader.u32()?,
            server_random: reader.array()?,
            session_id: reader.array()?,
            incarnation: reader.vi64_upto(u32::MAX.into(), "ACCEPT: incarnation over 2^32 - 1")?,
            secret: reader.array()?,
            reset_token: reader.array()?,
            transcript: reader.array()?,
            params: decode_params(reader)?,
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.version.to_be_bytes());
        buf.extend_from_slice(&self.server_random);
        buf.extend_from_slice(&self.session_id);
        varint::encode(self.incarnation, buf);
        buf.extend_from_slice(&self.secret);
        buf.extend_from_slice(&self.reset_token);
        buf.extend_from_slice(&self.transcript);
        encode_params(self.params, buf);
    }
}

fn decode_params<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let block = reader.bytes(MAX_PARAMS, "parameters over 2048 bytes")?;
    params::check(block)?;
    Ok(block)
}

fn encode_params(block: &[u8], buf: &mut Vec<u8>) {
    varint::encode(block.len() as u64, buf);
    buf.extend_from_slice(block);
}
