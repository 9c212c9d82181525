//! Every state that a chat log with two authors can be in: their clocks disagree, connections break, the disk is slow, is full for
//! a while and is all that a crash leaves.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{
    Audience, Batch, ChatConfig, Client, ClientConfig, ClientEvent, ClientSecret, Kind, PersistFailure,
    Record, RoomState, Server, ServerEvent, StoredEntry,
};
use proto_core::{ConfigBuilder, ConnectionId, Endpoint, Link, Now, Timestamp};
use stateright::{Checker as _, Model, Property};

use crate::whole::Whole;

/// How far it goes.
struct Small {
    appends: usize,
    breaks: u8,
    failures: u8,
    crashes: u8,
    waits: u8,
}

static IDS: LazyLock<Vec<ConnectionId>> = LazyLock::new(|| {
    let config = ConfigBuilder::default().build().expect("a sound configuration");
    let mut endpoint = Endpoint::new(config, Link::datagram(1200), [7; 32], Timestamp::ZERO);
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    (1..=16).map(|port| endpoint.connect(Timestamp::ZERO, address(port)).expect("there is room")).collect()
});

#[derive(Clone, Debug)]
struct Author {
    client: Client,
    /// Its number among all connections, while there is one.
    connection: Option<usize>,
    up: VecDeque<Bytes>,
    down: VecDeque<Bytes>,
    appended: usize,
    acked: BTreeMap<u64, u64>,
    /// Slots and bodies, in the order in which they were shown.
    shown: Vec<(u64, Bytes)>,
}

#[derive(Clone, Debug)]
struct World {
    server: Server,
    now: Now,
    authors: Vec<Author>,
    pending: VecDeque<Batch>,
    room: Option<RoomState>,
    log: Vec<StoredEntry>,
    connections: usize,
    breaks: u8,
    failures: u8,
    crashes: u8,
    waits: u8,
    broken: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Append(usize),
    Say(usize),
    Hear(usize),
    Break(usize),
    HandOut,
    Sync,
    Full,
    Wait,
    Crash,
}

fn server(life: u8) -> Server {
    Server::new(ChatConfig { batch_records: 2, max_batches: 2, ..ChatConfig::default() }, [life; 32])
}

impl World {
    fn new() -> Self {
        let authors = (0..2).map(|number| {
            let config = ClientConfig::new("room", format!("{number}"), ClientSecret([number; 32]));
            Author {
                client: Client::new(config).expect("the names are short"),
                connection: None,
                up: VecDeque::new(),
                down: VecDeque::new(),
                appended: 0,
                acked: BTreeMap::new(),
                shown: Vec::new(),
            }
        });
        let mut world = Self {
            server: server(1),
            now: Now { mono: Timestamp::from_millis(5), unix_ms: 1_700_000_000_000 },
            authors: authors.collect(),
            pending: VecDeque::new(),
            room: None,
            log: Vec::new(),
            connections: 0,
            breaks: 0,
            failures: 0,
            crashes: 0,
            waits: 0,
            broken: None,
        };
        world.connect();
        world
    }

    /// Who has no connection gets one.
    fn connect(&mut self) {
        for author in &mut self.authors {
            if author.connection.is_none() {
                author.connection = Some(self.connections);
                self.connections += 1;
                author.client.handle_connected(self.now);
            }
        }
    }

    fn cut(&mut self, which: usize) {
        let author = &mut self.authors[which];
        author.client.handle_disconnected(self.now);
        author.up.clear();
        author.down.clear();
        if let Some(number) = author.connection.take() {
            self.server.handle_disconnected(self.now, IDS[number]);
        }
    }

    fn keep(&mut self, batch: Batch) {
        for record in batch.records {
            match record {
                Record::Room { room, epoch, salt } => {
                    if self.room.replace(RoomState::new(room, epoch, salt)).is_some() {
                        self.broken = Some("the room was made twice");
                    }
                }
                Record::Entry { entry, .. } => {
                    let room = self.room.as_mut().expect("it comes first");
                    if room.apply(&entry).is_err() {
                        self.broken = Some("a slot is missing");
                    }
                    self.log.push(entry);
                }
                Record::Gone { .. } => self.broken = Some("the room ended"),
            }
        }
        self.server.handle_persisted(self.now, batch.number);
    }

