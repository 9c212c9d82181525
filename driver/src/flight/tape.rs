//! What an endpoint is told, on its way into a file.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use proto_core::wire::varint;
use proto_core::{ConfigBuilder, Now, Timestamp, Transmit};

use super::RECORDED;
use super::code::Put;
use crate::record::{beside, kept_beside, numbered};
use crate::{Path, Recorder, seed};

/// The sorts of input.
pub(super) mod kind {
    pub(crate) const BIRTH: u8 = 0;
    pub(crate) const PATH: u8 = 1;
    pub(crate) const PACKETS: u8 = 2;
    pub(crate) const TIMEOUT: u8 = 3;
    /// Packets were asked for, so many at most; with how many came, and their checksum.
    pub(crate) const TRANSMIT: u8 = 4;
    /// Events were polled, so many times.
    pub(crate) const EVENTS: u8 = 5;
    pub(crate) const LINK_UP: u8 = 6;
    pub(crate) const LINK_DOWN: u8 = 7;
    pub(crate) const LINK_BROKEN: u8 = 8;
    /// A stream is another shard's, unless it is too late for that.
    pub(crate) const RELEASE_LINK: u8 = 9;
    pub(crate) const RECORD: u8 = 10;
    pub(crate) const POLL_LINK: u8 = 11;
    pub(crate) const POLL_RECORD: u8 = 12;
    pub(crate) const POLL_DIAL: u8 = 13;
    pub(crate) const DIALED: u8 = 14;
    pub(crate) const DIAL_FAILED: u8 = 15;
    pub(crate) const CONNECT: u8 = 16;
    pub(crate) const CLOSE_ALL: u8 = 17;
    pub(crate) const DRAIN: u8 = 18;
    pub(crate) const TURN_AWAY: u8 = 19;
    pub(crate) const ADMIT: u8 = 20;
    pub(crate) const REFUSE: u8 = 21;
    pub(crate) const CLOSE: u8 = 22;
    pub(crate) const OPEN_CHANNEL: u8 = 23;
    pub(crate) const LIMIT_SENDING: u8 = 24;
    pub(crate) const LIMIT_RECEIVING: u8 = 25;
    pub(crate) const ACK: u8 = 26;
    pub(crate) const REJECT: u8 = 27;
    pub(crate) const REPLY: u8 = 28;
    /// What was refused comes again as long as there is no room: only its length is noted, here and below.
    pub(crate) const REPLY_REFUSED: u8 = 29;
    pub(crate) const SEND_REFUSED: u8 = 30;
    pub(crate) const TAKE_REPLY: u8 = 31;
    pub(crate) const SEND: u8 = 32;
    pub(crate) const REQUEST: u8 = 33;
    pub(crate) const RECV: u8 = 34;
    pub(crate) const RECV_MANY: u8 = 35;
    pub(crate) const CANCEL: u8 = 36;
    pub(crate) const LIMIT_QUEUE: u8 = 37;
    pub(crate) const SET_PRIORITY: u8 = 38;
    pub(crate) const LIMIT_SENDING_ON: u8 = 39;
    pub(crate) const LIMIT_RECEIVING_ON: u8 = 40;
    /// A connection was borrowed and told nothing: it is asked whether it has something to send in its turn, which is now.
    pub(crate) const LOOK: u8 = 41;
    pub(crate) const REQUEST_REFUSED: u8 = 42;
    pub(crate) const CANCEL_REQUEST: u8 = 43;
    /// The peer does not take what the stream shows of this side.
    pub(crate) const LINK_REFUSED: u8 = 44;
    /// Added to a sort whose time was before that of the input before it; how long comes first.
    pub(crate) const LATE: u8 = 0x80;
}

/// A file with all that an endpoint is told, so that `simtest replay` can tell it again. It holds messages and secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    /// Where. What was recorded there before stays until the next time, in `session.old.rec`. With several shards each has a file of
    /// its own, with the shard's number before the extension: `session.rec`, `session.1.rec`.
    pub file: PathBuf,
    /// Recording ends when a file has this size in bytes. 1 GiB.
    pub limit: u64,
    /// Recording begins anew at a moment at which nobody is connected, once half of `limit` is used or recording has ended: so the file
    /// holds the latest of what an endpoint has done, and not the first. What was recorded before is in `session.old.rec`. The endpoint is born again then, with fresh keys for tokens and nothing that it knew of those who have gone:
    /// a client that was about to come needs a round trip more. No.
    pub again: bool,
    /// So many bytes wait in memory for the disk at most. If it takes less than comes, recording ends; the protocol never waits for it.
    /// 4 MiB.
    pub memory: usize,
    /// What waits goes to the disk after this time at the latest: a process that is killed loses so much of the end. 1 s.
    pub delay: Duration,
}

