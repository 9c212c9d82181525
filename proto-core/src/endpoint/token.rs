//! Retry tokens: what proves that a client can be reached at its address. The server keeps nothing
//! (docs/spec/connection.md, section 2).
//!
//! ```text
//! 01 | issued_s 4 | nonce 8 | keyed hash of (issued_s, nonce, client's connection id, address) 16
//! ```

use alloc::vec::Vec;

use super::Address;
use crate::Timestamp;
use crate::wire::{Cid, Reader};

const KIND: u8 = 1;
/// Seconds that a token is good for.
const LIFE: u64 = 15;
/// Seconds after which the key changes.
const KEY_LIFE: u64 = 3600;

fn mac<A: Address>(key: &[u8; 32], issued: u32, nonce: [u8; 8], client: Cid, address: A) -> blake3::Hash {
    let hour = u64::from(issued) / KEY_LIFE;
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"retry key").update(&hour.to_be_bytes());
    let key = *hasher.finalize().as_bytes();
    let mut bytes = Vec::with_capacity(48);
    bytes.extend_from_slice(&issued.to_be_bytes());
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&client.0);
    address.token_bytes(&mut bytes);
    blake3::keyed_hash(&key, &bytes)
}

pub(super) fn issue<A: Address>(
    key: &[u8; 32],
    now: Timestamp,
    nonce: [u8; 8],
    client: Cid,
    address: A,
) -> [u8; 29] {
    let issued = seconds(now) as u32;
    let mut token = [0; 29];
    token[0] = KIND;
    token[1..5].copy_from_slice(&issued.to_be_bytes());
    token[5..13].copy_from_slice(&nonce);
    token[13..].copy_from_slice(&mac(key, issued, nonce, client, address).as_bytes()[..16]);
    token
}

pub(super) fn is_valid<A: Address>(
    key: &[u8; 32],
    now: Timestamp,
    token: &[u8],
    client: Cid,
    address: A,
) -> bool {
    let mut reader = Reader::new(token);
    let (Ok(KIND), Ok(issued), Ok(nonce), Ok(tag)) =
        (reader.u8(), reader.u32(), reader.array(), reader.array::<16>())
    else {
        return false;
    };
    let expected = mac(key, issued, nonce, client, address);
    let differs = expected.as_bytes().iter().zip(tag).fold(0, |diff, (a, b)| diff | a ^ b);
    let age = seconds(now).checked_sub(u64::from(issued));
    differs == 0 && reader.is_empty() && age.is_some_and(|age| age <= LIFE)
}

const fn seconds(now: Timestamp) -> u64 {
    now.as_nanos() / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::{LIFE, is_valid, issue};
    use crate::Timestamp;
    use crate::wire::Cid;

    #[test]
    fn a_token_is_good_for_one_client_at_one_address_for_a_while() {
        let (key, client) = ([1; 32], Cid([2; 8]));
        let address: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        let now = Timestamp::from_millis(3_599_000);
        let token = issue(&key, now, [3; 8], client, address);
        let later = |seconds: u64| Timestamp::from_millis(3_599_000 + seconds * 1000);
        assert!(is_valid(&key, now, &token, client, address));
        assert!(is_valid(&key, later(LIFE), &token, client, address), "over the change of keys as well");
        assert!(!is_valid(&key, later(LIFE + 1), &token, client, address));
        assert!(!is_valid(&key, Timestamp::ZERO, &token, client, address), "not before it was issued");
        assert!(!is_valid(&key, now, &token, Cid([9; 8]), address));
        assert!(!is_valid(&key, now, &token, client, "192.0.2.1:4001".parse::<SocketAddr>().unwrap()));
        assert!(!is_valid(&[9; 32], now, &token, client, address));
        for cut in 0..token.len() {
            assert!(!is_valid(&key, now, &token[..cut], client, address));
            let mut flipped = token;
            flipped[cut] ^= 1;
            assert!(!is_valid(&key, now, &flipped, client, address));
        }
    }
}