    fn settle(&mut self) {
        while let Some(outgoing) = self.server.poll_message() {
            let receivers = match &outgoing.to {
                Audience::One(id) => std::slice::from_ref(id),
                Audience::Many(ids) => ids,
            };
            for author in &mut self.authors {
                if author.connection.is_some_and(|number| receivers.contains(&IDS[number])) {
                    author.down.push_back(outgoing.payload.clone());
                }
            }
        }
        while let Some(event) = self.server.poll_event() {
            if matches!(event, ServerEvent::Ended(..)) {
                self.broken = Some("who has done nothing wrong is ended");
            }
        }
        for author in &mut self.authors {
            while let Some(message) = author.client.poll_message() {
                author.up.push_back(message);
            }
            while let Some(event) = author.client.poll_event() {
                match event {
                    ClientEvent::Entry(entry) => author.shown.push((entry.slot, entry.body)),
                    ClientEvent::Acked { sequence, slot, .. } => {
                        let before = author.acked.insert(sequence, slot);
                        if before.is_some() {
                            self.broken = Some("acknowledged twice");
                        }
                    }
                    ClientEvent::LogReset { .. } => self.broken = Some("the log is another"),
                    _ => {}
                }
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append(which) => {
                let author = &mut self.authors[which];
                author.appended += 1;
                let body = format!("{which}:{}", author.appended);
                // The second author's clock is a second behind: what it says goes before what came a little earlier.
                let now = Now { unix_ms: self.now.unix_ms - 1000 * which as u64, ..self.now };
                author.client.append(now, Kind::TEXT, body.into()).expect("there is room");
            }
            Step::Say(which) => {
                let author = &mut self.authors[which];
                if let (Some(number), Some(message)) = (author.connection, author.up.pop_front()) {
                    self.server.handle_message(self.now, IDS[number], &message);
                }
            }
            Step::Hear(which) => {
                let author = &mut self.authors[which];
                if let Some(message) = author.down.pop_front() {
                    author.client.handle_message(self.now, &message);
                }
            }
            Step::Break(which) => {
                self.breaks += 1;
                self.cut(which);
            }
            Step::HandOut => self.pending.extend(self.server.poll_persist(self.now)),
            Step::Sync => {
                if let Some(batch) = self.pending.pop_front() {
                    self.keep(batch);
                }
            }
            Step::Full => {
                self.failures += 1;
                if let Some(batch) = self.pending.front() {
                    self.server.handle_persist_failed(self.now, batch.number, PersistFailure::Full);
                }
                self.pending.clear();
            }
            Step::Wait => {
                self.waits += 1;
                let time = Duration::from_secs(3);
                self.now.mono += time;
                self.now.unix_ms += 3000;
                self.server.handle_timeout(self.now);
                for author in &mut self.authors {
                    author.client.handle_timeout(self.now);
                }
            }
            Step::Crash => {
                self.crashes += 1;
                self.server = server(1 + self.crashes);
                self.pending.clear();
                (0..self.authors.len()).for_each(|which| self.cut(which));
                if let Some(room) = &self.room {
                    let room = RoomState { tail: self.log.clone(), ..room.clone() };
                    self.server.restore(room).expect("what was kept can be restored");
                }
            }
        }
        self.connect();
        self.settle();
    }
}

impl Model for Small {
    type State = Whole<World>;
    type Action = Step;

    fn init_states(&self) -> Vec<Self::State> {
        let mut world = World::new();
        world.settle();
        // Both are in the room, which nobody has spoken in.
        loop {
            let who = |of: fn(&Author) -> bool| world.authors.iter().position(of);
            if let Some(which) = who(|author| !author.up.is_empty()) {
                world.take(Step::Say(which));
            } else if let Some(which) = who(|author| !author.down.is_empty()) {
                world.take(Step::Hear(which));
            } else {
                return vec![Whole::new(world)];
            }
        }
    }

