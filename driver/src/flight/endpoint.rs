//! An endpoint of the core, and the tape that runs along.

use std::sync::Arc;

use proto_core::{
    Close, Config, ConnectError, ConnectionId, ConnectionRef, Credentials, Dial, DialError, DialId, Drain,
    Endpoint, Event, Link, LinkId, Meta, Output, Stats, Timestamp, Transmit,
};

use super::Conn;
use super::tape::{Tape, checksum, kind};
use crate::Path;

/// An endpoint whose inputs are noted, where somebody wants that: there is no other way to it.
#[derive(Debug)]
pub(crate) struct Flight {
    endpoint: Endpoint<Path>,
    tape: Option<Box<Tape>>,
    /// What endpoints have counted whose place this one has taken.
    past: Option<Box<Stats>>,
    /// What a tape had missed that is no more, and why it ended.
    recorded: Option<(u64, String)>,
}

impl Flight {
    pub(crate) const fn new(endpoint: Endpoint<Path>) -> Self {
        Self { endpoint, tape: None, past: None, recorded: None }
    }

    /// The same, noted from here on, which must be its birth.
    pub(crate) fn on(self, tape: Option<Tape>) -> Self {
        Self { tape: tape.map(Box::new), ..self }
    }

    /// Another endpoint in the place of this one.
    pub(crate) const fn replace(&mut self, endpoint: Endpoint<Path>) -> Endpoint<Path> {
        std::mem::replace(&mut self.endpoint, endpoint)
    }

    /// Nothing more is noted. What was goes to the disk; dropping the tape waits for that.
    pub(crate) fn end(&mut self) -> Option<Box<Tape>> {
        let mut tape = self.tape.take()?;
        tape.hand_over();
        let why = tape.why_ended().unwrap_or("the endpoint has ended");
        self.recorded = Some((tape.missed(), why.to_owned()));
        Some(tape)
    }

    /// Writes all that was noted, and waits for it.
    #[cfg(test)]
    pub(crate) fn flush(&mut self) {
        self.tape.iter_mut().for_each(|tape| tape.flush());
    }

