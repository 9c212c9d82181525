//! An older and the present core in one simulation: they must understand each other, whoever is the client.
//!
//! Run by `.ci/skew`, which says which older one.

#[cfg(test)]
mod tests;

/// A client, or a server that answers every message with the same, on one version of the core.
macro_rules! peer {
    ($module:ident, $core:ident) => {
        pub mod $module {
            use std::collections::BTreeSet;

            use simtest::{Addr, Ecn, Time, Transmit};
            use $core::{
                Address, ChannelId, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message, Meta,
                Timestamp,
            };

            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub struct At(Addr);

            impl Address for At {
                fn token_bytes(&self, out: &mut Vec<u8>) {
                    out.extend_from_slice(&self.0.number().to_be_bytes());
                }
                fn prefix(&self) -> Option<u64> {
                    Some(self.0.number().into())
                }
            }

            #[derive(Clone)]
            pub struct Peer {
                endpoint: Endpoint<At>,
                server: Option<Addr>,
                connection: Option<ConnectionId>,
                wanted: Vec<u32>,
                pub echoed: BTreeSet<u32>,
                pub wrong: Option<String>,
            }

            fn at(time: Time) -> Timestamp {
                Timestamp::from_nanos(time.as_nanos())
            }

            impl Peer {
                pub fn new(server: Option<Addr>, seed: [u8; 32], now: Time) -> Self {
                    let accept = server.is_none();
                    let config = ConfigBuilder { accept, ..ConfigBuilder::default() };
                    let config = config.build().expect("it is sound");
                    let endpoint = Endpoint::new(config, Link::datagram(1200), seed, at(now));
                    let (wanted, echoed) = (Vec::new(), BTreeSet::new());
                    Self { endpoint, server, connection: None, wanted, echoed, wrong: None }
                }

                pub fn want(&mut self, now: Time, number: u32) {
                    self.wanted.push(number);
                    match self.connection {
                        None => self.dial(now),
                        Some(_) => self.send(now, number),
                    }
                }

                fn dial(&mut self, now: Time) {
                    let Some(server) = self.server else { return };
                    self.connection = self.endpoint.connect(at(now), At(server)).ok();
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
                    let message = Message::new(crate::payload(number));
                    if let Err(error) = connection.channel(ChannelId::DEFAULT).send(at(now), message) {
                        self.wrong = Some(format!("message {number} is refused: {error:?}"));
                    }
                }

                pub fn packet(&mut self, now: Time, from: Addr, bytes: &[u8]) {
                    self.endpoint.handle_packet(at(now), Meta { path: At(from), ecn: None }, bytes);
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
                            Event::ConnectFailed(_) | Event::Closed(_) if self.connection == Some(id) => {
                                self.dial(now);
                            }
                            _ => {}
                        }
                    }
                }

                fn read(&mut self, now: Time, id: ConnectionId, channel: ChannelId) {
                    let Some(mut connection) = self.endpoint.connection(id) else { return };
                    while let Some(message) = connection.channel(channel).recv(at(now)) {
                        if self.server.is_none() {
                            let echo = Message::new(message.payload);
                            if let Err(error) = connection.channel(channel).send(at(now), echo) {
                                self.wrong = Some(format!("an answer is refused: {error:?}"));
                            }
                            continue;
                        }
                        match crate::number(&message.payload) {
                            Some(number) => drop(self.echoed.insert(number)),
                            None => self.wrong = Some("the payload has changed".into()),
                        }
                    }
                }

                pub fn transmit(&mut self, now: Time, out: &mut Vec<u8>) -> Option<Transmit> {
                    let sent = self.endpoint.poll_transmit(at(now), out)?;
                    Some(Transmit { dst: sent.path.0, ecn: Ecn::NotEct, len: sent.len })
                }

                pub fn due(&self) -> Option<Time> {
                    self.endpoint.poll_timeout().map(|at| Time::from_nanos(at.as_nanos()))
                }
            }
        }
    };
}

peer!(now, current);
peer!(then, reference);

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
