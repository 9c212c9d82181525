//! What a case is given: a link, and ways to make endpoints on it.

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use std::{fs, mem, thread};

use driver::link::tls;
use driver::{Address, LinkOptions, Options, Received, RecordOptions, Replay, Scheme};
use proto_core::{ConfigBuilder, Message};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use simtest::Recording;
use tempfile::TempDir;

use crate::world::{Job, World};
use crate::{Stack, WAIT};

/// An authority, and what it has signed. All are PEM.
pub(crate) struct Certificates {
    pub(crate) ca: String,
    pub(crate) server: (String, String),
    pub(crate) client: (String, String),
    /// An authority that has signed itself alone, and bears the server's names: what `openssl req -x509` makes.
    pub(crate) authority: (String, String),
    /// Of somebody else.
    pub(crate) other_ca: String,
}

pub(crate) static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| {
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
    };
    let ca = authority();
    let sign = |names: &[&str]| {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(names).expect("sound names");
        (params.signed_by(&key, &ca).expect("a certificate").pem(), key.serialize_pem())
    };
    let itself = || {
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost", "127.0.0.1"].map(ToOwned::to_owned);
        let mut params = CertificateParams::new(names).expect("sound names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    };
    Certificates {
        authority: itself(),
        server: sign(&["localhost", "127.0.0.1"]),
        client: sign(&["client"]),
        other_ca: authority().pem(),
        ca: ca.pem(),
    }
});

/// A link, and the ways to make endpoints of one adapter on it. What these endpoints are told is recorded, and told again to others at
/// the end: they must do the same.
pub struct Env<S: Stack> {
    /// The kind of link.
    pub scheme: Scheme,
    shards: NonZeroU8,
    dir: TempDir,
    records: Mutex<Vec<(PathBuf, ConfigBuilder)>>,
    _world: S::World,
}

/// A server, a client, and both ends of a connection between them.
pub struct Pair<S: Stack> {
    /// The server.
    pub server: S::Endpoint,
    /// The client.
    pub client: S::Endpoint,
    /// The client's end.
    pub here: S::Connection,
    /// The server's end.
    pub there: S::Connection,
}

impl<S: Stack> Env<S> {
    /// Endpoints on links of this kind.
    pub fn new(scheme: Scheme) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { scheme, shards: NonZeroU8::MIN, dir, records: Mutex::default(), _world: S::World::default() }
    }

    /// The same with servers of three shards.
    #[must_use]
    pub fn sharded(mut self) -> Self {
        self.shards = NonZeroU8::MIN.saturating_add(2);
        self
    }

    /// Where to listen.
    pub fn address(&self) -> Address {
        let text = match self.scheme {
            Scheme::Uds => format!("uds://{}", self.dir.path().join("a.sock").display()),
            Scheme::Ws | Scheme::Wss => format!("{}://127.0.0.1:0/bowline", self.scheme),
            scheme => format!("{scheme}://127.0.0.1:0"),
        };
        text.parse().expect("a sound address")
    }

    /// Options of endpoints that trust each other.
    pub fn options(&self, config: ConfigBuilder) -> Options {
        let mut links = LinkOptions::default();
        if matches!(self.scheme, Scheme::Tls | Scheme::Wss) {
            let Certificates { ca, server: (chain, key), .. } = &*CERTIFICATES;
            let server = tls::server(chain.as_bytes(), key.as_bytes(), None);
            links.tls_server = Some(server.expect("sound certificates"));
            links.tls_client = Some(tls::client(ca.as_bytes(), None).expect("sound certificates"));
        }
        let mut records = self.records.lock().expect("nobody panics in between");
        let file = self.dir.path().join(format!("{}.rec", records.len()));
        records.push((file.clone(), config.clone()));
        let record = Some(RecordOptions { delay: Duration::ZERO, ..RecordOptions::new(file) });
        Options { config, links, shards: self.shards, record, ..Options::default() }
    }

    /// A server, and where it is.
    pub fn server(&self, config: ConfigBuilder) -> (S::Endpoint, Address) {
        let server = S::listen(&[self.address()], self.options(config)).expect("an address is free");
        let address = S::addresses(&server).remove(0);
        (server, address)
    }

    /// A client.
    pub fn client(&self, config: ConfigBuilder) -> S::Endpoint {
        S::client(self.options(config))
    }

    /// Both ends of a connection.
    pub fn pair(&self, config: ConfigBuilder) -> Pair<S> {
        let (server, address) = self.server(config.clone());
        let client = self.client(config);
        let here = connect::<S>(&client, &address);
        let there = accept::<S>(&server);
        Pair { server, client, here, there }
    }
}

impl<S: Stack> Drop for Env<S> {
    /// Runs again what was recorded until now: endpoints may not have ended yet.
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let records = mem::take(self.records.get_mut().expect("nobody has panicked"));
        for (file, config) in records {
            for shard in 0..self.shards.get() {
                let file = match shard {
                    0 => file.clone(),
                    shard => file.with_extension(format!("{shard}.rec")),
                };
                // Clients have one shard, not every endpoint can be made, and some have no time to write anything.
                let Some(bytes) = fs::read(&file).ok().filter(|bytes| !bytes.is_empty()) else { continue };
                let recording = Recording::parse(&bytes).expect("it is a recording");
                let mut replay = Replay::new(config.clone(), true);
                let mut inputs = recording.inputs.iter();
                let replayed = inputs.try_for_each(|input| replay.input(input.at, input.kind, &input.bytes));
                replayed.unwrap_or_else(|why| panic!("{}: {why}", file.display()));
            }
        }
    }
}

/// The relays of an adapter's world.
pub(crate) type Relay<S> = <<S as Stack>::World as World>::Relay;
/// Its bare streams.
pub(crate) type Raw<S> = <<S as Stack>::World as World>::Raw;

/// Begins to work beside.
pub(crate) fn spawn<S: Stack, T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
    <S::World as World>::spawn(work)
}

/// Connects; the server is there.
pub(crate) fn connect<S: Stack>(client: &S::Endpoint, address: &Address) -> S::Connection {
    let connected = S::connect(client, std::slice::from_ref(address), WAIT);
    connected.expect("the connection hangs").expect("the server answers")
}

/// Accepts; a client is there.
pub(crate) fn accept<S: Stack>(server: &S::Endpoint) -> S::Connection {
    S::accept(server, WAIT).expect("nobody connects").expect("the server is open")
}

/// Sends; the connection is there.
pub(crate) fn send<S: Stack>(connection: &S::Connection, message: impl Into<Message>) {
    S::send(connection, message.into(), WAIT).expect("the sender hangs").expect("the connection is there");
}

/// The next message; there is one.
pub(crate) fn recv<S: Stack>(connection: &S::Connection) -> Received {
    S::recv(connection, WAIT).expect("the message hangs").expect("the connection is there")
}

/// Bytes that tell their places.
pub(crate) fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31 + salt * 7) % 251) as u8).collect()
}

/// A number as a message.
pub(crate) fn number(number: usize) -> Message {
    Message::new(number.to_string())
}

/// Shares `value` with threads.
pub(crate) fn share<T>(value: T) -> Arc<T> {
    Arc::new(value)
}
