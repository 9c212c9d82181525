//! A thread that writes, so that whoever records does not wait for the disk.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// The size of a buffer.
pub(super) const FULL: usize = 1 << 16;

/// So many buffers are under way at most; whoever fills them faster than the disk takes them waits.
const MOST: usize = 16;

#[derive(Debug)]
pub(super) struct Writer {
    full: Option<SyncSender<Vec<u8>>>,
    written: Receiver<io::Result<Vec<u8>>>,
    under_way: usize,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn new(mut file: File) -> io::Result<Self> {
        let (full, buffers) = sync_channel::<Vec<u8>>(MOST);
        let (done, written) = sync_channel(MOST);
        let work = move || {
            for mut buffer in buffers {
                let result = file.write_all(&buffer).map(|()| {
                    buffer.clear();
                    buffer
                });
                if result.is_err() | done.send(result).is_err() {
                    return;
                }
            }
        };
        let thread = Some(thread::Builder::new().name("recorder".into()).spawn(work)?);
        Ok(Self { full: Some(full), written, under_way: 0, thread })
    }

    /// Has this written in its turn; an empty buffer.
    pub(super) fn write(&mut self, buffer: Vec<u8>) -> io::Result<Vec<u8>> {
        if self.full.as_ref().is_none_or(|full| full.send(buffer).is_err()) {
            return Err(self.settle().err().unwrap_or_else(gone));
        }
        self.under_way += 1;
        let returned = if self.under_way == MOST {
            self.written.recv().unwrap_or_else(|_| Err(gone()))
        } else {
            match self.written.try_recv() {
                Ok(returned) => returned,
                Err(_) => return Ok(Vec::with_capacity(FULL)),
            }
        };
        self.under_way -= 1;
        returned
    }

    /// Waits until all has been written.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        while self.under_way > 0 {
            self.under_way -= 1;
            self.written.recv().unwrap_or_else(|_| Err(gone()))?;
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
