//! Choices read from bytes, for fuzzers.

use crate::choice::{Alt, Choice, ChoiceKey, Chooser, Kind, Origin};
use crate::prf::scale;
use crate::schedule::Weather;

/// Choices come from a tape, in the order in which they are asked for: libFuzzer, AFL or bolero write it.
///
/// The first two bytes are the seed of nodes and weather. Then each choice takes one byte: 0, or a tape that
/// has ended, is "nothing happens"; the highest values are the alternatives, as many of the 255 as they are
/// likely, but at least one each. An alternative with a parameter takes four bytes more. A family that
/// cannot happen takes none.
///
/// A failing input is worth keeping as the [schedule](crate::Outcome::schedule) of its run: that survives
/// edits, the tape does not.
///
/// ```
/// # use simtest::*;
/// # fn fuzz<N: Node>(sim: Sim<N>, data: &[u8]) {
/// sim.run(FromBytes::new(data)).assert_pass();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FromBytes {
    tape: Vec<u8>,
    seed: u64,
    at: usize,
}

impl FromBytes {
    /// Reads `tape`.
    pub fn new(tape: &[u8]) -> Self {
        let mut all = Self { tape: tape.to_vec(), seed: 0, at: 0 };
        all.seed = u64::from(all.next()) | u64::from(all.next()) << 8;
        all
    }

    fn next(&mut self) -> u8 {
        let byte = self.tape.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// How many bytes were read; more than the tape has if it was too short.
    pub const fn used(&self) -> usize {
        self.at
    }
}

impl Chooser for FromBytes {
    fn choose(&mut self, key: ChoiceKey, alts: &[Alt]) -> Choice {
        // All families as often as the test says: which of them happen is for the tape to say.
        if key.kind == Kind::Policy || alts.iter().all(|alt| alt.ppm == 0) {
            return Choice::DEFAULT;
        }
        let mut left = u32::from(u8::MAX - self.next());
        for (number, alt) in (1..).zip(alts).filter(|(_, alt)| alt.ppm > 0) {
            let width = (alt.ppm.saturating_mul(255) / 1_000_000).max(1);
            if left < width {
                let mut word = 0;
                if alt.max > alt.min {
                    let bytes = [self.next(), self.next(), self.next(), self.next()];
                    word = u64::from(u32::from_be_bytes(bytes)) << 32;
                }
                let span = (alt.max - alt.min).saturating_add(1);
                return Choice { alt: number, param: alt.min + scale(word, span), line: 0 };
            }
            left -= width;
        }
        Choice::DEFAULT
    }

    fn origin(&self) -> Origin {
        Origin { nodes: self.seed, weather: Weather::Seed(self.seed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Cmd, three};
    use crate::{Link, ms};

    const KEY: ChoiceKey = ChoiceKey { kind: Kind::Drop, locus: 0, occ: 1 };

    fn alts(first: u32, second: u32) -> [Alt; 2] {
        [Alt { ppm: first, min: 0, max: 0 }, Alt { ppm: second, min: 10, max: 19 }]
    }

    #[test]
    fn bytes_are_choices() {
        let mut tape = FromBytes::new(&[1, 2, 0, 255, 254, 128, 0, 0, 0, 252]);
        assert_eq!(tape.origin().nodes, 0x201);
        let alts = alts(1, 10_000);
        assert_eq!(tape.choose(KEY, &alts), Choice::DEFAULT);
        assert_eq!(tape.choose(KEY, &alts), Choice { alt: 1, param: 0, line: 0 });
        assert_eq!(tape.choose(KEY, &alts), Choice { alt: 2, param: 15, line: 0 });
        assert_eq!(tape.choose(KEY, &alts), Choice::DEFAULT, "252 is below both");
        assert_eq!(tape.choose(KEY, &alts), Choice::DEFAULT, "the tape has ended");
        let used = tape.used();
        assert_eq!(tape.choose(KEY, &self::alts(0, 0)), Choice::DEFAULT);
        assert_eq!(tape.used(), used, "what cannot happen takes no byte");
    }

    #[test]
    fn a_certain_fault_needs_no_luck() {
        let mut tape = FromBytes::new(&[0, 0, 1, 255]);
        for _ in 0..2 {
            assert_eq!(tape.choose(KEY, &[Alt { ppm: 1_000_000, min: 0, max: 0 }]).alt, 1);
        }
        assert_eq!(tape.choose(KEY, &[Alt { ppm: 1_000_000, min: 0, max: 0 }]).alt, 0);
    }

    #[test]
    fn a_tape_drives_a_run_and_its_schedule_repeats_it() {
        let (mut sim, [a, b, _]) = three();
        sim.links(Link::new().loss(100_000).duplicate(100_000, ms(0)..ms(5))).workload(|w| {
            w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["X", "Y", "Z"]));
        });
        // X is lost, Y comes twice, Z is left alone.
        let outcome = sim.run(FromBytes::new(&[0, 0, 255, 0, 255, 64, 0, 0, 0]));
        let words: Vec<&str> = outcome.schedule().lines.iter().map(|line| line.kind().word()).collect();
        assert_eq!(words, ["drop", "duplicate"]);
        let again = sim.run(crate::FromSchedule::new(&outcome.schedule()));
        assert_eq!(again.hash, outcome.hash);
    }
}
