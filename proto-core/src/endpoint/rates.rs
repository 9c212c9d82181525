//! Rates that connections share: those of one prefix of addresses, and those of one user (docs/spec/channels.md, section 7).

use alloc::collections::BTreeMap;

use super::{Address, Endpoint};
use crate::channel::Bucket;
use crate::wire::Rate;
use crate::{Connection, Credentials, Timestamp};

/// Buckets that are kept before those that are full again are looked for.
const KEPT: usize = 1024;

/// Somebody who has one or several connections, by a hash of what he has shown.
pub(super) type User = [u8; 16];

/// Buckets by whom they are for.
#[derive(Clone, Debug)]
struct Purses<K> {
    buckets: BTreeMap<K, Bucket>,
    /// How many may be kept until the next look.
    room: usize,
}

impl<K> Default for Purses<K> {
    fn default() -> Self {
        Self { buckets: BTreeMap::new(), room: KEPT }
    }
}

impl<K: Copy + Ord> Purses<K> {
    fn lend(&mut self, now: Timestamp, rate: Option<Rate>, payer: Option<K>) -> Option<Bucket> {
        let (rate, payer) = (rate?, payer?);
        let mut bucket = self.buckets.get(&payer).copied().unwrap_or_else(|| Bucket::new(now, rate));
        bucket.fill(now);
        Some(bucket)
    }

    fn take_back(&mut self, now: Timestamp, payer: Option<K>, bucket: Option<Bucket>) {
        let (Some(payer), Some(bucket)) = (payer, bucket) else { return };
        if self.buckets.len() >= self.room {
            self.buckets.retain(|_, bucket| {
                bucket.fill(now);
                !bucket.is_full()
            });
            self.room = KEPT.max(self.buckets.len() * 2);
        }
        self.buckets.insert(payer, bucket);
    }
}

/// Who has how much left.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedRates {
    prefixes: Purses<u64>,
    users: Purses<User>,
}

fn user(kind: &[u8], shown: &[u8]) -> User {
    let hash = blake3::Hasher::new().update(kind).update(&[0]).update(shown).finalize();
    core::array::from_fn(|at| hash.as_bytes()[at])
}

/// Whom a link vouches for: by the certificate, or the user of the system.
pub(super) fn vouched_user(credentials: &Credentials) -> Option<User> {
    let certificate = credentials.certificates.first().map(|certificate| user(b"certificate", certificate));
    certificate.or_else(|| credentials.unix.map(|peer| user(b"unix", &peer.uid.to_be_bytes())))
}

impl<A: Address> Endpoint<A> {
    /// Before a connection takes something in or grants something: it sees what is left of the rates that it shares.
    #[inline]
    pub(super) fn lend_rates(&mut self, slot: u32) {
        if self.has_shared_rates() {
            self.lend_shared(slot);
        }
    }

    /// Afterwards: others see what it has used.
    #[inline]
    pub(super) fn take_rates(&mut self, slot: u32) {
        if self.has_shared_rates() {
            self.take_shared(slot);
        }
    }

    fn has_shared_rates(&self) -> bool {
        self.config.receive_rate_per_prefix.is_some() || self.config.receive_rate_per_user.is_some()
    }

    fn payers(&mut self, slot: u32) -> Option<(Option<u64>, Option<User>)> {
        let entry = self.entry(slot)?;
        let conn = entry.conn.awake().filter(|conn| !conn.is_client())?;
        if let Some(key) = conn.peer_key() {
            entry.user = Some(user(b"key", &key.0));
        }
        Some((entry.address.prefix(), entry.user))
    }

    #[inline(never)]
    fn lend_shared(&mut self, slot: u32) {
        let now = self.clock;
        let Some((prefix, user)) = self.payers(slot) else { return };
        let of_prefix = self.rates.prefixes.lend(now, self.config.receive_rate_per_prefix, prefix);
        let of_user = self.rates.users.lend(now, self.config.receive_rate_per_user, user);
        if let Some(conn) = self.awake(slot) {
            conn.lend_rates(now, [of_prefix, of_user]);
        }
    }

    #[inline(never)]
    fn take_shared(&mut self, slot: u32) {
        let now = self.clock;
        let Some((prefix, user)) = self.payers(slot) else { return };
        let Some([of_prefix, of_user]) = self.awake(slot).map(Connection::take_rates) else { return };
        self.rates.prefixes.take_back(now, prefix, of_prefix);
        self.rates.users.take_back(now, user, of_user);
    }

    /// A connection that begins is granted nothing that its prefix has used up, and nothing at all before its user is known.
    pub(super) fn limit_first_grant(&mut self, slot: u32) {
        if !self.has_shared_rates() {
            return;
        }
        self.lend_shared(slot);
        let waits = self.config.receive_rate_per_user.is_some();
        if let Some(conn) = self.awake(slot).filter(|conn| !conn.is_client()) {
            conn.limit_first_grant(waits);
        }
    }
}
