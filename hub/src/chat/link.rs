//! The way to the server: dialled until it answers, and dialled again when it is lost.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use adapter_tokio::{
    Address, Channel, ConnectError, Connecting, Connection, Endpoint, Received, Status, Watch,
};
use proto_core::crypto::PublicKey;
use proto_core::room::{Carriage, Client};
use proto_core::{Close, CloseReason, Closed, Message, SendError, code};
use tokio::time::{Instant, sleep_until};

use super::known::Stranger;
use super::words;

/// How long to wait before a name is looked up again, or a server that refused is asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// Addresses of one server that are remembered.
const MAX_ADDRESSES: usize = 64;

/// What has happened to the link.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// The server answers.
    Up,
    /// A message has come.
    Message(Carriage, Received),
    /// The link is lost, for that reason; another is looked for.
    Silent(Option<CloseReason>),
    /// It goes on where it stopped.
    Back,
    /// The connection is gone.
    Lost(Closed),
    /// The next attempt begins after this long.
    Waiting(Duration, CloseReason),
    /// The server has no address, or none that can be reached from here.
    Unresolved(ConnectError),
    /// It is over, for this reason, and another attempt would end the same way.
    Hopeless(String),
}

type Lookup = Pin<Box<dyn Future<Output = Result<Vec<Address>, ConnectError>> + Send>>;

enum State {
    /// To be dialled at that time.
    Down(Instant),
    /// The names of its addresses are looked up.
    LookingUp(Lookup),
    Dialling {
        dial: Connecting,
        /// Where, and where others were found since.
        addresses: Vec<Address>,
        /// Names lead elsewhere when a server moves.
        lookup: Option<Lookup>,
        /// Where it is to be dialled next: another place than all before.
        moved: Option<Vec<Address>>,
    },
    Up {
        connection: Connection,
        /// Those of rooms, for one who takes part in them.
        channels: Option<[Channel; 2]>,
        watch: Watch,
        has_link: bool,
        addresses: Vec<Address>,
    },
    /// Lost; the next one is on its way, or never comes.
    Lost(Connection, Vec<Address>),
    Over,
}

/// Where messages of one kind go.
pub(super) enum Writer {
    Chat(Connection),
    Channel(Channel),
}

/// Makes an endpoint that encrypts.
pub(super) type Encrypted = Box<dyn FnOnce() -> io::Result<Endpoint> + Send>;

/// A link to one server.
pub(super) struct Link {
    endpoint: Endpoint,
    /// For a server that takes nothing else, where this side has no reason of its own to encrypt.
    encrypted: Option<Encrypted>,
    urls: Vec<Address>,
    /// Whether each connection gets the channels of rooms.
    has_rooms: bool,
    /// The server, if its key is not known yet.
    stranger: Option<Stranger>,
    /// The key that the server has shown then.
    learned: Option<PublicKey>,
    state: State,
}

impl Link {
    /// A link that is dialled as soon as it is polled.
    pub(super) fn new(endpoint: Endpoint, urls: Vec<Address>, has_rooms: bool) -> Self {
        let state = State::Down(Instant::now());
        Self { endpoint, encrypted: None, urls, has_rooms, stranger: None, learned: None, state }
    }

    /// The same, by another endpoint where the server takes encrypted datagrams only.
    pub(super) fn or_encrypted(self, encrypted: Option<Encrypted>) -> Self {
        Self { encrypted, ..self }
    }

    /// The same, to a server whose key is not known yet.
    pub(super) fn to(self, stranger: Option<Stranger>) -> Self {
        Self { stranger, ..self }
    }

    /// Keeps the key that the server has shown, if that was the first time; what to tell the user.
    pub(super) fn learn(&mut self) -> Option<String> {
        let key = self.connection()?.peer_key()?;
        let told = self.stranger.take()?.learn(key);
        self.learned = Some(key);
        Some(told)
    }

    /// The connection, while there is one.
    pub(super) const fn connection(&self) -> Option<&Connection> {
        match &self.state {
            State::Up { connection, .. } => Some(connection),
            _ => None,
        }
    }

