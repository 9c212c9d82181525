//! A flight recorder: the inputs of a machine, in a file, so that a session can be run again.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use proto_core::Now;

/// Writes inputs to a file of bounded size, as `simtest replay` reads them.
///
/// What a machine does follows from its inputs; so the file holds everything from the machine's birth, and ends when it is full:
/// a ring that forgets the beginning could not be replayed, for the state of a machine is not written down. The file holds
/// what the inputs hold, secrets and messages included.
///
/// An input costs a few copies into a buffer; the buffer is written when it is full, on [`flush`](Self::flush), when the recorder
/// is dropped, and when the machine panics within [`guarded`](Self::guarded). If writing fails, recording ends.
#[derive(Debug)]
pub struct Recorder {
    out: Option<BufWriter<File>>,
    left: u64,
    at: u64,
    unix_ms: u64,
    head: Vec<u8>,
    why: Option<String>,
}

impl Recorder {
    /// A new file (one of that name is replaced) of at most `limit` bytes, for inputs of `protocol`.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path, protocol: &str, limit: u64) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(path)?);
        let line = format!("simtest-rec 1 {protocol}\n");
        out.write_all(line.as_bytes())?;
        let left = limit.saturating_sub(line.len() as u64);
        Ok(Self { out: Some(out), left, at: 0, unix_ms: 0, head: Vec::with_capacity(32), why: None })
    }

    /// Notes an input: its sort, and what comes with it, in parts.
    pub fn note(&mut self, now: Now, kind: u8, parts: &[&[u8]]) {
        self.put(now.mono.as_nanos().max(self.at), now.unix_ms, kind, parts);
    }

    /// The same for an input that knows no time, at that of the one before.
    pub fn note_at_once(&mut self, kind: u8, parts: &[&[u8]]) {
        self.put(self.at, self.unix_ms, kind, parts);
    }

    fn put(&mut self, at: u64, unix_ms: u64, kind: u8, parts: &[&[u8]]) {
        let Some(out) = &mut self.out else { return };
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
            self.end("the file has its full size");
            return;
        }
        self.left -= size;
        (self.at, self.unix_ms) = (at, unix_ms);
        let written =
            out.write_all(head).and_then(|()| parts.iter().try_for_each(|part| out.write_all(part)));
        if let Err(error) = written {
            self.end(&error.to_string());
        }
    }

    /// Writes what is in the buffer.
    pub fn flush(&mut self) {
        if let Some(Err(error)) = self.out.as_mut().map(Write::flush) {
            self.end(&error.to_string());
        }
    }

    /// Runs `work`, and writes what is in the buffer if it panics.
    pub fn guarded<T>(&mut self, work: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            self.flush();
            resume_unwind(panic)
        })
    }

    /// Why recording has ended: the file is full, or could not be written. Told once.
    pub fn ended(&mut self) -> Option<String> {
        self.why.take()
    }

    fn end(&mut self, why: &str) {
        let flushed = self.out.take().map_or(Ok(()), |mut out| out.flush());
        self.why = Some(flushed.map_or_else(|error| format!("{why}; {error}"), |()| why.to_owned()));
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
