//! What sealing and opening a packet costs, both ends together, and what a handshake does: `cargo run --release -p bench --bin seal`.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "what is measured is time")]

use std::time::{Duration, Instant};

use proto_core::crypto::{Identity, Key, Session, TAG_LEN};
use seal::Party;

/// A packet, its header and its tag included.
const PACKET: usize = 1200;
/// Header of a short packet with a number of two bytes.
const HEADER: usize = 11;
const ROUNDS: usize = 21;
const PACKETS: u64 = 20_000;
const HANDSHAKES: u32 = 100;

fn handshake(client: &Party, server: &Party) -> [Box<dyn Session>; 2] {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut begun = client.initiate([1; 32], &server.public_key(), b"prologue", b"parameters", &mut first);
    let asked = server.respond([2; 32], b"prologue", &first).expect("it is for this server");
    let accepted = asked.finish(b"accept", &mut second);
    let (_, session) = begun.finish(&second).expect("it answers");
    [session, accepted]
}

/// The median of [`ROUNDS`] measurements, for one of `count`.
fn median(count: u32, mut act: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            act();
            start.elapsed() / count
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn main() {
    let [client, server] = [1, 2].map(|seed| Party::from_private(&[seed; 32]));
    let [sent, mut received] = handshake(&client, &server);
    let mut packet = vec![7; PACKET];
    let mut number = 0;
    let sealed = median(PACKETS as u32, || {
        for _ in 0..PACKETS {
            let (header, record) = packet.split_at_mut(HEADER);
            let end = record.len() - TAG_LEN;
            let tag = sent.seal(number, header, &mut record[..end]);
            record[end..].copy_from_slice(&tag);
            let sample = record[2..].first_chunk().expect("it is long enough");
            assert_eq!(sent.mask_sent(sample), received.mask_received(sample));
            assert!(received.open(Key::Current, number, header, record), "it was just sealed");
            number += 1;
        }
    });
    println!("seal and open {PACKET} bytes, both masks included: {} ns", sealed.as_nanos());
    let shaken = median(HANDSHAKES, || {
        for _ in 0..HANDSHAKES {
            handshake(&client, &server);
        }
    });
    println!("a handshake, both sides: {} us", shaken.as_micros());
}
