//! An older and the present core in one simulation: they must understand each other, whoever is the client.
//!
//! Run by `.ci/skew`, which says which older one.

#[cfg(test)]
mod tests;

/// How a client reaches its server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Datagrams,
    Streams,
}

/// What is done over a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Messages of every class, with receipts, up to several packets long.
    Messages,
    Requests,
    Batches,
    /// Messages over links that die, so that sessions go on over the next.
    Sessions,
}

/// What a column of the matrix is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    pub by: By,
    pub what: What,
    pub is_encrypted: bool,
}

/// A client, or a server that answers every message with the same, on one version of the core.
macro_rules! peer {
    ($module:ident, $core:ident, $seal:ident) => {
        pub mod $module {
            use std::collections::{BTreeMap, BTreeSet, VecDeque};
            use std::sync::Arc;
            use std::time::Duration;

            use simtest::{Addr, Ecn, StreamEvent, StreamId, StreamOp, Streams, Time, Transmit};
            use $core::crypto::{Crypto, Identity, Trust};
            use $core::framing::{Deframer, Framer};
            use $core::{
                Address, Batch, ChannelId, Class, Config, ConfigBuilder, ConnectionId, Dial, DialError, DialId,
                Endpoint, Event, Fate, Link, LinkId, Message, Meta, Output, ReceiptKind, RequestId, Timestamp,
            };
            use $seal::Party;

            use crate::{By, Case, What};

            const STREAM: Link = Link::stream(2000);
            /// What one record and its length need at most.
            const ROOM: usize = 2003;

            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub enum At {
                Datagrams(Addr),
                Stream(Addr),
            }

            impl At {
                const fn addr(self) -> Addr {
                    let (Self::Datagrams(addr) | Self::Stream(addr)) = self;
                    addr
                }
            }

            impl Address for At {
                fn token_bytes(&self, out: &mut Vec<u8>) {
                    out.extend_from_slice(&self.addr().number().to_be_bytes());
                }
                fn prefix(&self) -> Option<u64> {
                    Some(self.addr().number().into())
                }
                fn is_stream(&self) -> bool {
                    matches!(self, Self::Stream(_))
                }
            }

            #[derive(Clone, Default)]
            struct Wire {
                link: Option<LinkId>,
                framer: Framer,
                deframer: Deframer,
            }

            #[derive(Clone)]
            pub struct Peer {
                endpoint: Endpoint<At>,
                case: Case,
                server: Option<Addr>,
                connection: Option<ConnectionId>,
                wanted: Vec<u32>,
                asked: BTreeMap<RequestId, u32>,
                pub echoed: BTreeSet<u32>,
                pub resumed: u32,
                pub wrong: Option<String>,
                dialed: u64,
                dials: BTreeMap<StreamId, DialId>,
                wires: BTreeMap<StreamId, Wire>,
                ops: VecDeque<StreamOp>,
            }

            fn at(time: Time) -> Timestamp {
                Timestamp::from_nanos(time.as_nanos())
            }

            fn party(accept: bool) -> Party {
                Party::from_private(&[if accept { 0x51 } else { 0xC1 }; 32]).repeatable()
            }

            fn config(case: Case, accept: bool) -> Arc<Config> {
                let crypto = case.is_encrypted.then(|| Crypto {
                    update_packets: 12,
                    ..Crypto::new(Arc::new(party(accept)), Trust::Pinned(party(true).public_key()))
                });
                let dies = case.what == What::Sessions;
                let base = ConfigBuilder::default();
                let config = ConfigBuilder {
                    accept,
                    crypto,
                    heartbeat: if dies { Duration::from_millis(200) } else { base.heartbeat },
                    dead: if dies { Duration::from_millis(700) } else { base.dead },
                    resume_window: Duration::from_secs(30),
                    ..base
                };
                config.build().expect("it is sound")
            }

            impl Peer {
                pub fn new(case: Case, server: Option<Addr>, seed: [u8; 32], now: Time) -> Self {
                    let config = config(case, server.is_none());
                    let endpoint = Endpoint::new(config, Link::datagram(1200), seed, at(now));
                    Self {
                        endpoint,
                        case,
                        server,
                        connection: None,
                        wanted: Vec::new(),
                        asked: BTreeMap::new(),
                        echoed: BTreeSet::new(),
                        resumed: 0,
                        wrong: None,
                        dialed: 0,
                        dials: BTreeMap::new(),
                        wires: BTreeMap::new(),
                        ops: VecDeque::new(),
                    }
                }

                pub fn want(&mut self, now: Time, number: u32) {
                    self.wanted.push(number);
                    match self.connection {
                        None => self.dial(now),
                        Some(_) => self.send(now, number),
                    }
                    self.events(now);
                }

                fn dial(&mut self, now: Time) {
                    let Some(server) = self.server else { return };
                    let to = match self.case.by {
                        By::Datagrams => At::Datagrams(server),
                        By::Streams => At::Stream(server),
                    };
                    self.connection = self.endpoint.connect(at(now), to).ok();
                    self.again(now);
                }

                /// What has not come back yet.
                fn again(&mut self, now: Time) {
                    for number in self.wanted.clone() {
                        if !self.echoed.contains(&number) {
                            self.send(now, number);
                        }
                    }
                }

                fn send(&mut self, now: Time, number: u32) {
                    let Some(mut connection) = self.connection.and_then(|id| self.endpoint.connection(id))
                    else {
                        return;
                    };
                    let plain = Message::new(crate::payload(number));
                    let mut channel = connection.channel(ChannelId::DEFAULT);
                    let error = match self.case.what {
                        What::Requests => match channel.request(at(now), plain, Duration::from_secs(60)) {
                            Ok(request) => {
                                self.asked.insert(request, number);
                                None
                            }
                            Err(error) => Some(error),
                        },
                        What::Batches => (1..=3).find_map(|part| {
                            let batch = Batch { number: u64::from(number) + 1, is_last: part == 3 };
                            let message = Message { batch: Some(batch), ..plain.clone() };
                            channel.send(at(now), message).err()
                        }),
                        What::Messages | What::Sessions => {
                            let classes = [Class::ReliableOrdered, Class::ReliableUnordered];
                            let receipts = [ReceiptKind::None, ReceiptKind::Arrival, ReceiptKind::Processing];
                            let (class, receipt) = (classes[number as usize / 4 % 2], receipts[number as usize % 3]);
                            channel.send(at(now), Message { class, receipt, ..plain }).err()
                        }
                    };
                    drop(connection);
                    if let Some(error) = error {
                        self.wrong = Some(format!("{number} is refused: {error:?}"));
                    }
                }

                pub fn packet(&mut self, now: Time, from: Addr, bytes: &[u8]) {
                    let meta = Meta { path: At::Datagrams(from), ecn: None };
                    self.endpoint.handle_packet(at(now), meta, bytes);
                    self.events(now);
                }

                pub fn timeout(&mut self, now: Time) {
                    self.endpoint.handle_timeout(at(now));
                    self.events(now);
                }

                fn events(&mut self, now: Time) {
                    while let Some((id, event)) = self.endpoint.poll_event() {
                        match event {
                            Event::Readable(channel) => self.read(now, id, channel),
                            Event::Continued { .. } => self.resumed += 1,
                            Event::Fate { fate: Fate::Rejected(reason), .. } => {
                                self.wrong = Some(format!("a message is rejected: {reason}"));
                            }
                            Event::RequestDone { request, .. } => self.answered(now, id, request),
                            Event::ConnectFailed(closed) | Event::Closed(closed)
                                if self.connection == Some(id) =>
                            {
                                self.connection = closed.next;
                                if self.connection.is_some() { self.again(now) } else { self.dial(now) }
                            }
                            _ => {}
                        }
                    }
                }

                fn answered(&mut self, now: Time, id: ConnectionId, request: RequestId) {
                    let number = self.asked.remove(&request);
                    let Some(mut connection) = self.endpoint.connection(id) else { return };
                    let reply = connection.take_reply(at(now), request);
                    drop(connection);
                    if let (Some(number), Some(reply)) = (number, reply) {
                        self.is_echo(&reply);
                        if crate::number(&reply) != Some(number) {
                            self.wrong = Some("another request is answered".into());
                        }
                    }
                }

                fn is_echo(&mut self, payload: &[u8]) {
                    match crate::number(payload) {
                        Some(number) => drop(self.echoed.insert(number)),
                        None => self.wrong = Some("the payload has changed".into()),
                    }
                }

                fn read(&mut self, now: Time, id: ConnectionId, channel: ChannelId) {
                    let Some(mut connection) = self.endpoint.connection(id) else { return };
                    let mut came = Vec::new();
                    let mut error = None;
                    while let Some(message) = connection.channel(channel).recv(at(now)) {
                        if let Some(receipt) = message.receipt {
                            connection.ack(at(now), receipt);
                        }
                        if self.server.is_some() {
                            came.push(message.payload);
                            continue;
                        }
                        let answer = match message.request {
                            Some(request) => connection.reply(at(now), request, message.payload.to_vec()),
                            None => {
                                connection.channel(channel).send(at(now), Message::new(message.payload)).map(drop)
                            }
                        };
                        error = answer.err().or(error);
                    }
                    drop(connection);
                    if let Some(error) = error {
                        self.wrong = Some(format!("an answer is refused: {error:?}"));
                    }
                    came.iter().for_each(|payload| self.is_echo(payload));
                }

                pub fn transmit(&mut self, now: Time, out: &mut Vec<u8>) -> Option<Transmit> {
                    let sent = self.endpoint.poll_transmit(at(now), out)?;
                    Some(Transmit { dst: sent.path.addr(), ecn: Ecn::NotEct, len: sent.len })
                }

                pub fn due(&self) -> Option<Time> {
                    self.endpoint.poll_timeout().map(|at| Time::from_nanos(at.as_nanos()))
                }

                pub fn stream(&mut self, now: Time, stream: StreamId, event: StreamEvent<'_>) {
                    match event {
                        StreamEvent::Opened => {
                            let dial = self.dials.remove(&stream);
                            match dial.and_then(|id| self.endpoint.dialed(at(now), id, STREAM)) {
                                Some(link) => self.open(stream, link),
                                None => self.ops.push_back(StreamOp::Reset { stream }),
                            }
                        }
                        StreamEvent::Accepted { from } => {
                            let link = self.endpoint.link_up(at(now), At::Stream(from), STREAM);
                            self.open(stream, link);
                        }
                        StreamEvent::Read(bytes) => self.records(now, stream, bytes),
                        StreamEvent::Writable => {}
                        StreamEvent::Finished => {
                            if self.lose(now, stream) {
                                self.ops.push_back(StreamOp::Finish { stream });
                            }
                        }
                        StreamEvent::Refused | StreamEvent::Broken => {
                            self.ops.retain(|op| !matches!(op, StreamOp::Reset { stream: of } | StreamOp::Finish { stream: of } if *of == stream));
                            if let Some(id) = self.dials.remove(&stream) {
                                self.endpoint.dial_failed(at(now), id, DialError::Unreachable);
                            }
                            self.lose(now, stream);
                        }
                    }
                    self.events(now);
                }

                fn open(&mut self, stream: StreamId, link: LinkId) {
                    self.wires.insert(stream, Wire { link: Some(link), ..Wire::default() });
                }

                /// Whether this side has not finished it before.
                fn lose(&mut self, now: Time, stream: StreamId) -> bool {
                    let link = self.wires.remove(&stream).and_then(|wire| wire.link);
                    if let Some(link) = link {
                        self.endpoint.link_down(at(now), link);
                    }
                    link.is_some()
                }

                fn records(&mut self, now: Time, stream: StreamId, mut bytes: &[u8]) {
                    let Some(wire) = self.wires.get_mut(&stream) else { return };
                    let Some(link) = wire.link else { return };
                    loop {
                        match wire.deframer.next(&mut bytes, self.endpoint.record_limit(link)) {
                            Ok(Some(record)) => self.endpoint.handle_record(at(now), link, record),
                            Ok(None) => break,
                            Err(error) => {
                                self.wrong = Some(format!("what came is no record: {error:?}"));
                                break;
                            }
                        }
                    }
                }

                pub fn stream_op(&mut self, now: Time, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
                    while let Some(dial) = self.endpoint.poll_dial() {
                        match dial {
                            Dial::Begin { id, address } => {
                                let stream = StreamId::new(self.dialed);
                                self.dialed += 1;
                                self.dials.insert(stream, id);
                                self.ops.push_back(StreamOp::Dial { stream, to: address.addr() });
                            }
                            Dial::Cancel(id) => {
                                let of = |(stream, known): (&StreamId, &DialId)| (*known == id).then_some(*stream);
                                if let Some(stream) = self.dials.iter().find_map(of) {
                                    self.dials.remove(&stream);
                                    self.ops.push_back(StreamOp::Reset { stream });
                                }
                            }
                        }
                    }
                    while self.endpoint.poll_link().is_some() {}
                    if let Some(op) = self.ops.pop_front() {
                        return Some(op);
                    }
                    for (&stream, wire) in &mut self.wires {
                        let Some(link) = wire.link else { continue };
                        if streams.room(stream) < ROOM {
                            continue;
                        }
                        let before = out.len();
                        let start = wire.framer.begin(out);
                        match self.endpoint.poll_record(at(now), link, out) {
                            Output::Record(_) => {
                                wire.framer.finish(out, start);
                                return Some(StreamOp::Write { stream, len: out.len() - before });
                            }
                            Output::Idle => wire.framer.cancel(out, start),
                            Output::Close => {
                                wire.framer.cancel(out, start);
                                wire.link = None;
                                return Some(StreamOp::Finish { stream });
                            }
                        }
                    }
                    None
                }
            }
        }
    };
}

peer!(now, current, current_seal);
peer!(then, reference, reference_seal);

/// A message that says which it is, up to several packets long.
pub fn payload(number: u32) -> Vec<u8> {
    let len = 4 + [0, 30, 900, 5_000][number as usize % 4];
    let mut bytes: Vec<u8> = (0..len).map(|i: u32| (i ^ number) as u8).collect();
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The number of a message that is as it was sent.
pub fn number(bytes: &[u8]) -> Option<u32> {
    let number = u32::from_be_bytes(*bytes.first_chunk()?);
    (payload(number) == bytes).then_some(number)
}
