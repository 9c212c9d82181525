//! One host: the node in its present life, its disk, its timer, and what waits while it stands still.

use std::collections::VecDeque;

use super::core::Core;
use super::heap::Job;
use crate::choice::Kind;
use crate::disk::{Disk, DiskLoss, DiskModel, DiskOp, OpId, StoreError, StoreOp};
use crate::fault::Trouble;
use crate::node::Node;
use crate::prf::{hash_bytes, mix};
use crate::time::Time;
use crate::trace::What;

const WEATHER_DISK: u8 = 0x81;

#[derive(Clone, Debug)]
pub(crate) struct Host<N> {
    pub(crate) node: Option<N>,
    /// It takes no part in the run.
    pub(crate) absent: bool,
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    /// Store operations; the first is under way if there is any.
    queue: VecDeque<StoreOp>,
    ops: u32,
    /// The earliest timer job in the heap that counts.
    pub(crate) timer: Option<Time>,
    pub(crate) timers: u32,
    /// How many pauses are on.
    pub(crate) paused: u32,
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) waiting_datagrams: usize,
    /// How many troubles of each sort are on, in the order of `Trouble`.
    pub(crate) trouble: [u32; 3],
    /// The latest trouble, by its index in the plan.
    pub(crate) trouble_by: u32,
    pub(crate) clocks: Vec<Clock>,
}

/// A wall clock that is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The fault, by its index in the plan.
    pub(crate) index: u32,
    pub(crate) since: Time,
    pub(crate) step_ms: i64,
    pub(crate) drift_ppm: i32,
}

impl Clock {
    /// In milliseconds.
    pub(crate) fn wrong_by(&self, now: Time) -> i64 {
        let gone = now.since(self.since).as_millis() as i64;
        self.step_ms.saturating_add(gone.saturating_mul(self.drift_ppm.into()) / 1_000_000)
    }
}

/// An input that came while the node stood still.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting {
    Datagram(u32),
    Cmd(u32),
    Stored(OpId, Result<(), StoreError>),
    /// Something on the way to this end of a stream.
    Stream(u32),
    /// There is room in this stream.
    Room(u32),
}

impl<N: Node> Host<N> {
    pub(crate) fn new(absent: bool) -> Self {
        Self {
            absent,
            node: None,
            life: 0,
            disk: Disk::default(),
            queue: VecDeque::new(),
            ops: 0,
            timer: None,
            timers: 0,
            paused: 0,
            waiting: VecDeque::new(),
            waiting_datagrams: 0,
            trouble: [0; 3],
            trouble_by: 0,
            clocks: Vec::new(),
        }
    }

    pub(crate) const fn suffers(&self, trouble: Trouble) -> bool {
        self.trouble[trouble as usize] > 0
    }

    /// The node asks for a store operation.
    pub(crate) fn store(&mut self, core: &mut Core, id: u32, model: &DiskModel, op: StoreOp) {
        let content = digest(&op.op);
        core.put(id, What::Store { op: op.id.0 }, content, |text| describe(&op.op, text));
        if let DiskOp::Append { bytes, .. } = &op.op {
            core.rec.keep(bytes, || content);
        }
        self.queue.push_back(op);
        if self.queue.len() == 1 {
            self.begin_op(core, id, model);
        }
    }

    fn begin_op(&mut self, core: &mut Core, id: u32, model: &DiskModel) {
        let Some(op) = self.queue.front() else { return };
        let dist = if matches!(op.op, DiskOp::Sync { .. }) { model.sync } else { model.append };
        self.ops += 1;
        let word = core.weather(WEATHER_DISK, mix(u64::from(id)), self.ops).unwrap_or(0);
        let slow = if self.suffers(Trouble::Slow) { 100 } else { 1 };
        if slow > 1 {
            core.touch(self.trouble_by, Kind::Disk);
        }
        let due = core.now.plus(dist.sample(word).saturating_mul(slow));
        core.heap.push(due, Job::Stored { node: id, life: self.life });
    }

    /// The first operation has ended; `None` if it belonged to an earlier life.
    pub(crate) fn end_op(
        &mut self,
        core: &mut Core,
        id: u32,
        life: u32,
        model: &DiskModel,
    ) -> Option<(OpId, Result<(), StoreError>)> {
        if life != self.life || self.node.is_none() {
            return None;
        }
        let StoreOp { id: op, op: what } = self.queue.pop_front()?;
        let result = self.perform(what);
        core.stats.stored += 1;
        if result.is_err() {
            core.stats.store_errors += 1;
            core.touch(self.trouble_by, Kind::Disk);
        }
        core.put(id, What::Stored { op: op.0, ok: result.is_ok() }, 0, |text| {
            if let Err(error) = result {
                text.push_str(&error.to_string());
            }
        });
        self.begin_op(core, id, model);
        Some((op, result))
    }

    fn perform(&mut self, op: DiskOp) -> Result<(), StoreError> {
        let append = matches!(op, DiskOp::Append { .. });
        if append && self.suffers(Trouble::Full) {
            return Err(StoreError::NoSpace);
        }
        if self.suffers(Trouble::Error) {
            if let DiskOp::Sync { file } = &op {
                self.disk.doubt(file);
            }
            if append || matches!(op, DiskOp::Sync { .. }) {
                return Err(StoreError::Io);
            }
        }
        self.disk.apply(op);
        Ok(())
    }

    /// The node is gone, and with it everything that was not on the disk. Returns the datagrams that waited
    /// for it.
    pub(crate) fn crash(&mut self, loss: DiskLoss) -> Vec<u32> {
        self.node = None;
        self.life += 1;
        self.timer = None;
        self.queue.clear();
        self.disk.crash(loss);
        self.waiting_datagrams = 0;
        let datagram = |waiting| match waiting {
            Waiting::Datagram(index) => Some(index),
            _ => None,
        };
        self.waiting.drain(..).filter_map(datagram).collect()
    }
}

fn digest(op: &DiskOp) -> u64 {
    let (code, file, rest) = match op {
        DiskOp::Append { file, bytes } => (1, file, hash_bytes(0, bytes)),
        DiskOp::Sync { file } => (2, file, 0),
        DiskOp::Truncate { file, len } => (3, file, *len),
        DiskOp::Remove { file } => (4, file, 0),
    };
    mix(hash_bytes(code, file.as_bytes()) ^ rest)
}

fn describe(op: &DiskOp, text: &mut String) {
    let line = match op {
        DiskOp::Append { file, bytes } => format!("append {file} {} B", bytes.len()),
        DiskOp::Sync { file } => format!("sync {file}"),
        DiskOp::Truncate { file, len } => format!("truncate {file} {len}"),
        DiskOp::Remove { file } => format!("remove {file}"),
    };
    text.push_str(&line);
}
