//! What a server is born with, and its birth.

use std::sync::Arc;
use std::time::Duration;

use adapter_tokio::LINK;
use driver::Path;
use proto_core::chat::{ChatConfig, RoomState};
use proto_core::crypto::{Crypto, PublicKey, Trust};
use proto_core::room::{CrownOnLeave, Limits, RoomConfig};
use proto_core::server::{Front, Gate};
use proto_core::{Config, ConfigBuilder, Network, Now, Server};
use zeroize::Zeroizing;

use super::ServeError;
use super::house::House;
use crate::cli::{Allowed, CryptoError, server_party};
use crate::gateway::{Gateway, GatewayConfig};

/// How long the log of an empty room is kept in which nothing was said: names that strangers visit leave nothing behind.
const KEEP_SILENT: Duration = Duration::from_mins(1);

/// All that decides what a server does, beside what it is told and the rooms of its store.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Start {
    pub(crate) seed: Zeroizing<[u8; 32]>,
    pub(crate) server_key: Zeroizing<[u8; 32]>,
    pub(crate) max_logs: usize,
    pub(crate) max_rooms: usize,
    pub(crate) ban_prefix: bool,
    pub(crate) drops_crowns: bool,
    pub(crate) is_unlimited: bool,
    /// How long logs of empty rooms are kept, in milliseconds; 0: for ever.
    pub(crate) keep_ms: u64,
    pub(crate) salt: Option<Zeroizing<Vec<u8>>>,
    pub(crate) motd: String,
    pub(crate) encryption: Option<Encryption>,
    /// The only clients that come in.
    pub(crate) allowed: Option<Vec<PublicKey>>,
    pub(crate) shards: u8,
    /// Networks of many clients.
    pub(crate) exempt: Vec<Network>,
}

/// How datagrams are encrypted, beside by the server's key.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Encryption {
    pub(crate) secret: Option<Zeroizing<Vec<u8>>>,
    /// What is random in handshakes comes of the seed alone, so that a recording can be replayed.
    pub(crate) is_repeatable: bool,
}

impl Start {
    /// What datagrams are encrypted by.
    pub(super) fn crypto(&self) -> Result<Option<Crypto>, CryptoError> {
        let Some(Encryption { secret, is_repeatable }) = &self.encryption else { return Ok(None) };
        let mut party = server_party(&self.server_key);
        if let Some(secret) = secret {
            party = party.with_secret(secret)?;
        }
        if *is_repeatable {
            party = party.repeatable();
        }
        Ok(Some(Crypto::new(Arc::new(party), Trust::FirstUse)))
    }

    /// Who decides about clients, if anybody does.
    fn gate(&self) -> Option<Arc<dyn Gate>> {
        let allowed = self.allowed.as_ref()?;
        Some(Arc::new(Allowed(allowed.iter().copied().collect())))
    }

    /// The settings of its endpoint, or of those of a shard.
    fn config(&self, shard: u8) -> Result<Arc<Config>, ServeError> {
        // The channels are those of rooms.
        let config = ConfigBuilder {
            accept: true,
            max_channels: 2,
            shard,
            crypto: self.crypto()?,
            admission: self.allowed.is_some(),
            exempt_networks: self.exempt.clone(),
            server_key: Some((*self.server_key).into()),
            ..ConfigBuilder::chat()
        };
        Ok(adapter_tokio::config(config).build()?)
    }

    /// The server with these rooms, and its guests.
    pub(crate) fn house(&self, rooms: Vec<RoomState>, now: Now) -> Result<House, ServeError> {
        let chat = ChatConfig { max_rooms: self.max_logs, ..chat() };
        let mut server = Server::new(self.config(0)?, LINK, chat, *self.seed, now);
        rooms.into_iter().try_for_each(|room| server.restore(room))?;
        server = server.with_rooms(now, self.rooms());
        if let Some(gate) = self.gate() {
            server = server.with_gate(gate);
        }
        if self.shards > 1 {
            server = server.with_shards(self.shards);
        }
        let gateway =
            GatewayConfig { motd: self.motd.clone(), limits: !self.is_unlimited, ..GatewayConfig::default() };
        Ok(House { server, gateway: Gateway::new(gateway) })
    }

    /// The connections of a shard, which has a seed of its own.
    pub(crate) fn front(&self, shard: u8, seed: [u8; 32], now: Now) -> Result<Front<Path>, ServeError> {
        let front = Front::new(self.config(shard)?, LINK, seed, now.mono);
        Ok(match self.gate() {
            Some(gate) => front.with_gate(gate),
            None => front,
        })
    }

    fn rooms(&self) -> RoomConfig {
        let config = RoomConfig {
            max_rooms: self.max_rooms,
            ban_prefix: self.ban_prefix,
            crown_on_leave: if self.drops_crowns { CrownOnLeave::Drop } else { CrownOnLeave::Next },
            keep: (self.keep_ms > 0).then(|| Duration::from_millis(self.keep_ms)),
            keep_silent: Some(KEEP_SILENT),
            salt: self.salt.as_ref().map(|salt| salt.to_vec()),
            ..RoomConfig::default()
        };
        if self.is_unlimited {
            RoomConfig { allowed: Limits::UNLIMITED, note_quota: false, ..config }
        } else {
            config
        }
    }
}

#[cfg(not(planted))]
fn chat() -> ChatConfig {
    ChatConfig::default()
}

/// With a bug, if the environment asks for it.
#[cfg(planted)]
fn chat() -> ChatConfig {
    let planted = std::env::var_os("BOWLINE_PANICS").map(|_| proto_core::chat::Planted::Panics);
    ChatConfig { planted, ..ChatConfig::default() }
}
