//! A server that lets in whoever knows a secret. The secret itself never travels: a client shows a name, the time, and a keyed
//! hash of both, which is worth something for a minute and only once.
use std::collections::BTreeSet;
use std::time::Duration;

use adapter_tokio::{Close, ConfigBuilder, Endpoint, Message, clock, code};

const NOT_THE_SECRET: u64 = code::APPLICATION;

fn seconds() -> u64 {
    clock::now().unix_ms / 1000
}

/// `time 8 | hash 32 | name`
fn proof(secret: &[u8; 32], name: &str, time: u64) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(&time.to_be_bytes()).update(name.as_bytes());
    [&time.to_be_bytes()[..], hasher.finalize().as_bytes(), name.as_bytes()].concat()
}

/// What a server knows: the secret, and which proofs of the last minute were used.
struct Door {
    secret: [u8; 32],
    used: BTreeSet<Vec<u8>>,
}

impl Door {
    fn opens_for(&mut self, shown: &[u8], now: u64) -> bool {
        let Some((time, name)) = shown.split_first_chunk().and_then(|(time, rest)| {
            Some((u64::from_be_bytes(*time), std::str::from_utf8(rest.get(32..)?).ok()?))
        }) else {
            return false;
        };
        let expected = proof(&self.secret, name, time);
        let differs =
            expected.iter().zip(shown).fold(expected.len() ^ shown.len(), |d, (a, b)| d | usize::from(a ^ b));
        self.used.retain(|used| used.first_chunk().is_some_and(|&at| u64::from_be_bytes(at) + 60 >= now));
        differs == 0 && now.abs_diff(time) <= 30 && self.used.insert(shown.to_vec())
    }
}

async fn decide(server: Endpoint, mut door: Door) {
    while let Some(peer) = server.undecided().await {
        if door.opens_for(&peer.credentials().token, seconds()) {
            peer.admit();
        } else {
            let reason = "that is not the secret".to_owned();
            peer.refuse(Close { code: NOT_THE_SECRET, reason, ..Close::default() });
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = *blake3::hash(b"from a file that both sides have").as_bytes();
    let config = ConfigBuilder { admission: true, ..ConfigBuilder::default() };
    let server = Endpoint::bind("127.0.0.1:0".parse()?, config)?;
    tokio::spawn(decide(server.clone(), Door { secret, used: BTreeSet::new() }));

    let client = Endpoint::client(ConfigBuilder::default())?;
    let shown = proof(&secret, "ann", seconds());
    let connection = client.connect_with(server.local_addr(), &shown).await?;
    println!("ann is in");
    connection.send(Message::new("hello")).await?;
    let accepted = server.accept().await.ok_or("the server is closed")?;
    println!("{:?}", accepted.recv().await.ok_or("the connection was lost")?.payload);

    let again = client.connect_with(server.local_addr(), &shown).await;
    println!("the same proof again: {}", again.err().ok_or("a proof is good for once")?);
    let guessed = proof(&[0; 32], "bob", seconds());
    let refused = client.connect_with(server.local_addr(), &guessed).await;
    println!("bob: {}", refused.err().ok_or("a guess must not do")?);

    connection.close(Close::default());
    tokio::time::timeout(Duration::from_secs(5), client.wait_idle()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs() {
        main().expect("the example works");
    }

    #[test]
    fn only_the_right_proof_of_the_last_half_minute_opens_the_door() {
        let door = || Door { secret: [7; 32], used: BTreeSet::new() };
        let right = proof(&[7; 32], "ann", 1000);
        assert!(door().opens_for(&right, 1030) && door().opens_for(&right, 970));
        assert!(!door().opens_for(&right, 1031) && !door().opens_for(&right, 969));
        for at in 0..right.len() {
            let mut other = right.clone();
            other[at] ^= 1;
            assert!(!door().opens_for(&other, 1000), "byte {at}");
            assert!(!door().opens_for(&right[..at], 1000), "{at} bytes");
        }
    }
}
