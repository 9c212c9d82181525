//! The source of everything random: a stateless function from (seed, key) to 64 bits.
//!
//! Frozen: stored seeds and schedules depend on it. The vectors in the tests below are part of the format;
//! integer arithmetic only, so that every platform agrees.

/// A bijection of 64 bits in which every input bit reaches every output bit.
pub const fn mix(mut x: u64) -> u64 {
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

/// 64 random bits for `key` under `seed`: three rounds of [`mix`] over seed and key.
pub const fn prf(seed: u64, kind: u8, locus: u64, occ: u32) -> u64 {
    let x = mix(seed ^ 0x5851_f42d_4c95_7f2d);
    let x = mix(x.wrapping_add(locus) ^ 0x1405_7b7e_f767_814f);
    mix(x ^ (((kind as u64) << 32) | occ as u64))
}

/// A hash of bytes for keys and traces. Not against an adversary.
pub fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = mix(seed ^ bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word));
    }
    let rest = rest.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    mix(fold(state ^ rest))
}

/// One multiplication, high and low half folded together.
const fn fold(x: u64) -> u64 {
    let wide = (x ^ 0x9e37_79b9_7f4a_7c15) as u128 * 0xa076_1d64_78bd_642f_u128;
    (wide as u64) ^ ((wide >> 64) as u64).rotate_left(32)
}

/// A number in `0..span` from 64 random bits (0 if `span` is 0).
pub(crate) const fn scale(word: u64, span: u64) -> u64 {
    ((word as u128 * span as u128) >> 64) as u64
}

/// 32 bytes of seed for one purpose of one run.
pub(crate) fn seed_bytes(seed: u64, locus: u64, occ: u32) -> [u8; 32] {
    let mut out = [0; 32];
    for (kind, chunk) in (0xf0_u8..).zip(out.chunks_exact_mut(8)) {
        chunk.copy_from_slice(&prf(seed, kind, locus, occ).to_le_bytes());
    }
    out
}

/// A rolling 128-bit hash over words; each step is a bijection of the state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rolling(u64, u64);

impl Rolling {
    pub(crate) const fn new() -> Self {
        Self(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }

    pub(crate) const fn absorb(&mut self, word: u64) {
        let a = (self.0 ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.0 = a ^ (a >> 29);
        let b = self.1.rotate_left(32).wrapping_add(word).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        self.1 = b ^ (b >> 32);
    }

    pub(crate) const fn value(self) -> u128 {
        ((mix(self.0 ^ self.1.rotate_left(17)) as u128) << 64) | mix(self.1) as u128
    }
}

/// Hashes what is formatted into it, without a buffer: `Debug` output enters the trace hash this way.
pub(crate) struct HashWriter {
    state: u64,
    word: u64,
    filled: u32,
}

impl HashWriter {
    pub(crate) const fn new() -> Self {
        Self { state: 0, word: 0, filled: 0 }
    }

    pub(crate) const fn finish(self) -> u64 {
        mix(fold(self.state ^ self.word).wrapping_add(self.filled as u64))
    }
}

impl std::fmt::Write for HashWriter {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word);
            // It begins in the word that is there, and ends in the next.
            self.state = fold(self.state ^ (self.word | word << (8 * self.filled)));
            self.word = word.checked_shr(64 - 8 * self.filled).unwrap_or(0);
        }
        for byte in rest {
            self.word |= u64::from(*byte) << (8 * self.filled);
            self.filled += 1;
            if self.filled == 8 {
                self.state = fold(self.state ^ self.word);
                (self.word, self.filled) = (0, 0);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
