//! Recorded sessions: the inputs of a core in production, to be given to it again.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::{env, fs};

use crate::explore::ddmin::ddmin;
use crate::harness::{Class, note};
use crate::panics::{self, Quiet};

const MAGIC: &str = "simtest-rec 1 ";

/// What a flight recorder has written: the inputs of one machine, in order.
///
/// The file: a line `simtest-rec 1 <protocol>`, then for each input: nanoseconds since the one before (since the machine's
/// zero for the first), milliseconds of wall clock since the one before (zigzag), one byte `kind`, the length of the rest, the
/// rest. Numbers are LEB128. Kinds and their bytes are the protocol's own; what they mean is known to the function that
/// [replays](replay_recording) them. A last input that is cut off is left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// The name of the protocol, for the function that can replay it.
    pub protocol: String,
    /// The inputs in order.
    pub inputs: Vec<Input>,
}

/// One input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// The machine's clock, in nanoseconds.
    pub at: u64,
    /// Its wall clock, in milliseconds.
    pub unix_ms: u64,
    /// What sort of input it is.
    pub kind: u8,
    /// What comes with it.
    pub bytes: Vec<u8>,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is not a recording.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("not a recording")?;
        let line = str::from_utf8(&bytes[..end]).map_err(|_| "not a recording")?;
        let protocol = line.strip_prefix(MAGIC).ok_or("not a recording of version 1")?.to_owned();
        let mut rest = &bytes[end + 1..];
        let (mut at, mut unix_ms) = (0_u64, 0_u64);
        let mut inputs = Vec::new();
        while let Some(input) = next(&mut rest, &mut at, &mut unix_ms) {
            inputs.push(input);
        }
        Ok(Self { protocol, inputs })
    }

    /// As a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{MAGIC}{}\n", self.protocol).into_bytes();
        let (mut at, mut unix_ms) = (0, 0);
        for input in &self.inputs {
            put(&mut out, input.at.saturating_sub(at));
            let step = input.unix_ms.wrapping_sub(unix_ms).cast_signed();
            put(&mut out, (step << 1 ^ step >> 63).cast_unsigned());
            out.push(input.kind);
            put(&mut out, input.bytes.len() as u64);
            out.extend_from_slice(&input.bytes);
            (at, unix_ms) = (input.at, input.unix_ms);
        }
        out
    }

    /// The fewest inputs, beside the first, with which `fails` still holds; as they were, at their times.
    #[must_use]
    pub fn shrink(&self, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let Some((first, rest)) = self.inputs.split_first() else { return self.clone() };
        let with = |rest: &[Input]| {
            let inputs = [first].into_iter().chain(rest).cloned().collect();
            Self { protocol: self.protocol.clone(), inputs }
        };
        let mut best = rest.to_vec();
        ddmin(rest, |kept: &[Input]| {
            fails(&with(kept)).then(|| {
                best = kept.to_vec();
                best.clone()
            })
        });
        with(&best)
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn next(rest: &mut &[u8], at: &mut u64, unix_ms: &mut u64) -> Option<Input> {
    *at = at.checked_add(number(rest)?)?;
    let step = number(rest)?;
    *unix_ms = unix_ms.wrapping_add(step >> 1 ^ (step & 1).wrapping_neg());
    let (kind, after) = rest.split_first()?;
    *rest = after;
    let len = usize::try_from(number(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(Input { at: *at, unix_ms: *unix_ms, kind: *kind, bytes: bytes.to_vec() })
}

/// Replays the recording that the command line asks for (`simtest replay FILE.rec`, `simtest shrink FILE.rec`), if it is one of
/// `protocol`; `false` if none is asked for. To be called by a test named `simtest_recording`: that is how it is found.
///
/// `replay` gives the inputs to a new machine. With `compare` it also looks whether the machine puts out what it did when it was
/// recorded, as far as the recording says, and returns the first difference.
///
/// # Panics
/// If the session does not end as it was recorded: a panic of the machine, or another output.
pub fn replay_recording(protocol: &str, replay: impl Fn(&Recording, bool) -> Result<(), String>) -> bool {
    let Ok(path) = env::var("SIMTEST_RECORDING") else { return false };
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let recording = Recording::parse(&bytes).unwrap_or_else(|why| panic!("{path}: {why}"));
    if recording.protocol != protocol {
        return true;
    }
    let span = recording.inputs.last().map_or(0, |last| last.at - recording.inputs[0].at) / 1_000_000;
    let what = format!("{} inputs in {}.{:03} s", recording.inputs.len(), span / 1_000, span % 1_000);
    let run = |recording: &Recording, compare| caught(|| replay(recording, compare));
    let ended = run(&recording, true);
    if ended != run(&recording, true) {
        let why = format!("{what}: two replays differ: something depends on more than its inputs");
        note(Class::Determinism.word(), &why);
        panic!("{why}");
    }
    // A shortened recording is another session; what matters is that it still panics.
    let ended = match ended {
        Err(Ended { panicked: false, why }) => match run(&recording, false) {
            Err(short) if short.panicked => Err(short),
            _ => Err(Ended { panicked: false, why }),
        },
        ended => ended,
    };
    match ended {
        Ok(()) => {
            let text = format!("{what}: the same outputs as when it was recorded");
            println!("{text}");
            note("pass", &text);
            true
        }
        Err(Ended { panicked, why }) => {
            let mut report = format!("{what}: {why}");
            if panicked && env::var("SIMTEST_ONLY").is_ok_and(|only| only == "shrink") {
                let _quiet = Quiet::begin();
                let same = |candidate: &Recording| {
                    run(candidate, false).is_err_and(|ended| ended.panicked && ended.why == why)
                };
                report.push_str(&shrunk(&recording.shrink(same), &path, recording.inputs.len()));
            }
            note(if panicked { Class::Crash } else { Class::Determinism }.word(), &report);
            panic!("{report}");
        }
    }
}

#[derive(PartialEq, Eq)]
struct Ended {
    panicked: bool,
    why: String,
}

fn caught(replay: impl FnOnce() -> Result<(), String>) -> Result<(), Ended> {
    match panics::caught(replay) {
        Ok(result) => result.map_err(|why| Ended { panicked: false, why }),
        Err(why) => Err(Ended { panicked: true, why: format!("panic: {why}") }),
    }
}

/// A recording can hold keys: nobody else may read it.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(bytes)
}

fn shrunk(least: &Recording, path: &str, before: usize) -> String {
    let file = Path::new(path).with_extension("min.rec");
    let mut text = format!("\nshrunk: {before} -> {} inputs", least.inputs.len());
    for input in least.inputs.iter().take(40) {
        let Input { at, kind, bytes, .. } = input;
        let (seconds, micros) = (at / 1_000_000_000, at / 1_000 % 1_000_000);
        let _ = write!(text, "\n  {seconds:>6}.{micros:06} s  kind {kind}, {} bytes", bytes.len());
    }
    match write_private(&file, &least.to_bytes()) {
        Ok(()) => text + &format!("\n  smallest  {}", file.display()),
        Err(error) => text + &format!("\n  smallest  could not be written to {}: {error}", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn recording(steps: &[(u32, i16, u8, Vec<u8>)]) -> Recording {
        let (mut at, mut unix_ms) = (5_000_000_000_u64, 1_700_000_000_000_u64);
        let inputs = steps.iter().map(|(nanos, ms, kind, bytes)| {
            at += u64::from(*nanos);
            unix_ms = unix_ms.wrapping_add_signed(i64::from(*ms));
            Input { at, unix_ms, kind: *kind, bytes: bytes.clone() }
        });
        Recording { protocol: "toy/1".into(), inputs: inputs.collect() }
    }

    quickcheck! {
        fn files_are_read_as_they_were_written(steps: Vec<(u32, i16, u8, Vec<u8>)>, cut: usize) -> bool {
            let whole = recording(&steps);
            let bytes = whole.to_bytes();
            let first = "simtest-rec 1 toy/1\n".len();
            let cut = first + cut % (bytes.len() - first + 1);
            let part = Recording::parse(&bytes[..cut]).unwrap();
            Recording::parse(&bytes).unwrap() == whole && whole.inputs.starts_with(&part.inputs)
        }

        fn anything_else_is_refused_or_read(bytes: Vec<u8>) -> bool {
            let mut file = b"simtest-rec 1 x\n".to_vec();
            file.extend(&bytes);
            Recording::parse(&bytes).is_err() && Recording::parse(&file).is_ok()
        }
    }

    #[test]
    fn only_what_matters_is_left() {
        let steps: Vec<_> = (0..100).map(|i| (1_000, 0, i, vec![i])).collect();
        let all = recording(&steps);
        let fails = |some: &Recording| {
            let has = |kind| some.inputs.iter().any(|input| input.kind == kind);
            has(17) && has(60)
        };
        let kinds: Vec<u8> = all.shrink(fails).inputs.iter().map(|input| input.kind).collect();
        assert_eq!(kinds, [0, 17, 60], "and the first");
    }
}
