//! A machine, and the tape that runs along.

use std::ops::Deref;

use driver::recorded::{Put, checksum, said};
use driver::{Machine, Path};
use proto_core::{Credentials, Link, LinkId, Meta, Now, Output, Timestamp, Transmit};

use super::{Record, Recordings, kind};

/// A machine whose inputs are noted, where somebody wants that. To look at it, it is itself.
pub(crate) struct Taped<M> {
    machine: M,
    record: Option<Record>,
}

impl<M> Deref for Taped<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M: Machine> Taped<M> {
    /// It is born, and its birth is in `record`.
    pub(crate) const fn new(machine: M, record: Option<Record>) -> Self {
        Self { machine, record }
    }

    /// Notes an input that is not among the verbs of machines, and hands out the machine, which is to be told it.
    pub(crate) fn tell(&mut self, now: Now, kind: u8, what: &impl Put) -> &mut M {
        if let Some(record) = &mut self.record {
            record.note(now, kind, what);
        }
        &mut self.machine
    }

    /// Asks something whose answer is noted, by `noted`; `unanswered` if that panics.
    pub(crate) fn ask<T, N: Put>(
        &mut self,
        now: Now,
        kind: u8,
        unanswered: &impl Put,
        work: impl FnOnce(&mut M) -> T,
        noted: impl FnOnce(&T) -> N,
    ) -> T {
        let Self { machine, record } = self;
        let Some(record) = record else { return work(machine) };
        let answer = record.asking(now, kind, unanswered, || work(machine));
        record.note(now, kind, &noted(&answer));
        answer
    }

    /// Polls until there is nothing more; noted are how many there were, and their checksum.
    pub(crate) fn poll_all<T: Put>(
        &mut self,
        now: Now,
        kind: u8,
        mut poll: impl FnMut(&mut M) -> Option<T>,
        mut take: impl FnMut(T),
    ) {
        let Self { machine, record } = self;
        let Some(record) = record else {
            while let Some(one) = poll(machine) {
                take(one);
            }
            return;
        };
        let (mut count, mut bytes) = (0_u64, Vec::new());
        while let Some(one) = record.asking(now, kind, &(u64::MAX, 0_u32), || poll(machine)) {
            one.put(&mut bytes);
            count += 1;
            take(one);
        }
        if count > 0 {
            record.note(now, kind, &(count, checksum(&[], &bytes)));
        }
    }

    /// To be called after each turn.
    pub(crate) fn settle(&mut self, now: Now) {
        self.record.iter_mut().for_each(|record| record.settle(now));
    }

    /// How far it is recorded.
    pub(crate) fn recordings(&self) -> Recordings {
        self.record.as_ref().map(Record::count).unwrap_or_default()
    }

    /// Nothing more is noted. What was goes to the disk; dropping the record waits for that.
    pub(crate) fn end_record(&mut self) -> Option<Record> {
        let mut record = self.record.take()?;
        record.recorder.hand_over();
        Some(record)
    }
}

impl<M: Machine> Machine for Taped<M> {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.note_packets(now, meta, packet, 0);
        self.machine.handle_packet(now, meta, packet);
    }

    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        self.note_packets(now, meta, packets, stride);
        self.machine.handle_packets(now, meta, packets, stride);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.tell(now, kind::TIMEOUT, &()).handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        if self.record.is_none() {
            return self.machine.poll_transmit(now, buf);
        }
        let mut packets = Vec::new();
        self.poll_packets(now, 1, buf, &mut packets);
        packets.pop()
    }

    fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        let Self { machine, record: Some(record) } = self else {
            return self.machine.poll_packets(now, max, buf, packets);
        };
        let (before, start) = (packets.len(), buf.len());
        let unanswered = (max, usize::MAX, 0_u32);
        let work = || machine.poll_packets(now, max, buf, packets);
        let sent = record.asking(now, kind::TRANSMIT, &unanswered, work);
        let sum = checksum(&packets[before..], &buf[start..]);
        record.note(now, kind::TRANSMIT, &(max, sent, sum));
        sent
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let due = self.record.as_ref().and_then(Record::due);
        self.machine.poll_timeout().into_iter().chain(due).min()
    }

    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        let Self { machine, record: Some(record) } = self else {
            return self.machine.link_up(now, path, link, vouched);
        };
        let up = (record.path(now, path), link, vouched.clone());
        let work = || machine.link_up(now, path, link, vouched);
        let id = record.asking(now, kind::LINK_UP, &(&up.0, link, &up.2, None::<LinkId>), work);
        record.note(now, kind::LINK_UP, &(&up.0, link, &up.2, id));
        id
    }

    fn link_down(&mut self, now: Now, id: LinkId) {
        self.tell(now, kind::LINK_DOWN, &id).link_down(now, id);
    }

    fn release_link(&mut self, now: Now, id: LinkId) -> bool {
        let released = |machine: &mut M| machine.release_link(now, id);
        self.ask(now, kind::RELEASE_LINK, &(id, false), released, |is_released| (id, *is_released))
    }

    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        self.tell(now, kind::LINK_BROKEN, &(id, why.as_bytes())).link_broken(now, id, why);
    }

    fn handle_record(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        if let Some(record) = &mut self.record {
            record.note_with(now, kind::RECORD, &id, bytes);
        }
        self.machine.handle_record(now, id, bytes);
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.machine.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        let Self { machine, record: Some(record) } = self else { return self.machine.poll_link() };
        let at = record.latest;
        let unanswered = Some(LinkId::from_number(u64::MAX));
        let link = record.asking(at, kind::POLL_LINK, &unanswered, || machine.poll_link());
        record.note(at, kind::POLL_LINK, &link);
        link
    }

    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        let Self { machine, record: Some(record) } = self else {
            return self.machine.poll_record(now, id, buf);
        };
        let before = buf.len();
        let unanswered = (id, (usize::MAX, 0_u32));
        let work = || machine.poll_record(now, id, buf);
        let output = record.asking(now, kind::POLL_RECORD, &unanswered, work);
        record.note(now, kind::POLL_RECORD, &(id, said(output, &buf[before..])));
        output
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.machine.has_link(id)
    }

    fn is_over(&self) -> bool {
        self.machine.is_over()
    }
}

impl<M> Taped<M> {
    /// With a `stride` of 0 it is one packet.
    fn note_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        if let Some(record) = &mut self.record {
            let path = record.path(now, meta.path);
            record.note_with(now, kind::PACKETS, &(path, meta.ecn, stride), packets);
        }
    }
}