impl RecordOptions {
    /// A recording in `file`.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            limit: 1 << 30,
            again: false,
            memory: 4 << 20,
            delay: Duration::from_secs(1),
        }
    }

    /// That of a shard.
    pub(crate) fn of_shard(&self, shard: u8) -> Self {
        Self { file: numbered(&self.file, shard), ..self.clone() }
    }

    /// Where what was recorded before stays.
    pub fn old_file(&self) -> PathBuf {
        kept_beside(&self.file)
    }
}

/// What an endpoint is born with, beside its settings.
#[derive(Clone, Debug)]
pub(crate) struct Birth {
    pub(crate) seed: [u8; 32],
    /// Where it was drawn, and is not among the application's settings.
    pub(crate) server_key: Option<[u8; 32]>,
    /// The first generation of its ids.
    pub(crate) generation: u32,
}

/// The settings as text, so that a replay with others can say which. Functions have an address that is not the same twice.
pub(super) fn settings(config: &ConfigBuilder) -> String {
    let text = format!("{config:?}");
    let other = |setting: &&str| !setting.starts_with("checksum: ");
    text.trim_end_matches(" }").split(", ").filter(other).collect::<Vec<_>>().join(", ")
}

/// Where in [`settings`] two differ.
pub(super) fn difference<'a>(one: &'a str, other: &'a str) -> Option<(&'a str, &'a str)> {
    let mut others = other.split(", ");
    one.split(", ").map(|setting| (setting, others.next().unwrap_or_default())).find(|(a, b)| a != b)
}

/// Of what was sent, and where to.
pub fn checksum(packets: &[Transmit<Path>], bytes: &[u8]) -> u32 {
    let mut head = Vec::new();
    for sent in packets {
        (sent.path, sent.ecn, sent.len).put(&mut head);
    }
    crc32c::crc32c_append(crc32c::crc32c(&head), bytes)
}

/// So many paths are known by a number; then the numbers begin anew.
const PATHS: usize = 65_536;

/// Notes inputs.
#[derive(Debug)]
pub(crate) struct Tape {
    options: RecordOptions,
    birth: Birth,
    recorder: Recorder,
    /// Inputs that were not recorded before this recording began.
    missed: u64,
    paths: BTreeMap<Path, u32>,
    at: Timestamp,
    unix_ms: u64,
    /// Polls for events that are not noted yet.
    polls: u64,
    /// How many inputs were noted.
    noted: u64,
    born: Timestamp,
    /// When what there was went to the disk last.
    flushed: Timestamp,
    /// Since then more was noted than what comes of time.
    is_fresh: bool,
    scratch: Vec<u8>,
}

impl Tape {
    pub(crate) fn new(
        options: &RecordOptions,
        config: &ConfigBuilder,
        birth: &Birth,
        now: Now,
    ) -> io::Result<Self> {
        let recorder = Recorder::create(&options.file, RECORDED, options.limit)?.with_memory(options.memory);
        let mut tape = Self {
            options: options.clone(),
            birth: birth.clone(),
            recorder,
            missed: 0,
            paths: BTreeMap::new(),
            at: now.mono,
            unix_ms: now.unix_ms,
            polls: 0,
            noted: 0,
            born: now.mono,
            flushed: now.mono,
            is_fresh: false,
            scratch: Vec::new(),
        };
        let ConfigBuilder { shard, accept, wall_epoch, .. } = config;
        let Birth { seed, server_key, generation } = birth;
        let born = (seed, server_key, generation, shard, accept, wall_epoch, settings(config));
        tape.note(now.mono, kind::BIRTH, &born);
        Ok(tape)
    }

    /// Notes an input.
    pub(super) fn note(&mut self, now: Timestamp, kind: u8, what: &impl Put) {
        self.note_with(now, kind, what, &[]);
    }

    /// Notes an input with bytes at its end.
    pub(super) fn note_with(&mut self, now: Timestamp, kind: u8, what: &impl Put, rest: &[u8]) {
        self.note_polls();
        self.noted += 1;
        self.is_fresh |= !matches!(kind, kind::TIMEOUT | kind::TRANSMIT);
        self.put(now, kind, what, rest);
    }

    #[inline]
    pub(super) const fn noted(&self) -> u64 {
        self.noted
    }

