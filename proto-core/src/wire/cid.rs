//! NEW_CID (spec: wire.md, section 4.17).

use alloc::vec::Vec;

use super::{Cid, DecodeError, Reader, varint};

/// Another id that its sender may be called by.
///
/// ```text
/// 0F | number vi64 | id 8 | reset token 16
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewCid {
    /// Its number, from 1: 0 is that of the handshake.
    pub number: u64,
    /// The id.
    pub cid: Cid,
    /// What a server that has forgotten the id answers with; zeros from a client.
    pub token: [u8; 16],
}

impl NewCid {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = reader.vi64()?;
        if number == 0 {
            return Err(DecodeError::Invalid("NEW_CID: number 0"));
        }
        Ok(Self { number, cid: Cid(reader.array()?), token: reader.array()? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.number, buf);
        buf.extend_from_slice(&self.cid.0);
        buf.extend_from_slice(&self.token);
    }
}
