//! A thread that writes, so that whoever records does not wait for the disk.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// The size of a buffer.
pub(super) const FULL: usize = 1 << 16;

/// Bytes that are under way at most, unless told otherwise.
const MOST: usize = 4 << 20;

/// So many empty buffers are kept.
const SPARE: usize = 16;

#[derive(Debug)]
pub(super) struct Writer {
    full: Option<Sender<Vec<u8>>>,
    written: Receiver<io::Result<Vec<u8>>>,
    /// Room of the buffers that are under way.
    under_way: usize,
    pub(super) most: usize,
    empty: Vec<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn new(mut file: File) -> io::Result<Self> {
        let (full, buffers) = channel::<Vec<u8>>();
        let (done, written) = channel();
        let work = move || {
            for buffer in buffers {
                let result = file.write_all(&buffer).map(|()| buffer);
                if result.is_err() | done.send(result).is_err() {
                    return;
                }
            }
        };
        let thread = Some(thread::Builder::new().name("recorder".into()).spawn(work)?);
        Ok(Self { full: Some(full), written, under_way: 0, most: MOST, empty: Vec::new(), thread })
    }

    /// Has this written in its turn, and puts an empty buffer in its place.
    pub(super) fn write(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        while let Ok(returned) = self.written.try_recv() {
            self.returned(returned?);
        }
        let room = buffer.capacity();
        // However large it is, one alone may be under way.
        if self.under_way > 0 && self.under_way + room > self.most {
            return Err(io::Error::other("the disk takes less than comes"));
        }
        let empty = self.empty.pop().unwrap_or_else(|| Vec::with_capacity(FULL));
        let full = std::mem::replace(buffer, empty);
        if self.full.as_ref().is_none_or(|out| out.send(full).is_err()) {
            return Err(self.settle().err().unwrap_or_else(gone));
        }
        self.under_way += room;
        Ok(())
    }

    /// Keeps a buffer for later, for fresh memory costs more than what is copied into it.
    fn returned(&mut self, mut buffer: Vec<u8>) {
        self.under_way -= buffer.capacity();
        buffer.clear();
        if self.empty.len() < SPARE && buffer.capacity() <= 2 * FULL {
            self.empty.push(buffer);
        }
    }

    /// Waits until all has been written.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        while self.under_way > 0 {
            match self.written.recv() {
                Ok(Ok(buffer)) => self.returned(buffer),
                Ok(Err(error)) => {
                    self.under_way = 0;
                    return Err(error);
                }
                Err(_) => {
                    self.under_way = 0;
                    return Err(gone());
                }
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.full = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the writer has ended")
}