    fn actions(&self, world: &Self::State, actions: &mut Vec<Step>) {
        let world = &world.state;
        for (which, author) in world.authors.iter().enumerate() {
            if author.appended < self.appends {
                actions.push(Step::Append(which));
            }
            if author.connection.is_some_and(|number| world.server.is_ready(IDS[number]))
                && !author.up.is_empty()
            {
                actions.push(Step::Say(which));
            }
            if author.client.is_ready() && !author.down.is_empty() {
                actions.push(Step::Hear(which));
            }
            if world.breaks < self.breaks {
                actions.push(Step::Break(which));
            }
        }
        if world.pending.len() < 2 && world.server.clone().poll_persist(world.now).is_some() {
            actions.push(Step::HandOut);
        }
        if !world.pending.is_empty() {
            actions.push(Step::Sync);
            if world.failures < self.failures {
                actions.push(Step::Full);
            }
        }
        let client_waits = world.authors.iter().any(|author| author.client.poll_timeout().is_some());
        if world.waits < self.waits && (world.server.poll_timeout().is_some() || client_waits) {
            actions.push(Step::Wait);
        }
        if world.crashes < self.crashes {
            actions.push(Step::Crash);
        }
    }

    fn next_state(&self, world: &Self::State, step: Step) -> Option<Self::State> {
        let mut world = world.state.clone();
        world.take(step);
        Some(Whole::new(world))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("nobody breaks a rule", |_, world: &Self::State| world.state.broken.is_none()),
            Property::always(
                "everything is committed once, an author's words in their order",
                |_, world: &Self::State| {
                    let log = &world.state.log;
                    world.state.authors.iter().enumerate().all(|(which, author)| {
                        let own = format!("{which}:");
                        let said = log.iter().filter(|entry| entry.body.starts_with(own.as_bytes()));
                        let numbers: Vec<_> = said.map(|entry| entry.sequence).collect();
                        numbers.iter().copied().eq(1..=numbers.len() as u64)
                            && numbers.len() <= author.appended
                    })
                },
            ),
            Property::always(
                "what is acknowledged is durable, and where it is said to be",
                |_, world: &Self::State| {
                    let World { authors, log, .. } = &world.state;
                    authors.iter().enumerate().all(|(which, author)| {
                        author.acked.iter().all(|(sequence, slot)| {
                            let body = format!("{which}:{sequence}");
                            log.get(*slot as usize - 1).is_some_and(|entry| entry.body == body)
                        })
                    })
                },
            ),
            Property::always("what is shown is the log, from its beginning", |_, world: &Self::State| {
                let World { authors, log, .. } = &world.state;
                authors.iter().all(|author| {
                    let is_log = |(at, (slot, body)): (usize, &(u64, Bytes))| {
                        *slot == at as u64 + 1 && log.get(at).is_some_and(|entry| entry.body == *body)
                    };
                    author.shown.iter().enumerate().all(is_log)
                })
            }),
            // The model is not void: what it is about happens.
            Property::sometimes(
                "everything is acknowledged and shown to everybody",
                |model: &Self, world: &Self::State| {
                    let authors = &world.state.authors;
                    authors.iter().all(|author| {
                        author.acked.len() == model.appends
                            && author.shown.len() == authors.len() * model.appends
                    })
                },
            ),
            Property::sometimes("who speaks later goes before", |_, world: &Self::State| {
                world.state.log.first().is_some_and(|entry| entry.body.starts_with(b"1:"))
                    && world.state.log.len() > 1
            }),
        ];
        if self.crashes > 0 {
            properties.push(Property::sometimes(
                "something is acknowledged after a crash",
                |_, world: &Self::State| {
                    world.state.crashes > 0
                        && world.state.authors.iter().any(|author| !author.acked.is_empty())
                },
            ));
        }
        properties
    }
}

fn explore(small: Small) {
    let checker = small.checker().spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn two_authors_and_a_full_disk() {
    explore(Small { appends: 1, breaks: 0, failures: 1, crashes: 0, waits: 1 });
}

#[test]
fn two_authors_and_a_link_that_breaks() {
    explore(Small { appends: 1, breaks: 1, failures: 0, crashes: 0, waits: 0 });
}

#[test]
fn two_authors_and_a_crash() {
    explore(Small { appends: 1, breaks: 0, failures: 0, crashes: 1, waits: 0 });
}
