//! Noise IK: the client knows the server's key, one message there and one back.

use std::fmt;

use proto_core::crypto::{Identity, Initiator, PublicKey, Responder, Session};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use x25519_dalek::{PublicKey as Point, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use crate::Party;
use crate::session::Sealed;

const PLAIN: &str = "Noise_IK_25519_AESGCM_SHA256";
const SHARED: &str = "Noise_IKpsk1_25519_AESGCM_SHA256";
/// Where the shared secret is mixed in: behind the client's key, so that an outsider is found out by its first message.
const SHARED_AT: u8 = 1;
/// Bytes of a message beside its payload: an ephemeral key, in the client's its own key and a tag, and the payload's tag.
const OVERHEAD: usize = 32 + 32 + 16 + 16;

const FIXED: &str = "the pattern is known and every key has its length";

/// X25519.
struct X25519 {
    private: StaticSecret,
    public: [u8; 32],
}

impl X25519 {
    /// Before it has a key.
    fn blank() -> Self {
        Self { private: StaticSecret::from([0; 32]), public: [0; 32] }
    }

    fn new(private: [u8; 32]) -> Self {
        let private = StaticSecret::from(private);
        Self { public: Point::from(&private).to_bytes(), private }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        *self = Self::new(private.try_into().expect(FIXED));
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        let mut private = Zeroizing::new([0; 32]);
        random.try_fill_bytes(&mut *private)?;
        *self = Self::new(*private);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.private.as_bytes()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public: [u8; 32] = public.get(..32).and_then(|key| key.try_into().ok()).ok_or(snow::Error::Dh)?;
        let shared = self.private.diffie_hellman(&Point::from(public));
        // A point of small order gives a secret that everybody knows.
        let out = out.get_mut(..32).filter(|_| shared.was_contributory()).ok_or(snow::Error::Dh)?;
        out.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

/// X25519 by x25519-dalek, the rest by ring, and one ephemeral key.
struct Resolver {
    ephemeral: Zeroizing<[u8; 32]>,
}

/// Gives what it has once.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), snow::Error> {
        let bytes = self.0.take().filter(|bytes| bytes.len() == to.len()).ok_or(snow::Error::Rng)?;
        to.copy_from_slice(&*bytes);
        Ok(())
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::blank()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// The public key of a private one.
pub(crate) fn public_key(private: &[u8; 32]) -> PublicKey {
    PublicKey(X25519::new(*private).public)
}

fn state(
    party: &Party,
    ephemeral: &Zeroizing<[u8; 32]>,
    prologue: &[u8],
    server: Option<&PublicKey>,
) -> HandshakeState {
    let pattern = if party.shared().is_some() { SHARED } else { PLAIN };
    let resolver = Box::new(Resolver { ephemeral: ephemeral.clone() });
    let build = || {
        let mut builder = Builder::with_resolver(pattern.parse()?, resolver)
            .local_private_key(party.private_key())?
            .prologue(prologue)?;
        if let Some(shared) = party.shared() {
            builder = builder.psk(SHARED_AT, shared)?;
        }
        match server {
            Some(server) => builder.remote_public_key(&server.0)?.build_initiator(),
            None => builder.build_responder(),
        }
    };
    build().expect(FIXED)
}

fn session(mut state: HandshakeState) -> Box<dyn Session> {
    let hash = state.get_handshake_hash().try_into().expect("SHA-256 has 32 bytes");
    let (mut to_server, mut to_client) = state.dangerously_get_raw_split();
    let sealed = if state.is_initiator() {
        Sealed::new(&to_server, &to_client, hash)
    } else {
        Sealed::new(&to_client, &to_server, hash)
    };
    to_server.zeroize();
    to_client.zeroize();
    Box::new(sealed)
}

fn write(state: &mut HandshakeState, payload: &[u8], message: &mut Vec<u8>) {
    let start = message.len();
    message.resize(start + payload.len() + OVERHEAD, 0);
    let len = state.write_message(payload, &mut message[start..]).expect(FIXED);
    message.truncate(start + len);
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Option<Vec<u8>> {
    let mut payload = vec![0; message.len()];
    let len = state.read_message(message, &mut payload).ok()?;
    payload.truncate(len);
    Some(payload)
}

/// A client's handshake.
pub(crate) struct Begun {
    /// None once it has ended.
    state: Option<HandshakeState>,
    again: Again,
}

/// What the same handshake is made of again.
#[derive(Clone)]
struct Again {
    party: Party,
    ephemeral: Zeroizing<[u8; 32]>,
    server: PublicKey,
    prologue: Vec<u8>,
    payload: Zeroizing<Vec<u8>>,
}

impl Again {
    fn begin(&self, message: &mut Vec<u8>) -> HandshakeState {
        let mut state = state(&self.party, &self.ephemeral, &self.prologue, Some(&self.server));
        write(&mut state, &self.payload, message);
        state
    }
}

impl Begun {
    pub(crate) fn new(
        party: &Party,
        ephemeral: Zeroizing<[u8; 32]>,
        server: &PublicKey,
        prologue: &[u8],
        payload: &[u8],
        message: &mut Vec<u8>,
    ) -> Self {
        let (prologue, payload) = (prologue.to_vec(), Zeroizing::new(payload.to_vec()));
        let again = Again { party: party.clone(), ephemeral, server: *server, prologue, payload };
        Self { state: Some(again.begin(message)), again }
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("server", &self.again.server).finish_non_exhaustive()
    }
}

impl Initiator for Begun {
    fn finish(&mut self, message: &[u8]) -> Option<(Vec<u8>, Box<dyn Session>)> {
        // A message that cannot be read leaves the state as it was.
        let payload = read(self.state.as_mut()?, message)?;
        Some((payload, session(self.state.take()?)))
    }

    fn clone_box(&self) -> Box<dyn Initiator> {
        let state = self.state.as_ref().map(|_| self.again.begin(&mut Vec::new()));
        Box::new(Self { state, again: self.again.clone() })
    }
}

/// A server's handshake.
pub(crate) struct Asked {
    state: HandshakeState,
    peer: PublicKey,
    payload: Vec<u8>,
}

impl Asked {
    pub(crate) fn new(
        party: &Party,
        ephemeral: &Zeroizing<[u8; 32]>,
        prologue: &[u8],
        message: &[u8],
    ) -> Option<Self> {
        let mut state = state(party, ephemeral, prologue, None);
        let payload = read(&mut state, message)?;
        let peer = PublicKey(state.get_remote_static()?.try_into().ok()?);
        // Whoever claims to be this very party is an attacker that sends its messages back.
        (peer != party.public_key()).then_some(Self { state, peer, payload })
    }
}

impl Responder for Asked {
    fn peer(&self) -> PublicKey {
        self.peer
    }

    fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn finish(mut self: Box<Self>, payload: &[u8], message: &mut Vec<u8>) -> Box<dyn Session> {
        write(&mut self.state, payload, message);
        session(self.state)
    }
}
