//! The core's only source of randomness.

use core::time::Duration;

use crate::Secret;

/// BLAKE3 in keyed counter mode: block `n` is `keyed_hash(key, n as 8 bytes little-endian)`.
///
/// Chosen over a stream cipher because it needs 40 bytes of state where ChaCha keeps a 256-byte block, and a
/// connection draws only a handful of numbers in its life. Same seed, same numbers, on every platform.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    key: Secret,
    counter: u64,
}

impl Rng {
    /// A generator for one `purpose`, independent of every other purpose of the same seed.
    pub(crate) fn new(seed: &[u8; 32], purpose: &str) -> Self {
        Self { key: Secret::from(*blake3::keyed_hash(seed, purpose.as_bytes()).as_bytes()), counter: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        let block = blake3::keyed_hash(self.key.expose(), &self.counter.to_le_bytes());
        self.counter += 1;
        *block.as_bytes()
    }

    /// The first `N` bytes of the next block; `N` is at most 32.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 32) };
        let block = self.block();
        core::array::from_fn(|i| block[i])
    }

    pub(crate) fn secret(&mut self) -> Secret {
        Secret::from(self.block())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// Between half of `time` and one and a half times as much, in milliseconds: who is told to come back after it comes at another
    /// time than those who are told the same.
    pub(crate) fn around(&mut self, time: Duration) -> Duration {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
        Duration::from_millis((millis / 2).saturating_add(self.below(millis.saturating_add(1))))
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0. The bias of the multiplication is below 2^-32 for any bound used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.u64()) * u128::from(bound);
        (wide >> 64) as u64
    }
}

crate::sleep::saved!(Rng { key, counter });

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_numbers_are_frozen() {
        let mut rng = Rng::new(&[7; 32], "test vector");
        insta::assert_snapshot!(alloc::format!("{:016x} {:016x} {}", rng.u64(), rng.u64(), rng.below(1000)));
    }

    #[test]
    fn purposes_are_independent_and_bounds_hold() {
        let (mut a, mut b) = (Rng::new(&[1; 32], "a"), Rng::new(&[1; 32], "b"));
        assert_ne!(a.u64(), b.u64());
        assert_eq!(a.below(0), 0);
        assert!((0..1000).all(|_| a.below(7) < 7));
    }
}
