use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::chat::identity::{AuthorId, ClientSecret, Kind};

const SPEC: &str = include_str!("../../../../docs/spec/chat.md");

fn entry() -> WireEntry<'static> {
    WireEntry {
        author: AuthorId([0xA1; 16]),
        sequence: 3,
        name: "ann",
        author_ms: 1_700_000_000_000,
        commit_ms: 1_700_000_000_007,
        kind: Kind::TEXT,
        body: b"hello",
    }
}

/// The messages whose bytes the specification gives, under the names that it gives them.
fn golden() -> Vec<(&'static str, Message<'static>)> {
    let (room, epoch) = ("lobby", 0x0123_4567_89AB_CDEF);
    let reply =
        ServerReply { room, epoch, latest: 300, limited: true, first: 7, entries: vec![entry(), entry()] };
    let empty = ServerReply { room, epoch, latest: 0, limited: false, first: 0, entries: vec![] };
    vec![
        (
            "ClientJoin, first",
            Message::ClientJoin(ClientJoin {
                room,
                secret: ClientSecret([0x5E; 32]),
                incarnation: 1_700_000_000_000,
                name: "ann",
                epoch: 0,
                has: 0,
                last: 50,
            }),
        ),
        (
            "ClientJoin, again",
            Message::ClientJoin(ClientJoin {
                room,
                secret: ClientSecret([0x5E; 32]),
                incarnation: 2,
                name: "",
                epoch,
                has: 300,
                last: u64::MAX,
            }),
        ),
        (
            "ClientAppend",
            Message::ClientAppend(ClientAppend {
                room,
                sequence: 3,
                seen: 200,
                author_ms: 1_700_000_000_000,
                kind: Kind::TEXT,
                body: b"hello",
            }),
        ),
        ("ClientUpdate", Message::ClientUpdate(ClientUpdate { room, n: 128, upto: 428 })),
        (
            "ClientUpdate, latest",
            Message::ClientUpdate(ClientUpdate { room, n: 50, upto: ClientUpdate::LATEST }),
        ),
        (
            "ServerJoined",
            Message::ServerJoined(ServerJoined {
                room,
                epoch,
                latest: 300,
                last_sequence: 2,
                author: AuthorId([0xA1; 16]),
                limits: Limits { max_body: 16_384, remember_ms: 2_592_000_000 },
            }),
        ),
        ("ServerAck", Message::ServerAck(ServerAck { room, epoch, sequence: 3, slot: 301, duplicate: true })),
        ("ServerReply", Message::ServerReply(reply)),
        ("ServerReply, empty", Message::ServerReply(empty)),
        ("ServerEntry", Message::ServerEntry(ServerEntry { room, epoch, slot: 301, entry: entry() })),
        (
            "ServerReject",
            Message::ServerReject(ServerReject { room, epoch, sequence: 4, reason: RejectReason::Conflict }),
        ),
        ("ClientLeave", Message::ClientLeave(ClientLeave { room })),
        ("ServerLeft", Message::ServerLeft(ServerLeft { room })),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// The vectors of the specification: a line `vector NAME`, then hex until an empty line or a fence.
fn vectors() -> Vec<(&'static str, String)> {
    let mut vectors: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in SPEC.lines() {
        if let Some(name) = line.strip_prefix("vector ") {
            vectors.push((name, String::new()));
            open = true;
        } else if line.is_empty() || line.starts_with('`') {
            open = false;
        } else if open && let Some((_, digits)) = vectors.last_mut() {
            digits.extend(line.split_whitespace());
        }
    }
    vectors
}

#[test]
fn the_specification_gives_these_bytes() {
    let golden = golden();
    let encoded: Vec<_> = golden.iter().map(|(name, message)| (*name, hex(&message.to_bytes()))).collect();
    assert_eq!(vectors(), encoded);
    for (name, message) in &golden {
        let bytes = message.to_bytes();
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(message), "{name}");
    }
}

#[test]
fn every_cut_and_every_addition_is_an_error() {
    for (name, message) in golden() {
        let bytes = message.to_bytes();
        for cut in 0..bytes.len() {
            assert!(Message::decode(&bytes[..cut]).is_err(), "{name} cut to {cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Message::decode(&longer).is_err(), "{name} with a byte behind it");
    }
}

/// Whatever still decodes after a change encodes to exactly the changed bytes: there is no second encoding of anything.
#[test]
fn every_mutation_is_an_error_or_another_message() {
    for (name, message) in golden() {
        let bytes = message.to_bytes();
        let mut survivors = 0;
        for at in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut changed = bytes.to_vec();
                changed[at] = value;
                if let Ok(decoded) = Message::decode(&changed) {
                    assert_eq!(hex(&decoded.to_bytes()), hex(&changed), "{name}");
                    assert_eq!(decoded == message, changed[..] == bytes[..], "{name}");
                    survivors += 1;
                }
            }
        }
        assert!(survivors > bytes.len() / 2, "{name}: nothing but errors");
    }
}

quickcheck::quickcheck! {
    fn whatever_decodes_encodes_to_the_same_bytes(kind: u8, rest: Vec<u8>) -> bool {
        let codes = [0x01, 0x02, 0x03, 0x04, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16];
        let bytes = [&[codes[usize::from(kind) % codes.len()]], &rest[..]].concat();
        Message::decode(&bytes).map_or(true, |message| message.to_bytes() == bytes)
    }
}

fn refused(message: &Message<'_>) -> bool {
    Message::decode(&message.to_bytes()).is_err()
}

#[test]
fn limits_hold_in_decoding() {
    let text = "x".repeat(65);
    let body = vec![0; MAX_BODY + 1];
    let update = |room| Message::ClientUpdate(ClientUpdate { room, n: 1, upto: 1 });
    assert!(!refused(&update(&text[..64])) && refused(&update(&text)) && refused(&update("")));

    let append = |body, sequence| {
        Message::ClientAppend(ClientAppend {
            room: "r",
            sequence,
            seen: 0,
            author_ms: 0,
            kind: Kind(9),
            body,
        })
    };
    assert!(!refused(&append(&body[1..], 1)) && refused(&append(&body, 1)) && refused(&append(&[], 0)));

    let join = |name, epoch, has| {
        let secret = ClientSecret([0; 32]);
        Message::ClientJoin(ClientJoin { room: "r", secret, incarnation: 1, name, epoch, has, last: 0 })
    };
    assert!(!refused(&join(&text[..64], 0, 0)) && refused(&join(&text, 0, 0)) && refused(&join("", 0, 1)));
}

const FULL: &[u8] = &[0; MAX_BODY];

#[test]
fn pages_are_bounded_and_consistent() {
    let page = |latest, limited, first, count: usize, body: &'static [u8]| {
        let entries = vec![WireEntry { body, ..entry() }; count];
        Message::ServerReply(ServerReply { room: "r", epoch: 1, latest, limited, first, entries })
    };
    assert!(!refused(&page(128, false, 1, 128, b"")) && refused(&page(200, false, 1, 129, b"")));
    assert!(!refused(&page(9, true, 1, 3, FULL)) && refused(&page(9, true, 1, 4, FULL)));
    assert!(!refused(&page(3, false, 2, 2, b"")) && refused(&page(3, false, 2, 3, b"")));
    assert!(refused(&page(9, false, 0, 1, b"")) && refused(&page(9, false, 1, 0, b"")));
    assert!(refused(&page(9, true, 0, 0, b"")) && refused(&page(u64::MAX, false, u64::MAX, 2, b"")));
    assert!(page(u64::MAX, true, 1 << 60, 3, FULL).to_bytes().len() <= MAX_MESSAGE);
}

#[test]
fn the_encoded_length_of_an_entry_is_exact() {
    let (short, long) = ([7; 127], [7; 200]);
    for body in [&short[..], &long[..], &[]] {
        let entry = WireEntry { body, author_ms: u64::MAX, ..entry() };
        let mut buf = Vec::new();
        entry.encode(&mut buf);
        assert_eq!(buf.len(), entry.encoded_len());
    }
}

#[test]
fn reasons_have_distinct_codes_in_order() {
    assert!(RejectReason::ALL.is_sorted_by(|a, b| (*a as u8) < (*b as u8)));
}
