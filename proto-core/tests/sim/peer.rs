//! A node of the simulation that uses the core directly: endpoint, channels, requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proto_core::{
    Batch, ChannelId, ChannelOptions, Close, Config, ConnectionId, ConnectionRef, Endpoint, Event, Link,
    Message, MessageId, Rate, ReceiptId, RequestId, SendError, SessionId, State,
};
use simtest::{
    Addr, Dissect, Node, Now, RecvMeta, StreamEvent, StreamId, StreamOp, Streams, Time, Transmit, hash_bytes,
};

use crate::net::{At, dissect, dissect_framed, ecn_to, meta, reseal, time, timestamp};
pub(crate) use crate::story::{Ask, Cmd, Ev};
use crate::streams::By;
use crate::wires::Wires;

#[derive(Clone, Debug)]
struct Todo {
    conn: ConnectionId,
    channel: ChannelId,
    ask: Ask,
    payload: Vec<u8>,
}

/// A message that its sender waits to hear about.
#[derive(Clone, Debug)]
struct Owed {
    conn: ConnectionId,
    receipt: ReceiptId,
    hash: u64,
}

/// A part of a reply, or the last of it.
#[derive(Clone, Copy, Debug)]
struct Answer {
    conn: ConnectionId,
    request: RequestId,
    index: u8,
    is_last: bool,
}

/// One endpoint and an application that does what it is told.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) endpoint: Endpoint<At>,
    server: Option<Addr>,
    by: By,
    wires: Wires,
    current: Vec<ConnectionId>,
    established: BTreeMap<ConnectionId, SessionId>,
    reads: bool,
    made: u64,
    todo: VecDeque<Todo>,
    replies: VecDeque<Answer>,
    asked: Vec<(ConnectionId, RequestId)>,
    /// Answered one turn later.
    owed: Vec<Owed>,
    batches: u64,
    /// Channel 0 drops what it may not.
    drops: bool,
    last: Option<(ConnectionId, MessageId)>,
    /// The longest probe timeout of each connection that is being closed.
    closing: BTreeMap<ConnectionId, Duration>,
    events: VecDeque<Ev>,
    /// Half of all peers take their packets many at a time, as an adapter does; those that wait to go.
    takes_many: bool,
    waiting: VecDeque<(Transmit, Vec<u8>)>,
    /// Where packets went, by the connection ids in them.
    pub(crate) called: BTreeMap<[u8; 8], BTreeSet<Addr>>,
}

impl Peer {
    /// Takes note of the id in a packet after the handshake.
    fn note_called(&mut self, to: Addr, packet: &[u8]) {
        if let [0..0x80, id @ ..] = packet
            && let Some(&id) = id.first_chunk()
        {
            self.called.entry(id).or_default().insert(to);
        }
    }

    pub(crate) fn new(config: Arc<Config>, server: Option<Addr>, seed: [u8; 32], now: Time) -> Self {
        Self {
            endpoint: Endpoint::new(config, Link::datagram(1200), seed, timestamp(now)),
            server,
            by: By::Datagrams,
            wires: Wires::default(),
            current: Vec::new(),
            established: BTreeMap::new(),
            reads: true,
            made: 0,
            todo: VecDeque::new(),
            replies: VecDeque::new(),
            asked: Vec::new(),
            owed: Vec::new(),
            batches: 0,
            drops: false,
            last: None,
            closing: BTreeMap::new(),
            events: VecDeque::new(),
            takes_many: seed[0].is_multiple_of(2),
            waiting: VecDeque::new(),
            called: BTreeMap::new(),
        }
    }

    /// The same, reaching its server in this manner.
    pub(crate) const fn by(mut self, by: By) -> Self {
        self.by = by;
        self
    }

    /// What a client does first in each life but its first.
    pub(crate) fn connected(mut self, now: Time) -> Self {
        self.connect(timestamp(now));
        self
    }

    fn connect(&mut self, now: proto_core::Timestamp) {
        let Some(server) = self.server else { return };
        let ways: &[At] = match self.by {
            By::Datagrams => &[At::Datagrams(server)],
            By::Streams => &[At::Stream(server)],
            By::Both => &[At::Datagrams(server), At::Stream(server)],
        };
        if let Ok(id) = self.endpoint.connect_any(now, ways) {
            self.events.push_back(Ev::Asked(id));
            self.current.push(id);
        }
    }

    /// Nothing is on its way from here: all that was to be sent is settled, and what is being closed is closed.
    pub(crate) fn is_settled(&self) -> bool {
        let unsettled = |&id: &ConnectionId| self.endpoint.get(id).map_or(0, |conn| conn.unsettled());
        self.todo.is_empty()
            && self.replies.is_empty()
            && self.current.iter().map(unsettled).sum::<usize>() == 0
            && !self.connections().any(|conn| matches!(conn.state(), State::Flushing | State::Closing))
    }

