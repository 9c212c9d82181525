//! vi64: an integer whose length is the number of leading ones of its first byte (spec: wire.md, section 1).
//!
//! ```text
//! 0xxxxxxx            7 bits      1110xxxx +3      28 bits
//! 10xxxxxx +1        14 bits      ...
//! 110xxxxx +2        21 bits      11111111 +8      64 bits
//! ```

use alloc::vec::Vec;

use super::DecodeError;

/// The longest encoding in bytes.
pub const MAX_LEN: usize = 9;

/// How many bytes `value` takes: 1 to 9.
pub const fn len(value: u64) -> usize {
    let bits = 64 - value.leading_zeros() as usize;
    match bits {
        0 => 1,
        57.. => 9,
        _ => bits.div_ceil(7),
    }
}

/// Appends `value` in its shortest form.
#[inline]
pub fn encode(value: u64, buf: &mut Vec<u8>) {
    if value < 0x80 {
        buf.push(value as u8);
    } else if value < 0x4000 {
        buf.extend_from_slice(&(value as u16 | 0x8000).to_be_bytes());
    } else {
        encode_longer(value, buf);
    }
}

fn encode_longer(value: u64, buf: &mut Vec<u8>) {
    let len = len(value);
    if len == MAX_LEN {
        buf.push(0xFF);
        buf.extend_from_slice(&value.to_be_bytes());
        return;
    }
    let prefix = !(0xFF_u8 >> (len - 1));
    let bytes = value.to_be_bytes();
    let first = buf.len();
    buf.extend_from_slice(&bytes[8 - len..]);
    buf[first] |= prefix;
}

/// Writes `value` in its shortest form into `out`, which must be [`len`] bytes long.
pub(crate) fn write(value: u64, out: &mut [u8]) {
    let bytes = value.to_be_bytes();
    let len = out.len();
    match len {
        0 => {}
        1..MAX_LEN => {
            out.copy_from_slice(&bytes[8 - len..]);
            out[0] |= !(0xFF_u8 >> (len - 1));
        }
        _ => {
            out[0] = 0xFF;
            out[len - 8..].copy_from_slice(&bytes);
        }
    }
}

/// The value at the start of `bytes` and how many bytes it took.
#[inline]
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), DecodeError> {
    let &first = bytes.first().ok_or(DecodeError::Truncated)?;
    if first < 0x80 {
        return Ok((first.into(), 1));
    }
    decode_longer(first, bytes)
}

fn decode_longer(first: u8, bytes: &[u8]) -> Result<(u64, usize), DecodeError> {
    let length = first.leading_ones() as usize + 1;
    let encoded = bytes.get(..length).ok_or(DecodeError::Truncated)?;
    let mask = 0xFF_u8.checked_shr(length as u32).unwrap_or(0);
    let value =
        encoded[1..].iter().fold(u64::from(first & mask), |value, &byte| value << 8 | u64::from(byte));
    if len(value) == length { Ok((value, length)) } else { Err(DecodeError::NotMinimal) }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{DecodeError, decode, encode, len};

    #[test]
    fn every_length_boundary_round_trips() {
        for bits in 0..64 {
            for value in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                let mut buf = Vec::new();
                encode(value, &mut buf);
                assert_eq!(buf.len(), len(value));
                let mut written = alloc::vec![0; len(value)];
                super::write(value, &mut written);
                assert_eq!(written, buf);
                assert_eq!(decode(&buf), Ok((value, buf.len())), "{value:#x}");
                for cut in 0..buf.len() {
                    assert_eq!(decode(&buf[..cut]), Err(DecodeError::Truncated));
                }
            }
        }
        assert_eq!(len(u64::MAX), 9);
    }

    /// All encodings of up to 3 bytes, and of the longer ones all first bytes with edges behind them.
    #[test]
    fn every_short_encoding_means_one_value_or_nothing() {
        let check = |bytes: &[u8]| {
            let length = bytes[0].leading_ones() as usize + 1;
            match decode(bytes) {
                Ok((value, taken)) => {
                    assert_eq!((taken, len(value)), (length, length), "{bytes:x?}");
                    let mut again = Vec::new();
                    encode(value, &mut again);
                    assert_eq!(again, bytes[..taken]);
                }
                Err(DecodeError::Truncated) => assert!(bytes.len() < length, "{bytes:x?}"),
                Err(error) => {
                    assert_eq!(error, DecodeError::NotMinimal, "{bytes:x?}");
                    // What it stands for fits into a byte less: of the bits behind the length the 7 highest are 0.
                    let head = u64::from(bytes[0] & 0xFF_u8.checked_shr(length as u32).unwrap_or(0));
                    let value =
                        bytes[1..length].iter().fold(head, |value, &byte| value << 8 | u64::from(byte));
                    let fits = 7 * (length as u32 - 1);
                    assert!(value.checked_shr(fits).unwrap_or(0) == 0, "{bytes:x?}");
                }
            }
        };
        for bits in 0..1_u32 << 24 {
            let [_, bytes @ ..] = bits.to_be_bytes();
            // Behind a short one nothing matters.
            if bytes[0] >= 0xC0 || bytes[2] == 0 && (bytes[0] >= 0x80 || bytes[1] == 0) {
                check(&bytes);
            }
        }
        for first in 0xE0..=0xFF {
            for (edge, rest) in
                [0, 1, 0x7F, 0x80, 0xFF].into_iter().flat_map(|edge| [(edge, 0), (edge, 0xFF)])
            {
                for at in 1..9 {
                    let mut bytes = [rest; 9];
                    bytes[0] = first;
                    bytes[1..at].fill(0);
                    bytes[at] = edge;
                    (1..=9).for_each(|cut| check(&bytes[..cut]));
                }
            }
        }
    }

    #[test]
    fn longer_forms_are_refused() {
        assert_eq!(decode(&[0x80, 0x7F]), Err(DecodeError::NotMinimal));
        assert_eq!(decode(&[0xFF, 0, 0, 0, 0, 0, 0, 0, 1]), Err(DecodeError::NotMinimal));
        assert_eq!(decode(&[0xFE, 0, 0, 0, 0, 0, 0, 1]), Err(DecodeError::NotMinimal));
    }

    quickcheck::quickcheck! {
        fn whatever_decodes_encodes_to_the_same_bytes(bytes: Vec<u8>) -> bool {
            decode(&bytes).is_ok_and(|(value, length)| {
                let mut again = Vec::new();
                encode(value, &mut again);
                again == bytes[..length]
            }) || decode(&bytes).is_err()
        }
    }
}