    /// Sends a message, if there is room for it.
    pub(super) fn send_now(&self, carriage: Carriage, message: Message) -> Result<(), SendError> {
        match (&self.state, carriage) {
            (State::Up { connection, .. }, Carriage::Chat) => connection.send_now(message),
            (State::Up { channels: Some([control, _]), .. }, Carriage::Room) => control.send_now(message),
            (State::Up { channels: Some([_, play]), .. }, Carriage::Play) => play.send_now(message),
            _ => Ok(()),
        }
    }

    /// Waits until there may be room for a message of this kind. A connection that is over says so by its events.
    pub(super) async fn writable(writer: Writer) {
        let _ = match writer {
            Writer::Chat(connection) => connection.writable().await,
            Writer::Channel(channel) => channel.writable().await,
        };
    }

    /// What becomes writable when there is room.
    pub(super) fn writer(&self, carriage: Carriage) -> Option<Writer> {
        let State::Up { connection, channels, .. } = &self.state else { return None };
        match (carriage, channels) {
            (Carriage::Chat, _) => Some(Writer::Chat(connection.clone())),
            (Carriage::Room, Some([control, _])) => Some(Writer::Channel(control.clone())),
            (Carriage::Play, Some([_, play])) => Some(Writer::Channel(play.clone())),
            (_, None) => None,
        }
    }

    /// Gives the connection up and comes back after a pause: the server refused what was asked of it.
    pub(super) fn pause(&mut self) -> Duration {
        if let State::Up { connection, .. } = &self.state {
            connection.close(Close::default());
        }
        self.state = State::Down(Instant::now() + PAUSE);
        PAUSE
    }

    /// What happens next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> LinkEvent {
        loop {
            match &mut self.state {
                State::Down(at) => {
                    sleep_until(*at).await;
                    self.state = State::LookingUp(look_up(&self.endpoint, &self.urls));
                }
                State::LookingUp(lookup) => {
                    let found = lookup.await;
                    if let Err(error) = found.and_then(|addresses| self.dial(addresses, Vec::new())) {
                        self.state = State::Down(Instant::now() + PAUSE);
                        return LinkEvent::Unresolved(error);
                    }
                }
                State::Dialling { dial, addresses, lookup, moved } => {
                    let status = tokio::select! {
                        status = dial.changed() => status,
                        found = found(lookup) => {
                            *moved = found.ok().filter(|found| found.iter().any(|at| !addresses.contains(at)));
                            continue;
                        }
                    };
                    match status {
                        Status::Waiting { remaining, reason, .. } => {
                            if lookup.is_none() {
                                *lookup = Some(look_up(&self.endpoint, &self.urls));
                            }
                            return LinkEvent::Waiting(remaining, reason);
                        }
                        // When the next attempt begins is the connection's to say, wherever it leads.
                        Status::Connecting { .. } => {
                            if let Some(moved) = moved.take() {
                                let before = std::mem::take(addresses);
                                let _ = self.dial(moved, before);
                            }
                        }
                        Status::Established | Status::Suspended { .. } => {
                            let addresses = std::mem::take(addresses);
                            return match dial.await {
                                Ok(connection) => self.up(connection, addresses),
                                Err(error) => self.give_up(error.to_string()),
                            };
                        }
                        Status::Closed(closed) if closed.next.is_some() => {
                            let addresses = std::mem::take(addresses);
                            match dial.await {
                                Ok(connection) => self.state = State::Lost(connection, addresses),
                                Err(error) => return self.give_up(error.to_string()),
                            }
                        }
                        Status::Closed(closed) => match self.encrypt(&closed.reason) {
                            Some(Ok(endpoint)) => {
                                self.endpoint = endpoint;
                                self.state = State::Down(Instant::now());
                            }
                            Some(Err(error)) => return self.give_up(error.to_string()),
                            None => return self.give_up(words::why(&closed.reason)),
                        },
                        _ => {}
                    }
                }
                State::Up { connection, channels, watch, has_link, addresses } => {
                    let message = tokio::select! {
                        message = receive(connection, channels.as_ref()) => message,
                        Some(status) = watch.changed() => match told(status, has_link) {
                            Some(event) => return event,
                            None => continue,
                        },
                    };
                    if let Some((carriage, message)) = message {
                        return LinkEvent::Message(carriage, message);
                    }
                    let closed = connection.closed().await;
                    self.state = State::Lost(connection.clone(), std::mem::take(addresses));
                    return LinkEvent::Lost(closed);
                }
                State::Lost(connection, addresses) => {
                    let closed = connection.closed().await;
                    let Some(dial) = connection.next() else {
                        return self.give_up(words::why(&closed.reason));
                    };
                    let addresses = std::mem::take(addresses);
                    self.state = State::Dialling { dial, addresses, lookup: None, moved: None };
                }
                State::Over => std::future::pending().await,
            }
        }
    }

    /// Says goodbye, and waits for a moment until it is heard.
    pub(super) async fn close(self) {
        self.endpoint.close(&Close::default());
        if self.connection().is_some() {
            // Whoever does not hear it notices by the silence.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
        }
    }

    /// Dials `addresses`, which may have been others `before`.
    fn dial(&mut self, mut addresses: Vec<Address>, before: Vec<Address>) -> Result<(), ConnectError> {
        let dial = self.endpoint.dial_to(&addresses, &[])?;
        addresses.extend(before);
        addresses.truncate(MAX_ADDRESSES);
        self.state = State::Dialling { dial, addresses, lookup: None, moved: None };
        Ok(())
    }

    fn up(&mut self, connection: Connection, addresses: Vec<Address>) -> LinkEvent {
        if let (Some(learned), Some(shown)) = (self.learned, connection.peer_key())
            && learned != shown
        {
            connection.close(Close::default());
            return self.give_up(words::other_key());
        }
        let channels = if self.has_rooms {
            let [control, play] = Client::channels().map(|options| connection.open_channel(&options));
            match (control, play) {
                (Ok(control), Ok(play)) => Some([control, play]),
                (Err(error), _) | (_, Err(error)) => {
                    connection.close(Close::default());
                    return self.give_up(format!("the server lets nobody take part in rooms: {error}"));
                }
            }
        } else {
            None
        };
        let watch = connection.watch();
        self.state = State::Up { connection, channels, watch, has_link: true, addresses };
        LinkEvent::Up
    }

    /// The endpoint that a server is asked by again that refused for that reason, if there is one.
    fn encrypt(&mut self, refused: &CloseReason) -> Option<io::Result<Endpoint>> {
        let CloseReason::Peer { code: code::ENCRYPTED_ONLY, .. } = refused else { return None };
        self.encrypted.take().map(|endpoint| endpoint())
    }

    fn give_up(&mut self, why: String) -> LinkEvent {
        self.state = State::Over;
        LinkEvent::Hopeless(why)
    }
}