    /// What it waits for, for a report.
    pub(crate) fn describe(&self) -> String {
        let unsettled: Vec<_> = self.connections().map(|conn| (conn.state(), conn.unsettled())).collect();
        format!("{} to send, {} replies owed, connections {unsettled:?}", self.todo.len(), self.replies.len())
    }

    pub(crate) const fn is_server(&self) -> bool {
        self.server.is_none()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.server.is_none() || self.current.iter().any(|id| self.established.contains_key(id))
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionRef<'_>> {
        self.current.iter().filter_map(|&id| self.endpoint.get(id))
    }

    fn payload(&mut self, size: u32) -> Vec<u8> {
        self.made += 1;
        let made = self.made;
        (0..u64::from(size))
            .map(|i| (i.wrapping_mul(31) ^ made.wrapping_mul(2_654_435_761) >> (i % 8 * 8)) as u8)
            .collect()
    }

    fn session(&self, conn: ConnectionId) -> SessionId {
        self.established.get(&conn).copied().unwrap_or(SessionId([0; 16]))
    }

    fn send_todo(&mut self, now: Now) {
        let mut full = Vec::new();
        for todo in std::mem::take(&mut self.todo) {
            let Todo { conn: id, channel, ask, payload } = todo.clone();
            if full.contains(&(id, channel)) {
                self.todo.push_back(todo);
                continue;
            }
            let Some(mut conn) = self.endpoint.connection(id) else { continue };
            let hash = hash_bytes(0, &payload);
            let Ask { class, receipt, lifetime, key, max_retransmits, batch } = ask;
            let payload = payload.into();
            let message = Message { payload, class, receipt, lifetime, key, max_retransmits, batch };
            let sent = conn.channel(channel).send(timestamp(now.mono), message);
            drop(conn);
            match sent {
                Ok(message) => {
                    self.last = Some((id, message));
                    let expendable = ask.is_expendable() || self.drops && channel == ChannelId::DEFAULT;
                    self.events.push_back(Ev::Accepted { conn: id, message, hash, ask, expendable });
                }
                Err(SendError::Full) => {
                    full.push((id, channel));
                    self.events.push_back(Ev::Refused { conn: id, channel });
                    self.todo.push_back(todo);
                }
                Err(_) => {}
            }
        }
    }

    fn send_replies(&mut self, now: Now) {
        let mut full = Vec::new();
        for answer in std::mem::take(&mut self.replies) {
            let Answer { conn: id, request, index, is_last } = answer;
            if full.contains(&id) {
                self.replies.push_back(answer);
                continue;
            }
            let Some(mut conn) = self.endpoint.connection(id) else { continue };
            let at = timestamp(now.mono);
            let sent = if is_last {
                conn.reply(at, request, vec![index])
            } else {
                conn.reply_part(at, request, vec![index; 700])
            };
            drop(conn);
            if sent == Err(SendError::Full) {
                full.push(id);
                self.events.push_back(Ev::Refused { conn: id, channel: ChannelId::DEFAULT });
                self.replies.push_back(answer);
            }
        }
    }

    fn take_answer(&mut self, now: Now, id: ConnectionId, request: RequestId, is_last: bool) {
        let Some(mut conn) = self.endpoint.connection(id) else { return };
        let Some(payload) = conn.take_reply(timestamp(now.mono), request) else { return };
        drop(conn);
        if let Some(&index) = payload.first() {
            self.events.push_back(Ev::Answered { conn: id, request, index, is_last });
        }
    }

    fn read(&mut self, now: Now, id: ConnectionId, channel: ChannelId) {
        let session = self.session(id);
        let Some(mut conn) = self.endpoint.connection(id).filter(|_| self.reads) else {
            return self.send_replies(now);
        };
        let at = timestamp(now.mono);
        let mut channel_state = conn.channel(channel);
        // One by one, or all at once: it makes no difference.
        let received: Vec<_> = if channel.0.is_multiple_of(2) {
            channel_state.recv_all(at).collect()
        } else {
            std::iter::from_fn(|| channel_state.recv(at)).collect()
        };
        drop(conn);
        for received in received {
            let hash = hash_bytes(0, &received.payload);
            let (class, number, gap) = (received.class, received.number, received.gap);
            self.events.push_back(Ev::Received { conn: id, session, channel, class, number, gap, hash });
            if let Some(receipt) = received.receipt {
                self.owed.push(Owed { conn: id, receipt, hash });
            }
            if let Some(request) = received.request.filter(|_| !received.cancelled) {
                self.events.push_back(Ev::Handled { session, request });
                let parts = (received.payload.len() % 4) as u8;
                self.replies.extend((0..=parts).map(|index| Answer {
                    conn: id,
                    request,
                    index,
                    is_last: index == parts,
                }));
            }
        }
        self.send_replies(now);
    }

