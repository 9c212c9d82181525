//! The chat server, whole: endpoint, log, and a store that takes its time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{self, ChatConfig, ClientConfig, ClientEvent, ClientSecret, ReadId, StoredEntry};
use proto_core::{Config, ConfigBuilder, ConnectionId, Endpoint, Event, Message, Now, Server, Timestamp};

use crate::{BUSY, LINK, Machine, Out, START, WHOLE, ZERO, address, index, meta, try_all};

fn chat_config(accept: bool) -> Arc<Config> {
    let config = ConfigBuilder { accept, server_key: Some([3; 32].into()), ..ConfigBuilder::chat() };
    config.build().expect("a sound configuration")
}

/// The chat server with a store that takes its time, or one of its clients.
enum Chat {
    Server { server: Box<Server>, store: Store, seen: Vec<String> },
    Client(Box<ChatClient>),
}

#[derive(Default)]
struct Store {
    entries: Vec<StoredEntry>,
    persisting: VecDeque<(Timestamp, u64)>,
    reading: VecDeque<(Timestamp, ReadId, Vec<StoredEntry>)>,
}

struct ChatClient {
    endpoint: Endpoint,
    conn: ConnectionId,
    chat: chat::Client,
    is_up: bool,
    seen: Vec<String>,
    acked: usize,
}

fn both(now: Timestamp) -> Now {
    Now { mono: now, unix_ms: 1_700_000_000_000 + now.as_millis() }
}

impl ChatClient {
    /// Moves everything between its parts: a client's polls are always the same here.
    fn pump(&mut self, now: Timestamp) {
        while let Some((_, event)) = self.endpoint.poll_event() {
            if matches!(event, Event::Established { .. }) {
                self.is_up = true;
                self.chat.handle_connected(both(now));
            }
        }
        let Some(mut conn) = self.endpoint.connection(self.conn) else { return };
        while let Some(message) = conn.channel(ZERO).recv(now) {
            self.chat.handle_message(both(now), &message.payload);
        }
        while self.is_up
            && let Some(payload) = self.chat.poll_message()
        {
            conn.channel(ZERO).send(now, Message::new(payload)).expect("few messages, and room for many");
        }
        while let Some(event) = self.chat.poll_event() {
            match event {
                ClientEvent::Entry(entry) => self.seen.push(format!("{} {:?}", entry.slot, entry.body)),
                ClientEvent::Acked { .. } => self.acked += 1,
                _ => {}
            }
        }
    }
}

impl Machine for Chat {
    const POLLS: u64 = 4;

    fn handle_packet(&mut self, now: Timestamp, from: usize, packet: &[u8]) {
        match self {
            Self::Server { server, .. } => server.handle_packet(both(now), meta(from), packet),
            Self::Client(client) => {
                client.endpoint.handle_packet(now, meta(from), packet);
                client.pump(now);
            }
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        match self {
            Self::Client(client) => {
                client.endpoint.handle_timeout(now);
                client.chat.handle_timeout(both(now));
                client.pump(now);
            }
            Self::Server { server, store, .. } => {
                server.handle_timeout(both(now));
                while let Some((_, upto)) = store.persisting.pop_front_if(|(at, _)| *at <= now) {
                    server.handle_persisted(both(now), upto);
                }
                while let Some((_, id, entries)) = store.reading.pop_front_if(|(at, ..)| *at <= now) {
                    server.handle_read(both(now), id, &entries);
                }
            }
        }
    }

    fn poll(&mut self, now: Timestamp, which: u64) -> Out {
        let mut buf = Vec::new();
        match self {
            Self::Client(client) if which == 0 => {
                let transmit = client.endpoint.poll_transmit(now, &mut buf);
                transmit.map_or(Out::Nothing, |transmit| Out::Packet(index(transmit.path), buf))
            }
            Self::Client(_) => Out::Nothing,
            Self::Server { server, store, .. } => match which {
                0 => {
                    let transmit = server.poll_transmit(both(now), &mut buf);
                    transmit.map_or(Out::Nothing, |transmit| Out::Packet(index(transmit.path), buf))
                }
                1 => server.poll_event().map_or(Out::Nothing, |event| Out::Event(format!("{event:?}"))),
                2 => {
                    let Some(batch) = server.poll_persist(both(now)) else { return Out::Nothing };
                    for record in batch.records {
                        if let chat::Record::Entry { entry, .. } = record {
                            store.entries.push(entry);
                        }
                    }
                    store.persisting.push_back((now + Duration::from_millis(5), batch.number));
                    Out::Stored
                }
                _ => {
                    let Some(read) = server.poll_read() else { return Out::Nothing };
                    let wanted =
                        store.entries.iter().filter(|entry| (read.from..=read.upto).contains(&entry.slot));
                    store.reading.push_back((
                        now + Duration::from_millis(3),
                        read.id,
                        wanted.cloned().collect(),
                    ));
                    Out::Stored
                }
            },
        }
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Client(client) => {
                [client.endpoint.poll_timeout(), client.chat.poll_timeout()].into_iter().flatten().min()
            }
            Self::Server { server, store, .. } => {
                let persisting = store.persisting.front().map(|&(at, _)| at);
                let reading = store.reading.front().map(|&(at, ..)| at);
                [server.poll_timeout(), persisting, reading].into_iter().flatten().min()
            }
        }
    }

    fn command(&mut self, now: Timestamp, tick: u64) {
        if let Self::Client(client) = self
            && tick < BUSY
            && tick.is_multiple_of(3)
        {
            let said = client.chat.append(both(now), chat::Kind::TEXT, Bytes::from(tick.to_string()));
            client.seen.push(format!("{said:?}"));
            client.pump(now);
        }
    }

    fn seen(&self) -> &[String] {
        match self {
            Self::Client(client) => &client.seen,
            Self::Server { seen, .. } => seen,
        }
    }
}

#[test]
fn a_chat_server_does_not_care_in_which_order_it_is_polled() {
    const CLIENTS: usize = 3;
    let make = || {
        let server = Server::new(chat_config(true), LINK, ChatConfig::default(), [9; 32], both(START));
        let server = Chat::Server { server: Box::new(server), store: Store::default(), seen: Vec::new() };
        let client = |seed: usize| {
            let seed = seed as u8 + 1;
            let mut endpoint = Endpoint::new(chat_config(false), LINK, [seed; 32], START);
            let conn = endpoint.connect(START, address(0)).expect("room");
            let chat = ClientConfig::new("lobby", "someone", ClientSecret([seed; 32]));
            let chat = chat::Client::new(chat).expect("short names");
            Chat::Client(Box::new(ChatClient {
                endpoint,
                conn,
                chat,
                is_up: false,
                seen: Vec::new(),
                acked: 0,
            }))
        };
        let clients = (0..CLIENTS).map(client);
        [server].into_iter().chain(clients).collect()
    };
    try_all(make, WHOLE, |machines: &[Chat]| {
        let mut logs = machines.iter().filter_map(|machine| match machine {
            Chat::Server { .. } => None,
            Chat::Client(client) => {
                assert_eq!((client.acked, client.chat.unacknowledged()), (50, 0));
                let entries = client.seen.iter().filter(|seen| !seen.starts_with("Ok"));
                Some(entries.collect::<Vec<_>>())
            }
        });
        let first = logs.next().expect("a client");
        assert_eq!(first.len(), 50 * CLIENTS);
        assert!(logs.all(|log| log == first), "everybody sees the same");
    });
}
