//! A server that lets in whoever has a token that it issued before: a name and an end of validity, signed. It keeps no list.

use adapter_tokio::{Advice, Close, ConfigBuilder, Connection, Endpoint, Message, clock, code};

const NO_TOKEN: u64 = code::APPLICATION;
const TOKEN_EXPIRED: u64 = code::APPLICATION + 1;

fn seconds() -> u64 {
    clock::now().unix_ms / 1000
}

/// Issues tokens and checks them: `valid until 8 | signature 32 | name`.
#[derive(Clone, Copy)]
struct Issuer([u8; 32]);

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Valid(String),
    Expired,
    Forged,
}

impl Issuer {
    fn issue(self, name: &str, valid_until: u64) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&valid_until.to_be_bytes()).update(name.as_bytes());
        [&valid_until.to_be_bytes()[..], hasher.finalize().as_bytes(), name.as_bytes()].concat()
    }

    fn check(self, token: &[u8], now: u64) -> Verdict {
        let parts = token.split_first_chunk().and_then(|(until, rest)| {
            let (signature, name) = rest.split_first_chunk::<32>()?;
            Some((
                u64::from_be_bytes(*until),
                blake3::Hash::from(*signature),
                std::str::from_utf8(name).ok()?,
            ))
        });
        let Some((valid_until, signature, name)) = parts else { return Verdict::Forged };
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&valid_until.to_be_bytes()).update(name.as_bytes());
        // Hashes are compared in constant time.
        match hasher.finalize() == signature {
            false => Verdict::Forged,
            true if valid_until < now => Verdict::Expired,
            true => Verdict::Valid(name.to_owned()),
        }
    }
}

async fn decide(server: Endpoint, issuer: Issuer) {
    while let Some(peer) = server.undecided().await {
        let refusal = match issuer.check(&peer.credentials().token, seconds()) {
            Verdict::Valid(name) => {
                println!("{name} comes in as {}", peer.id());
                peer.admit();
                continue;
            }
            Verdict::Expired => (TOKEN_EXPIRED, "get a new token"),
            Verdict::Forged => (NO_TOKEN, "get a token first"),
        };
        let (code, reason) = refusal;
        peer.refuse(Close { code, reason: reason.into(), advice: Advice::Never, ..Close::default() });
    }
}

async fn greet(connection: Connection) {
    // Who leaves at once misses the greeting.
    let _ = connection.send(Message::new("welcome")).await;
    connection.closed().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let issuer = Issuer(*blake3::hash(b"a key that only the server has").as_bytes());
    let config = ConfigBuilder { admission: true, ..ConfigBuilder::default() };
    let server = Endpoint::bind("127.0.0.1:0".parse()?, config)?;
    tokio::spawn(decide(server.clone(), issuer));
    let accepting = server.clone();
    tokio::spawn(async move {
        while let Some(connection) = accepting.accept().await {
            tokio::spawn(greet(connection));
        }
    });

    let client = Endpoint::client(ConfigBuilder::default())?;
    let token = issuer.issue("ann", seconds() + 3600);
    let connection = client.connect_with(server.local_addr(), &token).await?;
    println!("{:?}", connection.recv().await.ok_or("the connection was lost")?.payload);
    for bad in [issuer.issue("ann", 0), b"ann".to_vec(), Vec::new()] {
        let refused = client.connect_with(server.local_addr(), &bad).await;
        println!("{}", refused.err().ok_or("a bad token must not do")?);
    }
    connection.close(Close::default());
    client.wait_idle().await;
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
    fn a_token_cannot_be_changed() {
        let issuer = Issuer([3; 32]);
        let token = issuer.issue("ann", 1000);
        assert_eq!(issuer.check(&token, 1000), Verdict::Valid("ann".into()));
        assert_eq!(issuer.check(&token, 1001), Verdict::Expired);
        for at in 0..token.len() {
            let mut other = token.clone();
            other[at] ^= 1;
            assert_eq!(issuer.check(&other, 1000), Verdict::Forged, "byte {at}");
        }
        assert_eq!(Issuer([4; 32]).check(&token, 1000), Verdict::Forged);
    }
}
