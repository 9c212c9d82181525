//! Rates that vary, as they were recorded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Time;

const MS: u64 = 1_000_000;

/// A rate that varies: the instants at which a link can carry the next 1,500 bytes.
///
/// The form is that of mahimahi (`mm-link`): one whole number a line, which is the time of one *opportunity* in milliseconds
/// since the start. They never become less; several equal ones are several opportunities. The last is also the period: from
/// then on it all happens again. An opportunity carries one datagram, a part of a larger one, or several small ones that wait; what
/// it has no bytes for is wasted.
#[derive(Clone, PartialEq, Eq)]
pub struct RateTrace(Arc<[u32]>);

/// What is wrong with the text of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTraceError {
    /// The line, from 1; 0: the text as a whole.
    pub line: usize,
    /// What was expected, and what stands there.
    pub message: String,
}

impl fmt::Display for RateTraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "rate trace: {}", self.message),
            line => write!(f, "rate trace line {line}: {}", self.message),
        }
    }
}

impl std::error::Error for RateTraceError {}

impl RateTrace {
    /// Bytes that pass at one opportunity.
    pub const OPPORTUNITY: u64 = 1_500;

    /// Reads a trace.
    ///
    /// # Errors
    /// If a line is not a whole number below 2^32, one is less than the one before, there is none, or all are 0.
    pub fn parse(text: &str) -> Result<Self, RateTraceError> {
        let mut all: Vec<u32> = Vec::new();
        for (line, word) in (1..).zip(text.lines().map(str::trim)) {
            let error = |message| RateTraceError { line, message };
            let expected = || error(format!("expected milliseconds like 20, found `{word}`"));
            let at = word.parse().map_err(|_| expected())?;
            if let Some(before) = all.last().filter(|before| **before > at) {
                return Err(error(format!("{at} comes after {before}")));
            }
            all.push(at);
        }
        let whole = |message: &str| RateTraceError { line: 0, message: message.into() };
        match all.last() {
            None => Err(whole("there is no opportunity in it")),
            Some(0) => Err(whole("it lasts for 0 ms: all opportunities are at 0")),
            Some(_) => Ok(Self(all.into())),
        }
    }

    /// A made-up cell, 10 s long: 3.4 Mbit/s on average, between 0.8 and 5.7 from second to second, with gaps of 400 ms and 900 ms.
    pub fn cell() -> Self {
        const TEXT: &str = include_str!("cell.trace");
        Self(TEXT.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// After this span it begins again.
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// Bytes a second on average, rounded down.
    pub fn mean_rate(&self) -> u64 {
        self.0.len() as u64 * Self::OPPORTUNITY * 1_000 / (self.nanos() / MS)
    }

    fn nanos(&self) -> u64 {
        u64::from(self.0.last().copied().unwrap_or(1)) * MS
    }

    /// The number of the first opportunity at `time` or later.
    pub(super) fn first_from(&self, time: Time) -> u64 {
        let (period, count) = (self.nanos(), self.0.len() as u64);
        // Where one period ends and the next begins, the last of the one comes first.
        let rounds = time.as_nanos().saturating_sub(1) / period;
        let since = time.as_nanos() - rounds * period;
        let within = self.0.partition_point(|at| u64::from(*at) * MS < since) as u64;
        rounds * count + within
    }

    /// When an opportunity is.
    pub(crate) fn at(&self, opportunity: u64) -> Time {
        let count = self.0.len() as u64;
        let within = u64::from(self.0[(opportunity % count) as usize]) * MS;
        Time::from_nanos((opportunity / count).saturating_mul(self.nanos()).saturating_add(within))
    }
}

impl fmt::Debug for RateTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateTrace({} in {:?})", self.0.len(), self.period())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ms;

    #[test]
    fn opportunities_repeat() {
        let trace = RateTrace::parse("0\n2\n2\n5\n").unwrap();
        assert_eq!((trace.period(), trace.mean_rate()), (ms(5), 1_200_000));
        let at: Vec<u64> = (0..9).map(|i| trace.at(i).as_nanos() / MS).collect();
        assert_eq!(at, [0, 2, 2, 5, 5, 7, 7, 10, 10]);
        let first = |nanos| trace.first_from(Time::from_nanos(nanos));
        assert_eq!(
            [0, 1, 2 * MS, 2 * MS + 1, 5 * MS, 5 * MS + 1, 7 * MS, 10 * MS].map(first),
            [0, 1, 1, 3, 3, 5, 5, 7]
        );
    }

    #[test]
    fn what_is_no_trace_is_told_by_its_line() {
        let error = |text| RateTrace::parse(text).unwrap_err().to_string();
        assert_eq!(error(""), "rate trace: there is no opportunity in it");
        assert_eq!(error("0\n0\n"), "rate trace: it lasts for 0 ms: all opportunities are at 0");
        assert_eq!(error("3\n\n4"), "rate trace line 2: expected milliseconds like 20, found ``");
        assert_eq!(error("3\n-4"), "rate trace line 2: expected milliseconds like 20, found `-4`");
        assert_eq!(error("1.5"), "rate trace line 1: expected milliseconds like 20, found `1.5`");
        assert_eq!(
            error("99999999999"),
            "rate trace line 1: expected milliseconds like 20, found `99999999999`"
        );
        assert_eq!(error("3\n5\n4"), "rate trace line 3: 4 comes after 5");
        assert!(RateTrace::parse("1\r\n2\r\n").is_ok());
    }

    #[test]
    fn the_cell_is_as_its_numbers_say() {
        let cell = RateTrace::cell();
        assert_eq!((cell.period(), cell.mean_rate()), (ms(10_000), 427_350));
        let gaps: Vec<u32> =
            cell.0.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 100).collect();
        assert_eq!(gaps, [400, 900]);
        let second = |n: u32| cell.0.iter().filter(|at| **at / 1000 == n).count() as u64 * 12_000;
        let rates: Vec<u64> = (0..10).map(second).collect();
        assert!(rates.iter().all(|rate| (750_000..5_750_000).contains(rate)), "{rates:?}");
    }
}
