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
    Pareto { least: u64, most: u64, shape: u32 },
    AnyOf(&'static [Duration]),
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

    /// At least `least`, with a heavy tail (Pareto): longer than `t` with probability `(least / t)` to the power of `shape / 1000`.
    /// Cut at `most`. The smaller the shape, the heavier the tail; below 2,000 the variance, below 1,000 even the mean would be
    /// infinite without the cut.
    ///
    /// # Panics
    /// If `least` or `shape` is 0, or `most` is less than `least`.
    pub fn pareto(least: Duration, shape: u32, most: Duration) -> Self {
        assert!(!least.is_zero() && shape > 0 && most >= least, "{least:?} to {most:?}, shape {shape}");
        Self(Shape::Pareto { least: nanos(least), most: nanos(most), shape })
    }

    /// One of `spans`, as they were measured, each equally likely.
    ///
    /// # Panics
    /// If there is none.
    pub fn any_of(spans: &'static [Duration]) -> Self {
        assert!(!spans.is_empty(), "one of no spans");
        Self(Shape::AnyOf(spans))
    }

    /// The least span.
    pub fn min(self) -> Duration {
        Duration::from_nanos(match self.0 {
            Shape::Fixed(min) | Shape::Uniform { min, .. } | Shape::Exp { min, .. } => min,
            Shape::Normal { mean, deviation } => mean.saturating_sub(deviation.saturating_mul(6)),
            Shape::Bimodal { usual, rare, .. } => usual.min(rare),
            Shape::Pareto { least, .. } => least,
            Shape::AnyOf(spans) => spans.iter().copied().map(nanos).min().unwrap_or_default(),
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
            Shape::Pareto { least, most, shape } => {
                // -log2 of a number between 0 and 1 with 32 fractional bits, divided by the shape.
                let doublings = (33 << 32) - log2(2 * (word >> 32) + 1);
                let doublings = u128::from(doublings) * 1_000 / u128::from(shape);
                times_2_to(least, doublings as u64).min(most)
            }
            Shape::AnyOf(spans) => {
                spans.get(scale(word, spans.len() as u64) as usize).copied().map_or(0, nanos)
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

/// `x` times 2 to the power of a number with 32 fractional bits, or `u64::MAX`.
fn times_2_to(x: u64, power: u64) -> u64 {
    let set = (0..32).filter(|i| power >> (31 - i) & 1 == 1);
    let product = set.fold(1 << 62, |product: u128, i| (product * u128::from(ROOTS[i])) >> 62);
    let whole = (power >> 32) as u32;
    let scaled = (u128::from(x) * product) >> 62;
    if whole >= 64 { u64::MAX } else { u64::try_from(scaled << whole).unwrap_or(u64::MAX) }
}

/// The square root of 2, its square root, and so on, with 62 fractional bits.
const ROOTS: [u64; 32] = {
    let mut roots = [0; 32];
    let mut last: u128 = 2 << 62;
    let mut i = 0;
    while i < 32 {
        last = (last << 62).isqrt();
        roots[i] = last as u64;
        i += 1;
    }
    roots
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{ms, secs};

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
    fn tails_are_as_heavy_as_they_should_be() {
        assert_eq!(ROOTS[..2], [6_521_908_912_666_391_106, 5_484_249_825_272_419_511]);
        assert_eq!((times_2_to(1_000, 3 << 32), times_2_to(1_000, 3 << 31)), (8_000, 2_828));
        assert_eq!(times_2_to(5, 64 << 32), u64::MAX);
        let dist = Dist::pareto(ms(10), 2_000, secs(100));
        let spans: Vec<u64> = (0..100_000).map(|i| dist.sample(mix(i))).collect();
        let longer = |span| spans.iter().filter(|of| **of > span).count();
        assert!(spans.iter().all(|span| *span >= 9_999_999), "{:?}", spans.iter().min());
        assert!((24_500..25_500).contains(&longer(20_000_000)), "a quarter twice as long");
        assert!((900..1_100).contains(&longer(100_000_000)), "a hundredth ten times as long");
        assert!((5..=20).contains(&longer(1_000_000_000)), "{}", longer(1_000_000_000));
        let cut = Dist::pareto(ms(10), 500, ms(40));
        assert_eq!(((0..999).map(|i| cut.sample(mix(i))).max(), cut.min()), (Some(40_000_000), ms(10)));
        let measured = Dist::any_of(const { &[ms(3), ms(1), ms(8)] });
        assert_eq!(measured.min(), ms(1));
        assert_eq!(mean(measured) / 10_000, 400);
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