fn look_up(endpoint: &Endpoint, urls: &[Address]) -> Lookup {
    let (endpoint, urls) = (endpoint.clone(), urls.to_vec());
    Box::pin(async move { endpoint.look_up(&urls).await })
}

/// What a lookup has found, if there is one; it is over then.
async fn found(lookup: &mut Option<Lookup>) -> Result<Vec<Address>, ConnectError> {
    match lookup {
        Some(running) => {
            let found = running.await;
            *lookup = None;
            found
        }
        None => std::future::pending().await,
    }
}

/// What is to be told of a connection that was established, if anything.
fn told(status: Status, has_link: &mut bool) -> Option<LinkEvent> {
    match status {
        Status::Established => (!std::mem::replace(has_link, true)).then_some(LinkEvent::Back),
        Status::Suspended { reason, next_attempt, .. } => {
            let had_link = std::mem::replace(has_link, false);
            if had_link {
                Some(LinkEvent::Silent(reason))
            } else {
                reason.map(|reason| LinkEvent::Waiting(next_attempt, reason))
            }
        }
        _ => None,
    }
}

/// The next message of any channel; `None` once the connection is over.
async fn receive(connection: &Connection, channels: Option<&[Channel; 2]>) -> Option<(Carriage, Received)> {
    let Some([control, play]) = channels else {
        return connection.recv().await.map(|message| (Carriage::Chat, message));
    };
    tokio::select! {
        biased;
        message = control.recv() => message.map(|message| (Carriage::Room, message)),
        message = connection.recv() => message.map(|message| (Carriage::Chat, message)),
        message = play.recv() => message.map(|message| (Carriage::Play, message)),
    }
}

/// Waits until then, or for ever.
pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
