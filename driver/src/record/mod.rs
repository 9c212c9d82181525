//! A flight recorder: the inputs of a machine, in a file, so that a session can be run again.

#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use proto_core::Now;

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
    left: u64,
    at: u64,
    unix_ms: u64,
    head: Vec<u8>,
    why: Option<String>,
    is_told: bool,
    missed: u64,
}

impl Recorder {
    /// A new file (one of that name is replaced) of at most `limit` bytes, for inputs of `protocol`. Nobody but its owner may read it.
    ///
    /// # Errors
    /// If the file cannot be made, or the thread; if another recorder writes to it.
    pub fn create(path: &Path, protocol: &str, limit: u64) -> io::Result<Self> {
        let out = Writer::new(private_file(path)?)?;
        let line = format!("simtest-rec 1 {protocol}\n");
        let mut buffer = Vec::with_capacity(FULL);
        buffer.extend_from_slice(line.as_bytes());
        let left = limit.saturating_sub(line.len() as u64);
        Ok(Self {
            out,
            buffer,
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
        match self.out.write(&mut self.buffer) {
            Ok(()) => self.held = 0,
            Err(error) => {
                self.missed += std::mem::take(&mut self.held);
                self.end(error.to_string());
            }
        }
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

/// An empty file that only its owner may read, and to which nobody else writes.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        file.try_lock().map_err(|_| {
            io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{}: another recorder writes to it", path.display()),
            )
        })?;
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        file.set_len(0)?;
    }
    Ok(file)
}

/// An input of this size finds room in a buffer that is not full yet.
const LARGE: usize = 1 << 11;

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