    /// To be called after each turn.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let Self { endpoint, tape: Some(tape), past, .. } = self else { return };
        tape.settle(now);
        if tape.is_due(now) && endpoint.is_at_rest() {
            let generation = endpoint.next_generation();
            // Where no other file can be made, this one goes on.
            if let Ok(seed) = tape.begin_anew(endpoint.config(), now, generation) {
                **past.get_or_insert_default() += &endpoint.stats();
                *endpoint = endpoint.reborn(seed, now, generation);
            }
        }
    }

    /// Inputs that were not noted because recording had ended.
    pub(crate) fn missed(&self) -> u64 {
        let before = self.recorded.as_ref().map_or(0, |&(missed, _)| missed);
        self.tape.as_ref().map_or(before, |tape| tape.missed())
    }

    /// Why recording has ended, if it has.
    pub(crate) fn recording_ended(&self) -> Option<&str> {
        match &self.tape {
            Some(tape) => tape.why_ended(),
            None => self.recorded.as_ref().map(|(_, why)| why.as_str()),
        }
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        self.endpoint.config()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.endpoint.stats();
        if let Some(past) = &self.past {
            stats += past;
        }
        stats
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<ConnectionRef<'_>> {
        self.endpoint.get(id)
    }

    pub(crate) fn address(&self, id: ConnectionId) -> Option<Path> {
        self.endpoint.address(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.endpoint.is_empty()
    }

    pub(crate) const fn is_draining(&self) -> bool {
        self.endpoint.is_draining()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let due = self.tape.as_ref().and_then(|tape| tape.due());
        self.endpoint.poll_timeout().into_iter().chain(due).min()
    }

    pub(crate) fn record_limit(&self, id: LinkId) -> usize {
        self.endpoint.record_limit(id)
    }

    pub(crate) fn has_link(&self, id: LinkId) -> bool {
        self.endpoint.has_link(id)
    }

    #[inline]
    pub(crate) fn connection(&mut self, id: ConnectionId) -> Option<Conn<'_>> {
        let Self { endpoint, tape, .. } = self;
        endpoint.connection(id).map(|conn| Conn::new(conn, id, tape.as_deref_mut()))
    }

    pub(crate) fn handle_packet(&mut self, now: Timestamp, meta: Meta<Path>, packet: &[u8]) {
        self.note_packets(now, meta, packet, 0);
        self.endpoint.handle_packet(now, meta, packet);
    }

    pub(crate) fn handle_packets(&mut self, now: Timestamp, meta: Meta<Path>, packets: &[u8], stride: usize) {
        self.note_packets(now, meta, packets, stride);
        self.endpoint.handle_packets(now, meta, packets, stride);
    }

    /// With a `stride` of 0 it is one packet.
    #[inline]
    fn note_packets(&mut self, now: Timestamp, meta: Meta<Path>, packets: &[u8], stride: usize) {
        if let Some(tape) = &mut self.tape {
            let path = tape.path(meta.path);
            tape.note_with(now, kind::PACKETS, &(path, meta.ecn, stride), packets);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::TIMEOUT, &());
        }
        self.endpoint.handle_timeout(now);
    }

    pub(crate) fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        let mut packets = Vec::new();
        match &self.tape {
            None => return self.endpoint.poll_transmit(now, buf),
            Some(_) => self.poll_packets(now, 1, buf, &mut packets),
        };
        packets.pop()
    }

    pub(crate) fn poll_packets(
        &mut self,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        let Self { endpoint, tape: Some(tape), .. } = self else {
            return self.endpoint.poll_packets(now, max, buf, packets);
        };
        let (before, start) = (packets.len(), buf.len());
        let unanswered = (max, usize::MAX, 0_u32);
        let work = || endpoint.poll_packets(now, max, buf, packets);
        let sent = tape.asking(now, kind::TRANSMIT, &unanswered, work);
        let sum = checksum(&packets[before..], &buf[start..]);
        tape.note(now, kind::TRANSMIT, &(max, sent, sum));
        sent
    }

    pub(crate) fn link_up_from(
        &mut self,
        now: Timestamp,
        path: Path,
        link: Link,
        vouched: Credentials,
    ) -> LinkId {
        if let Some(tape) = &mut self.tape {
            let path = tape.path(path);
            tape.note(now, kind::LINK_UP, &(path, link, &vouched));
        }
        self.endpoint.link_up_from(now, path, link, vouched)
    }

    pub(crate) fn link_down(&mut self, now: Timestamp, id: LinkId) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::LINK_DOWN, &id);
        }
        self.endpoint.link_down(now, id);
    }

    pub(crate) fn release_link(&mut self, id: LinkId) -> bool {
        let Self { endpoint, tape: Some(tape), .. } = self else { return self.endpoint.release_link(id) };
        let work = || endpoint.release_link(id);
        let is_released = tape.asking(tape.at(), kind::RELEASE_LINK, &(id, false), work);
        tape.note_at_once(kind::RELEASE_LINK, &(id, is_released));
        is_released
    }

    pub(crate) fn link_broken(&mut self, now: Timestamp, id: LinkId, why: &'static str) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::LINK_BROKEN, &(id, why.as_bytes()));
        }
        self.endpoint.link_broken(now, id, why);
    }

    pub(crate) fn link_refused(&mut self, now: Timestamp, id: LinkId) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::LINK_REFUSED, &id);
        }
        self.endpoint.link_refused(now, id);
    }

    pub(crate) fn handle_record(&mut self, now: Timestamp, id: LinkId, record: &[u8]) {
        if let Some(tape) = &mut self.tape {
            tape.note_with(now, kind::RECORD, &id, record);
        }
        self.endpoint.handle_record(now, id, record);
    }

    pub(crate) fn poll_link(&mut self) -> Option<LinkId> {
        let Self { endpoint, tape: Some(tape), .. } = self else { return self.endpoint.poll_link() };
        let unanswered = Some(LinkId::from_number(u64::MAX));
        let link = tape.asking(tape.at(), kind::POLL_LINK, &unanswered, || endpoint.poll_link());
        tape.note_at_once(kind::POLL_LINK, &link);
        link
    }

    pub(crate) fn poll_record(&mut self, now: Timestamp, id: LinkId, buf: &mut Vec<u8>) -> Output {
        let Self { endpoint, tape: Some(tape), .. } = self else {
            return self.endpoint.poll_record(now, id, buf);
        };
        let start = buf.len();
        let unanswered = (id, (usize::MAX, 0_u32));
        let work = || endpoint.poll_record(now, id, buf);
        let output = tape.asking(now, kind::POLL_RECORD, &unanswered, work);
        tape.note(now, kind::POLL_RECORD, &(id, said(output, &buf[start..])));
        output
    }

    pub(crate) fn poll_dial(&mut self) -> Option<Dial<Path>> {
        let Self { endpoint, tape: Some(tape), .. } = self else { return self.endpoint.poll_dial() };
        let unanswered = Some((false, DialId::from_number(u64::MAX)));
        let dial = tape.asking(tape.at(), kind::POLL_DIAL, &unanswered, || endpoint.poll_dial());
        tape.note_at_once(kind::POLL_DIAL, &asked(dial));
        dial
    }

    pub(crate) fn dialed(&mut self, now: Timestamp, id: DialId, link: Link) -> Option<LinkId> {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::DIALED, &(id, link));
        }
        self.endpoint.dialed(now, id, link)
    }

    pub(crate) fn dial_failed(&mut self, now: Timestamp, id: DialId, error: DialError) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::DIAL_FAILED, &(id, error));
        }
        self.endpoint.dial_failed(now, id, error);
    }

    pub(crate) fn connect_any_with(
        &mut self,
        now: Timestamp,
        paths: &[Path],
        credentials: &[u8],
    ) -> Result<ConnectionId, ConnectError> {
        let Self { endpoint, tape: Some(tape), .. } = self else {
            return self.endpoint.connect_any_with(now, paths, credentials);
        };
        let numbers = tape.paths(paths);
        let unanswered = (&numbers, credentials, Some(ConnectionId::from_number(u64::MAX)));
        let work = || endpoint.connect_any_with(now, paths, credentials);
        let connected = tape.asking(now, kind::CONNECT, &unanswered, work);
        tape.note(now, kind::CONNECT, &(numbers, credentials, connected.ok()));
        connected
    }

    pub(crate) fn poll_event(&mut self) -> Option<(ConnectionId, Event)> {
        if let Some(tape) = &mut self.tape {
            tape.polled();
        }
        self.endpoint.poll_event()
    }

    pub(crate) fn close_all(&mut self, now: Timestamp, close: &Close) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::CLOSE_ALL, close);
        }
        self.endpoint.close_all(now, close);
    }

    pub(crate) fn drain(&mut self, now: Timestamp, how: Drain) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::DRAIN, &how);
        }
        self.endpoint.drain(now, how);
    }

    pub(crate) fn turn_away(&mut self) -> Close {
        if let Some(tape) = &mut self.tape {
            tape.note_at_once(kind::TURN_AWAY, &());
        }
        self.endpoint.turn_away()
    }

    pub(crate) fn admit(&mut self, now: Timestamp, id: ConnectionId) -> bool {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::ADMIT, &id);
        }
        self.endpoint.admit(now, id)
    }

    pub(crate) fn refuse(&mut self, now: Timestamp, id: ConnectionId, close: Close) -> bool {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind::REFUSE, &(id, &close));
        }
        self.endpoint.refuse(now, id, close)
    }
}

/// What came of a question for the next record of a stream: how long it is, 0 for none, and its checksum; 1 closes the stream.
pub fn said(output: Output, bytes: &[u8]) -> (usize, u32) {
    match output {
        Output::Record(len) => (len, crc32c::crc32c(bytes)),
        Output::Idle => (0, 0),
        Output::Close => (0, 1),
    }
}

/// Whether a stream is to be opened, and its number; where to is told by what the endpoint was told itself.
pub(super) fn asked(dial: Option<Dial<Path>>) -> Option<(bool, DialId)> {
    dial.map(|dial| match dial {
        Dial::Begin { id, .. } => (true, id),
        Dial::Cancel(id) => (false, id),
    })
}
