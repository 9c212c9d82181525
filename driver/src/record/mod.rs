//! A flight recorder: the inputs of a machine, in a file, so that a session can be run again.

mod file;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use proto_core::Now;

pub(crate) use self::file::beside;
pub use self::file::{kept_beside, numbered};
use self::writer::{FULL, Writer};

/// Writes inputs to a file of bounded size, as `simtest replay` reads them.
///
/// What a machine does follows from its inputs; so the file holds everything from the machine's birth, and ends when it is full:
/// a ring that forgets the beginning could not be replayed, for the state of a machine is not written down. The file holds
/// what the inputs hold, secrets and messages included.
///
/// An input costs a few copies into a buffer, and never waits: a thread of its own writes the buffers that are full. The last one is
/// written on [`flush`](Self::flush) and when the recorder is dropped, which waits for it.
/// Recording ends when the file is full, when writing fails, and when the disk takes less than comes for so long that no
/// [`memory`](Self::with_memory) is left; what comes later is counted.
#[derive(Debug)]
pub struct Recorder {
    out: Writer,
    buffer: Vec<u8>,
    /// Inputs in the buffer.
    held: u64,
    /// Where in the buffer they begin.
    begins: usize,
    kept: Option<PathBuf>,
    left: u64,
    at: u64,
    unix_ms: u64,
    head: Vec<u8>,
    why: Option<String>,
    is_told: bool,
    missed: u64,
}

impl Recorder {
    /// A new file of at most `limit` bytes, for inputs of `protocol`. Nobody but its owner may read it.
    ///
    /// What a file of that name holds is [kept beside it](kept_beside), in the place of what was kept there before, unless it is no more
    /// than a first input: a machine that was born and never told anything, as where a start fails later, takes no other's place.
    ///
    /// # Errors
    /// If the file cannot be made, or the thread; if what it holds cannot be kept; if another recorder writes to it.
    pub fn create(path: &Path, protocol: &str, limit: u64) -> io::Result<Self> {
        let (file, kept) = file::private(path)?;
        let out = Writer::new(file)?;
        let line = format!("{MAGIC}{protocol}\n");
        let mut buffer = Vec::with_capacity(FULL);
        buffer.extend_from_slice(line.as_bytes());
        let left = limit.saturating_sub(line.len() as u64 + CHECK);
        Ok(Self {
            out,
            begins: buffer.len(),
            buffer,
            kept,
            held: 0,
            left,
            at: 0,
            unix_ms: 0,
            head: Vec::with_capacity(32),
            why: None,
            is_told: false,
            missed: 0,
        })
    }

    /// The same, with at most so many bytes waiting for the disk; 4 MiB.
    #[must_use]
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.out.most = bytes;
        self
    }

    /// Notes an input: its sort, and what comes with it, in parts.
    pub fn note(&mut self, now: Now, kind: u8, parts: &[&[u8]]) {
        self.put(now.mono.as_nanos().max(self.at), now.unix_ms, kind, parts);
    }

    /// Where the recording is that was in this file before, if there was one.
    pub fn kept(&self) -> Option<&Path> {
        self.kept.as_deref()
    }

    /// How many bytes the file may still grow by.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// When the latest input came, in nanoseconds; none is noted as earlier.
    pub const fn at(&self) -> u64 {
        self.at
    }

    fn put(&mut self, at: u64, unix_ms: u64, kind: u8, parts: &[&[u8]]) {
        if self.why.is_some() {
            self.missed += 1;
            return;
        }
        let step = unix_ms.wrapping_sub(self.unix_ms).cast_signed();
        let head = &mut self.head;
        head.clear();
        number(head, at - self.at);
        number(head, (step << 1 ^ step >> 63).cast_unsigned());
        head.push(kind);
        let len: usize = parts.iter().map(|part| part.len()).sum();
        number(head, len as u64);
        let size = (head.len() + len) as u64;
        if size > self.left {
            self.missed += 1;
            self.hand_over();
            return self.end("the file has its full size".to_owned());
        }
        self.left -= size;
        (self.at, self.unix_ms) = (at, unix_ms);
        for part in [&head[..]].iter().chain(parts) {
            self.buffer.extend_from_slice(part);
        }
        self.held += 1;
        if self.buffer.len() >= FULL - LARGE {
            self.hand_over();
        }
    }

    /// Has what is in the buffer written, without waiting for it.
    pub fn hand_over(&mut self) {
        if self.why.is_some() || self.buffer.is_empty() {
            return;
        }
        if self.held > 0 {
            self.check();
        }
        match self.out.write(&mut self.buffer) {
            Ok(()) => (self.held, self.begins) = (0, 0),
            Err(error) => {
                self.missed += std::mem::take(&mut self.held);
                self.end(error.to_string());
            }
        }
    }

    /// Puts the checksum of what is in the buffer behind it.
    fn check(&mut self) {
        let sum = crc32c::crc32c(&self.buffer[self.begins..]);
        self.buffer.extend_from_slice(&[0, 0, CHECKED, 4]);
        self.buffer.extend_from_slice(&sum.to_le_bytes());
        // The next one needs as much room, or nothing comes before it.
        self.left = self.left.saturating_sub(CHECK);
    }

    /// The same, and waits until it has been written.
    pub fn flush(&mut self) {
        self.hand_over();
        if let Err(error) = self.out.settle()
            && self.why.is_none()
        {
            self.end(error.to_string());
        }
    }

    /// Why recording has ended: the file is full, or could not be written, or not fast enough.
    pub fn why_ended(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// The same, told once.
    pub fn ended(&mut self) -> Option<String> {
        let why = self.why.clone().filter(|_| !self.is_told);
        self.is_told |= why.is_some();
        why
    }

    /// How many inputs were not recorded, as recording had ended; those that a failing disk lost are not known.
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    fn end(&mut self, why: String) {
        self.why = Some(why);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
    }
}

/// How a file begins; the protocol's name comes then.
const MAGIC: &str = "simtest-rec 2 ";

/// The sort of input that is the checksum (CRC-32C) of all that came since the one before; no protocol has it.
const CHECKED: u8 = 0xff;

/// Its size, with what comes before it.
const CHECK: u64 = 8;

/// An input of this size finds room in a buffer that is not full yet.
const LARGE: usize = 1 << 11;

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