    fn put(&mut self, now: Timestamp, kind: u8, what: &impl Put, rest: &[u8]) {
        self.scratch.clear();
        let late = self.at.since(now);
        let kind = if late.is_zero() {
            self.at = now;
            kind
        } else {
            varint::encode(late.as_nanos() as u64, &mut self.scratch);
            kind | kind::LATE
        };
        what.put(&mut self.scratch);
        let at = Now { mono: self.at, unix_ms: self.unix_ms };
        self.recorder.note(at, kind, &[&self.scratch, rest]);
    }

    /// Runs `work`, a question whose answer is noted later; if it panics, this is noted instead.
    pub(super) fn asking<T>(
        &mut self,
        now: Timestamp,
        kind: u8,
        what: &impl Put,
        work: impl FnOnce() -> T,
    ) -> T {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            self.note(now, kind, what);
            resume_unwind(panic)
        })
    }

    /// When the latest input came.
    pub(super) const fn at(&self) -> Timestamp {
        self.at
    }

    /// Notes an input that knows no time.
    pub(super) fn note_at_once(&mut self, kind: u8, what: &impl Put) {
        self.note(self.at, kind, what);
    }

    pub(super) const fn polled(&mut self) {
        self.polls += 1;
    }

    fn note_polls(&mut self) {
        if self.polls > 0 {
            let polls = std::mem::take(&mut self.polls);
            self.put(self.at, kind::EVENTS, &polls, &[]);
        }
    }

    /// The numbers of paths that are told together: none of them begins the numbers anew.
    pub(super) fn paths(&mut self, paths: &[Path]) -> Vec<u32> {
        if self.paths.len() + paths.len() > PATHS {
            self.paths.clear();
        }
        paths.iter().map(|path| self.path(*path)).collect()
    }

    /// The number of a path; notes it first if it is new.
    pub(super) fn path(&mut self, path: Path) -> u32 {
        if let Some(number) = self.paths.get(&path) {
            return *number;
        }
        if self.paths.len() >= PATHS {
            self.paths.clear();
        }
        let number = self.paths.len() as u32;
        self.paths.insert(path, number);
        self.note_at_once(kind::PATH, &(number, path));
        number
    }

    /// To be called now and then: what was noted long ago goes to the disk.
    pub(super) fn settle(&mut self, now: Timestamp) {
        if now.since(self.flushed) >= self.options.delay {
            self.flushed = now;
            self.is_fresh = false;
            self.hand_over();
        }
    }

    /// Has all that was noted written, without waiting for it.
    pub(super) fn hand_over(&mut self) {
        self.note_polls();
        self.recorder.hand_over();
    }

    /// When it wants to be settled.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.is_fresh.then(|| self.flushed + self.options.delay)
    }

    /// Writes all that was noted, and waits for it.
    #[cfg(test)]
    pub(super) fn flush(&mut self) {
        self.note_polls();
        self.recorder.flush();
    }

    /// How many inputs are missing at the end.
    pub(super) const fn missed(&self) -> u64 {
        self.missed + self.recorder.missed()
    }

    /// Whether recording is to begin anew as soon as the endpoint is at rest; not over and over where the disk or the limit is too small.
    #[inline]
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.options.again
            && now.since(self.born) >= self.options.delay
            && (self.recorder.why_ended().is_some() || self.recorder.left() < self.options.limit / 2)
    }

    /// Begins anew, in another file, with the birth of an endpoint with these ids; its seed.
    pub(super) fn begin_anew(
        &mut self,
        config: &ConfigBuilder,
        now: Timestamp,
        generation: u32,
    ) -> io::Result<[u8; 32]> {
        let birth = Birth { seed: seed()?, generation, ..self.birth.clone() };
        self.note_polls();
        let options = RecordOptions { file: beside(&self.options.file, "new"), ..self.options.clone() };
        let mut new = Self::new(&options, config, &birth, Now { mono: now, unix_ms: self.unix_ms })?;
        // The threads that write them go on under the other names.
        std::fs::rename(&self.options.file, self.options.old_file())?;
        std::fs::rename(&options.file, &self.options.file)?;
        (new.options, new.missed) = (self.options.clone(), self.missed());
        let old = std::mem::replace(self, new);
        // It waits for the disk; where there is no thread for that, it waits here.
        let _ = thread::Builder::new().name("recorder".into()).spawn(move || drop(old));
        Ok(birth.seed)
    }

    /// Why recording has ended, if it has.
    pub(super) fn why_ended(&self) -> Option<&str> {
        self.recorder.why_ended()
    }
}