    /// The application's word, the same for the same content, about what it has been given before this turn.
    fn answer(&mut self, now: Now) {
        for Owed { conn: id, receipt, hash } in std::mem::take(&mut self.owed) {
            let session = self.session(id);
            let Some(mut conn) = self.endpoint.connection(id) else { continue };
            let rejected = hash.is_multiple_of(4).then_some(hash % 1000);
            let is_owed = match rejected {
                None => conn.ack(timestamp(now.mono), receipt),
                Some(reason) => conn.reject(timestamp(now.mono), receipt, reason),
            };
            drop(conn);
            if is_owed {
                self.events.push_back(Ev::Judged { session, hash, rejected });
            }
        }
    }

    fn drain(&mut self, now: Now) {
        self.answer(now);
        for (&id, longest) in &mut self.closing {
            *longest = self.endpoint.get(id).map_or(Duration::ZERO, |conn| conn.pto()).max(*longest);
        }
        while let Some((id, event)) = self.endpoint.poll_event() {
            if let Event::Established { session, .. } = event {
                self.established.insert(id, session);
                if !self.current.contains(&id) {
                    self.current.push(id);
                }
            }
            let pto = self.closing.get(&id).copied().unwrap_or_default();
            let session = self.session(id);
            self.events.push_back(Ev::Core { conn: id, session, pto, event: event.clone() });
            match event {
                Event::Readable(channel) => self.read(now, id, channel),
                Event::Writable(_) => {
                    self.send_todo(now);
                    self.send_replies(now);
                }
                Event::PartialReply(request) => self.take_answer(now, id, request, false),
                Event::RequestDone { request, .. } => {
                    self.asked.retain(|&asked| asked != (id, request));
                    self.take_answer(now, id, request, true);
                }
                Event::RequestCancelled(request) => {
                    self.replies.retain(|answer| (answer.conn, answer.request) != (id, request));
                }
                Event::Closed(closed) | Event::ConnectFailed(closed) => {
                    let reads = std::mem::replace(&mut self.reads, true);
                    for channel in [0, 1, 2] {
                        self.read(now, id, ChannelId(channel));
                    }
                    self.reads = reads;
                    self.current.retain(|&current| current != id);
                    self.established.remove(&id);
                    self.todo.retain(|todo| todo.conn != id);
                    self.replies.retain(|answer| answer.conn != id);
                    self.current.extend(closed.next);
                }
                _ => {}
            }
        }
    }
}

impl Dissect for Peer {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        dissect(bytes, text)
    }

    fn dissect_record(record: &[u8], text: &mut String) -> Option<&'static str> {
        dissect_framed(record, text)
    }

    fn reseal(original: &[u8], corrupted: &mut [u8]) {
        reseal(original, corrupted);
    }
}

