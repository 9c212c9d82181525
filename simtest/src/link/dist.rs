//! Distributions of delays, sampled with integers only.

use std::ops::Range;
use std::time::Duration;

use crate::prf::{mix, scale};
use crate::time::nanos;

/// A distribution of spans of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dist(Shape);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Fixed(u64),
    Uniform { min: u64, span: u64 },
    Exp { min: u64, mean: u64 },
    Normal { mean: u64, deviation: u64 },
    Bimodal { usual: u64, rare: u64, ppm: u32 },
}

impl Dist {
    /// Always `span`.
    pub fn fixed(span: Duration) -> Self {
        Self(Shape::Fixed(nanos(span)))
    }

    /// Anything in the range, equally likely.
    pub fn uniform(range: Range<Duration>) -> Self {
        let min = nanos(range.start);
        Self(Shape::Uniform { min, span: nanos(range.end).saturating_sub(min) })
    }

    /// `min` plus an exponential tail with this mean, cut at 7.6 times the mean.
    pub fn exp(min: Duration, mean: Duration) -> Self {
        Self(Shape::Exp { min: nanos(min), mean: nanos(mean) })
    }

    /// Around `mean`, with this standard deviation, as a bell: the sum of twelve equal dice. Never further from the mean than six
    /// deviations, and never less than nothing.
    pub fn normal(mean: Duration, deviation: Duration) -> Self {
        Self(Shape::Normal { mean: nanos(mean), deviation: nanos(deviation) })
    }

    /// `usual`, and `rare` for this many in a million.
    ///
    /// # Panics
    /// If that is more than a million.
    pub fn bimodal(usual: Duration, rare: Duration, ppm: u32) -> Self {
        assert!(ppm <= 1_000_000, "{ppm} of a million");
        Self(Shape::Bimodal { usual: nanos(usual), rare: nanos(rare), ppm })
    }

    /// The least span.
    pub fn min(self) -> Duration {
        Duration::from_nanos(match self.0 {
            Shape::Fixed(min) | Shape::Uniform { min, .. } | Shape::Exp { min, .. } => min,
            Shape::Normal { mean, deviation } => mean.saturating_sub(deviation.saturating_mul(6)),
            Shape::Bimodal { usual, rare, .. } => usual.min(rare),
        })
    }

    pub(crate) const fn varies(self) -> bool {
        !matches!(self.0, Shape::Fixed(_))
    }

    /// Nanoseconds for 64 random bits.
    pub(crate) fn sample(self, word: u64) -> u64 {
        match self.0 {
            Shape::Fixed(span) => span,
            Shape::Uniform { min, span } => min.saturating_add(scale(word, span)),
            Shape::Exp { min, mean } => {
                let quantile = u128::from(EXP[(word >> 54) as usize]);
                min.saturating_add(((u128::from(mean) * quantile) >> 16) as u64)
            }
            Shape::Normal { mean, deviation } => {
                // Twelve dice from 0 to 1 with 10 fractional bits: the mean of the sum is 6, its deviation 1.
                let sum: u64 = (0..2).map(|half| mix(word ^ half)).map(dice).sum();
                let off = (u128::from(deviation) * u128::from(sum)) >> 10;
                mean.saturating_add(off as u64).saturating_sub(deviation.saturating_mul(6))
            }
            Shape::Bimodal { usual, rare, ppm } => {
                if scale(word, 1_000_000) < u64::from(ppm) {
                    rare
                } else {
                    usual
                }
            }
        }
    }
}

/// The sum of six dice from 0 to 1, with 10 fractional bits.
fn dice(word: u64) -> u64 {
    (0..6).map(|i| word >> (10 * i) & 0x3ff).sum()
}

/// Quantiles of the exponential distribution with mean 1, at the middle of 1024 equal steps, with 16
/// fractional bits.
const EXP: [u32; 1024] = {
    let mut table = [0; 1024];
    let mut i = 0;
    while i < 1024 {
        let survivors = 2 * (1024 - i as u64) - 1;
        // -ln(survivors / 2048) = (11 - log2(survivors)) * ln 2
        let log2 = (11 << 32) - log2(survivors);
        table[i] = ((log2 as u128 * 2_977_044_472) >> 48) as u32;
        i += 1;
    }
    table
};

/// log2 of `x > 0` with 32 fractional bits, by repeated squaring.
const fn log2(x: u64) -> u64 {
    let whole = x.ilog2() as u64;
    let mut mantissa = (x << (63 - whole)) as u128;
    let mut result = whole << 32;
    let mut bit = 1_u64 << 31;
    while bit > 0 {
        mantissa = (mantissa * mantissa) >> 63;
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            result |= bit;
        }
        bit >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ms;

    fn mean(dist: Dist) -> u64 {
        (0..100_000).map(|i| dist.sample(mix(i))).sum::<u64>() / 100_000
    }

    #[test]
    fn quantiles_are_those_of_the_exponential() {
        assert_eq!(EXP[0], 32); // -ln(2047/2048) = 0.000488
        assert_eq!(EXP[511], 45_362); // -ln(1025/2048) = 0.69217
        assert_eq!(EXP[1023], 499_687); // -ln(1/2048) = 7.62462
        assert!(EXP.is_sorted());
    }

    #[test]
    fn a_bell_is_as_wide_as_it_should_be() {
        let dist = Dist::normal(ms(20), ms(3));
        let spans: Vec<u64> = (0..100_000).map(|i| dist.sample(mix(i))).collect();
        let near = spans.iter().filter(|span| (17_000_000..23_000_000).contains(*span)).count();
        assert!((67_500..69_000).contains(&near), "68.3 % within one deviation: {near}");
        assert!(spans.iter().all(|span| *span >= dist.min().as_nanos() as u64));
        assert_eq!(Dist::normal(ms(1), ms(1)).min(), ms(0), "never less than nothing");
        assert_eq!(Dist::bimodal(ms(9), ms(2), 1).min(), ms(2));
    }

    #[test]
    fn means_are_right() {
        assert_eq!(mean(Dist::fixed(ms(7))), 7_000_000);
        let uniform = mean(Dist::uniform(ms(20)..ms(40)));
        assert!((29_900_000..30_100_000).contains(&uniform), "{uniform}");
        let exp = mean(Dist::exp(ms(10), ms(5)));
        assert!((14_900_000..15_100_000).contains(&exp), "{exp}");
        let normal = mean(Dist::normal(ms(20), ms(3)));
        assert!((19_900_000..20_100_000).contains(&normal), "{normal}");
        let bimodal = mean(Dist::bimodal(ms(10), ms(110), 100_000));
        assert!((19_800_000..20_200_000).contains(&bimodal), "{bimodal}");
    }
}
