//! Recorded sessions: the inputs of a core in production, to be given to it again.

mod replay;
#[cfg(test)]
mod tests;

pub use self::replay::replay_recording;
use crate::explore::ddmin::ddmin;

const MAGIC: &str = "simtest-rec 2 ";

/// The sort of input that is a checksum.
const CHECKED: u8 = 0xff;

/// What a flight recorder has written: the inputs of one machine, in order.
///
/// The file: a line `simtest-rec 2 <protocol>`, then for each input: nanoseconds since the one before (since the machine's
/// zero for the first), milliseconds of wall clock since the one before (zigzag), one byte `kind`, the length of the rest, the
/// rest. Numbers are LEB128. Kinds and their bytes are the protocol's own; what they mean is known to the function that
/// [replays](replay_recording) them. Only kind 255 is not: its four bytes are the CRC-32C, least byte first, of all that comes
/// between the one before, or the line, and itself; its times are zero. It can come as often or as seldom as the recorder likes, and
/// is no input.
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
    /// Reads a file. A last input that is cut off, as where the machine's process was killed, is left out.
    ///
    /// # Errors
    /// If it is not a recording, or a damaged one.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        Self::parse_cut(bytes).map(|(recording, _)| recording)
    }

    /// The same, and how many bytes are left of an input that is cut off at the end.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_cut(bytes: &[u8]) -> Result<(Self, usize), String> {
        let (protocol, inputs) = head(bytes)?;
        let (mut at, mut unix_ms) = (0_u64, 0_u64);
        let mut recording = Self { protocol: protocol.to_owned(), inputs: Vec::new() };
        let (mut rest, mut unchecked) = (inputs, inputs);
        // How many inputs were in front of the latest checksum.
        let mut sound = 0;
        loop {
            let before = rest;
            let read = recording.inputs.len();
            match next(&mut rest, &mut at, &mut unix_ms) {
                Some(Input { kind: CHECKED, bytes: sum, .. }) => {
                    let checked = &unchecked[..unchecked.len() - before.len()];
                    if sum != crc32c(checked).to_le_bytes() {
                        return Err(format!(
                            "damaged: inputs {} to {read} are not as they were written",
                            sound + 1
                        ));
                    }
                    (unchecked, sound) = (rest, read);
                }
                Some(input) => recording.inputs.push(input),
                None if goes_on(before) => {
                    return Err(format!("damaged somewhere behind input {sound}, and goes on later"));
                }
                None => return Ok((recording, before.len())),
            }
        }
    }

    /// The protocol's name in a file, if it is a recording.
    ///
    /// # Errors
    /// What it is instead.
    pub fn protocol_of(bytes: &[u8]) -> Result<&str, String> {
        head(bytes).map(|(protocol, _)| protocol)
    }

    /// As a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{MAGIC}{}\n", self.protocol).into_bytes();
        let begins = out.len();
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
        let sum = crc32c(&out[begins..]);
        out.extend_from_slice(&CHECK);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// The fewest inputs, beside the first, with which `fails` still holds; as they were, at their times.
    #[must_use]
    pub fn shrink(&self, mut fails: impl FnMut(&Self) -> bool) -> Self {
        self.shrink_while(|shorter| Some(fails(shorter))).0
    }

    /// The same, until `fails` answers `None`; and whether it never did.
    #[must_use]
    pub fn shrink_while(&self, mut fails: impl FnMut(&Self) -> Option<bool>) -> (Self, bool) {
        let Some((first, rest)) = self.inputs.split_first() else { return (self.clone(), true) };
        let with = |rest: &[Input]| {
            let inputs = [first].into_iter().chain(rest).cloned().collect();
            Self { protocol: self.protocol.clone(), inputs }
        };
        let mut best = rest.to_vec();
        let mut goes_on = true;
        ddmin(rest, 1, |batch: &[Vec<Input>]| {
            let kept = batch.first()?;
            // An end is what no list can be made shorter than.
            if !goes_on {
                return Some(Vec::new());
            }
            match fails(&with(kept)) {
                Some(true) => {
                    best.clone_from(kept);
                    Some(best.clone())
                }
                Some(false) => None,
                None => {
                    goes_on = false;
                    Some(Vec::new())
                }
            }
        });
        (with(&best), goes_on)
    }
}

/// The head of a checksum: no time has passed, its kind, and its length.
const CHECK: [u8; 4] = [0, 0, CHECKED, 4];

/// The protocol's name, and what comes then.
fn head(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let other = || "not a recording: those begin with `simtest-rec`".to_owned();
    let end = bytes.iter().take(1 << 10).position(|byte| *byte == b'\n').ok_or_else(other)?;
    let line = str::from_utf8(&bytes[..end]).map_err(|_| other())?;
    if let Some(protocol) = line.strip_prefix(MAGIC) {
        return Ok((protocol, &bytes[end + 1..]));
    }
    let version =
        line.strip_prefix("simtest-rec ").and_then(|rest| rest.split(' ').next()).ok_or_else(other)?;
    Err(format!("a recording of version {version}, and only version 2 can be read here"))
}

/// Whether there are two checksums of which the second is that of what lies between them: it is no end then.
fn goes_on(bytes: &[u8]) -> bool {
    let heads = bytes.windows(CHECK.len()).enumerate().filter(|(_, window)| **window == CHECK);
    let mut begins: Option<usize> = None;
    for (at, _) in heads {
        let Some(sum) = bytes.get(at + 4..at + 8) else { break };
        if begins.is_some_and(|begins| begins < at && sum == crc32c(&bytes[begins..at]).to_le_bytes()) {
            return true;
        }
        begins = Some(at + 8);
    }
    false
}

/// CRC-32C of Castagnoli, as RFC 3720 has it.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| TABLE[(sum as u8 ^ byte) as usize] ^ sum >> 8)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = sum >> 1 ^ (sum & 1).wrapping_neg() & 0x82f6_3b78;
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

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