impl Node for Peer {
    type Cmd = Cmd;
    type Event = Ev;

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        self.endpoint.handle_packet(timestamp(now.mono), meta(from, with.ecn), bytes);
        self.drain(now);
    }

    fn on_stream(&mut self, now: Now, stream: StreamId, event: StreamEvent<'_>) {
        self.wires.on_stream(timestamp(now.mono), &mut self.endpoint, stream, event);
        self.drain(now);
    }

    fn poll_stream(&mut self, now: Now, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        let op = self.wires.poll_stream(timestamp(now.mono), &mut self.endpoint, streams, out);
        self.drain(now);
        op
    }

    fn on_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(timestamp(now.mono));
        self.drain(now);
    }

    fn on_cmd(&mut self, now: Now, cmd: Cmd) {
        let at = timestamp(now.mono);
        let targets: Vec<ConnectionId> = match self.server {
            Some(_) => self.current.last().copied().into_iter().collect(),
            None => self.current.clone(),
        };
        match cmd {
            Cmd::Connect => self.connect(at),
            Cmd::Send { channel, ask, size, count } => {
                for (conn, _) in targets.iter().flat_map(|&conn| (0..count).map(move |i| (conn, i))) {
                    let payload = self.payload(size);
                    self.todo.push_back(Todo { conn, channel: ChannelId(channel), ask, payload });
                }
                self.send_todo(now);
            }
            Cmd::Batch { ask, size, count } => {
                for &conn in &targets {
                    self.batches += 1;
                    for i in 1..=count {
                        let batch = Some(Batch { number: self.batches, is_last: i == count });
                        let payload = self.payload(size);
                        let ask = Ask { batch, ..ask };
                        self.todo.push_back(Todo { conn, channel: ChannelId::DEFAULT, ask, payload });
                    }
                }
                self.send_todo(now);
            }
            Cmd::Cancel => {
                if let Some((id, message)) = self.last.take()
                    && let Some(mut conn) = self.endpoint.connection(id)
                {
                    conn.channel(message.channel).cancel(at, message);
                    drop(conn);
                    self.events.push_back(Ev::CancelCalled { conn: id, message });
                }
            }
            Cmd::LimitQueue(limits) => {
                self.drops |= limits.policy.is_some();
                for id in targets {
                    if let Some(mut conn) = self.endpoint.connection(id) {
                        conn.channel(ChannelId::DEFAULT).limit_queue(&limits).expect("sound limits");
                        drop(conn);
                        self.events.push_back(Ev::Limited { conn: id });
                    }
                }
            }
            Cmd::Open { reliable_sequenced } => {
                for id in targets {
                    if let Some(mut conn) = self.endpoint.connection(id) {
                        // A connection that is not established yet refuses; the test goes on without the channel.
                        let name = "extra".into();
                        let options = ChannelOptions { name, reliable_sequenced, ..Default::default() };
                        let opened = conn.open_channel(at, &options);
                        drop(conn);
                        if let Ok(channel) = opened {
                            self.events.push_back(Ev::Opened { conn: id, channel, reliable_sequenced });
                        }
                    }
                }
            }
            Cmd::Request { size, timeout } => {
                for id in targets {
                    let payload = self.payload(size);
                    let hash = hash_bytes(0, &payload);
                    let Some(mut conn) = self.endpoint.connection(id) else { continue };
                    let request =
                        conn.channel(ChannelId::DEFAULT).request(at, Message::new(payload), timeout);
                    drop(conn);
                    match request {
                        Ok(request) => {
                            self.asked.push((id, request));
                            let expendable = self.drops;
                            self.events.push_back(Ev::RequestSent { conn: id, request, hash, expendable });
                        }
                        Err(SendError::Full) => {
                            self.events.push_back(Ev::Refused { conn: id, channel: ChannelId::DEFAULT });
                        }
                        Err(_) => {}
                    }
                }
            }
            Cmd::CancelRequest => {
                if let Some(&(id, request)) = self.asked.last()
                    && let Some(mut conn) = self.endpoint.connection(id)
                {
                    // Where there is another link its end may be there and not told yet.
                    let is_first_link = conn.state() != State::Suspended && conn.incarnation() < 2;
                    assert!(conn.cancel_request(at, request) || !is_first_link, "its end has not been told");
                }
            }
            Cmd::Close { linger } => {
                for id in targets {
                    let Some(mut conn) = self.endpoint.connection(id) else { continue };
                    conn.close(at, Close { linger, ..Close::default() });
                    drop(conn);
                    self.closing.insert(id, Duration::ZERO);
                    self.events.push_back(Ev::CloseCalled { conn: id, linger });
                }
            }
            Cmd::Limit(messages) => {
                let limit =
                    |messages| Rate { messages, message_burst: messages, bytes: 30_000, byte_burst: 21_000 };
                for id in targets {
                    let Some(mut conn) = self.endpoint.connection(id) else { continue };
                    conn.limit_receiving(at, messages.map(limit));
                }
            }
            Cmd::Prioritize(priority) => {
                for id in targets {
                    let Some(mut conn) = self.endpoint.connection(id) else { continue };
                    let channel = conn.channel(ChannelId::DEFAULT).set_priority(at, priority, 1 + priority);
                    channel.expect("channel 0 is always there");
                }
            }
            Cmd::Drain(how) => self.endpoint.drain(at, how),
            Cmd::Read(reads) => {
                self.reads = reads;
                for id in self.current.clone() {
                    for channel in [0, 1, 2] {
                        self.read(now, id, ChannelId(channel));
                    }
                }
            }
        }
        self.drain(now);
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        if self.takes_many && self.waiting.is_empty() {
            let (mut bytes, mut packets) = (Vec::new(), Vec::new());
            self.endpoint.poll_packets(timestamp(now.mono), 64, &mut bytes, &mut packets);
            let mut rest = &bytes[..];
            for transmit in packets {
                let (packet, behind) = rest.split_at(transmit.len);
                rest = behind;
                let (dst, ecn) = (transmit.path.addr(), ecn_to(transmit.ecn));
                self.waiting.push_back((Transmit { dst, ecn, len: transmit.len }, packet.to_vec()));
            }
            self.drain(now);
        }
        if let Some((transmit, packet)) = self.waiting.pop_front() {
            self.note_called(transmit.dst, &packet);
            out.extend_from_slice(&packet);
            return Some(transmit);
        }
        let start = out.len();
        let transmit = self.endpoint.poll_transmit(timestamp(now.mono), out)?;
        let dst = transmit.path.addr();
        self.note_called(dst, &out[start..]);
        self.drain(now);
        Some(Transmit { dst, ecn: ecn_to(transmit.ecn), len: transmit.len })
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.endpoint.poll_timeout().map(time)
    }

    fn poll_event(&mut self) -> Option<Ev> {
        self.events.pop_front()
    }
}
