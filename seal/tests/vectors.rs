//! The vectors of docs/spec/wire.md, section 2.5: one handshake and packets of it, byte for byte.

use proto_core::crypto::{Identity, Key, Session, TAG_LEN};
use seal::Party;

const SPEC: &str = include_str!("../../docs/spec/wire.md");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A packet as section 2.5 has it.
fn packet(session: &dyn Session, number: u64, phase: bool, record: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x48 | u8::from(phase) << 5];
    packet.extend_from_slice(b"\x50\x51\x52\x53\x54\x55\x56\x57");
    packet.extend_from_slice(&(number as u16).to_be_bytes());
    let header = packet.len();
    packet.extend_from_slice(record);
    let (head, body) = packet.split_at_mut(header);
    let tag = session.seal(number, head, body);
    packet.extend_from_slice(&tag);
    let mask = session.mask_sent(packet[13..].first_chunk().expect("there is a sample"));
    packet[0] ^= mask[0] & 0x3F;
    packet[9] ^= mask[1];
    packet[10] ^= mask[2];
    packet
}

fn opens(
    session: &mut dyn Session,
    key: Key,
    number: u64,
    phase: bool,
    sealed: &[u8],
    record: &[u8],
) -> bool {
    let mut packet = sealed.to_vec();
    let mask = session.mask_received(packet[13..].first_chunk().expect("there is a sample"));
    packet[0] ^= mask[0] & 0x3F;
    packet[9] ^= mask[1];
    packet[10] ^= mask[2];
    let (head, body) = packet.split_at_mut(11);
    head[0] == (0x48 | u8::from(phase) << 5)
        && head[9..] == (number as u16).to_be_bytes()
        && session.open(key, number, head, body)
        && body[..body.len() - TAG_LEN] == *record
}

fn made(secret: Option<&[u8]>) -> Vec<(&'static str, Vec<u8>)> {
    let party = |private| {
        let party = Party::from_private(&private).repeatable();
        secret.map_or(party.clone(), |secret| party.with_secret(secret).expect("long enough"))
    };
    let (client, server) = (party([0xC0; 32]), party([0x50; 32]));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut begun = client.initiate([1; 32], &server.public_key(), b"prologue", b"parameters", &mut first);
    let asked = server.respond([2; 32], b"prologue", &first).expect("it is for this server");
    assert_eq!((asked.peer(), asked.payload()), (client.public_key(), &b"parameters"[..]));
    let mut accepted = asked.finish(b"accept", &mut second);
    let (payload, mut session) = begun.finish(&second).expect("it answers");
    assert_eq!(payload, b"accept");
    assert_eq!(session.handshake_hash(), accepted.handshake_hash());

    let ping = packet(&*session, 0x1234, false, b"\x00\x01");
    assert!(opens(&mut *accepted, Key::Current, 0x1234, false, &ping, b"\x00\x01"));
    session.update_sent();
    let updated = packet(&*session, 0x1235, true, b"\x88\x01\x02hi");
    assert!(!opens(&mut *accepted, Key::Current, 0x1235, true, &updated, b"\x88\x01\x02hi"));
    assert!(opens(&mut *accepted, Key::Next, 0x1235, true, &updated, b"\x88\x01\x02hi"));
    accepted.update_received();
    assert!(opens(&mut *accepted, Key::Previous, 0x1234, false, &ping, b"\x00\x01"));
    accepted.forget_previous();
    assert!(!opens(&mut *accepted, Key::Previous, 0x1234, false, &ping, b"\x00\x01"));
    let answer = packet(&*accepted, 7, false, b"\x03\x12\x00\x00\x00");
    assert!(opens(&mut *session, Key::Current, 7, false, &answer, b"\x03\x12\x00\x00\x00"));

    let mut saved = Vec::new();
    session.save(&mut saved);
    let loaded = client.load(&saved).expect("it was just saved");
    assert_eq!(packet(&*loaded, 9, true, b"\x00\x00\x01"), packet(&*session, 9, true, b"\x00\x00\x01"));
    vec![
        ("server-key", server.public_key().0.to_vec()),
        ("first-message", first),
        ("second-message", second),
        ("handshake-hash", session.handshake_hash().to_vec()),
        ("packet", ping),
        ("packet-updated", updated),
        ("packet-to-client", answer),
    ]
}

#[test]
fn the_specification_has_what_is_sent() {
    let block = SPEC.split("```sealed-vectors\n").nth(1).and_then(|rest| rest.split("```").next());
    let plain = made(None).into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    let shared = made(Some(b"sixteen bytes or more"));
    let shared = shared.into_iter().map(|(name, bytes)| (format!("{name}-shared"), bytes));
    let lines: Vec<_> =
        plain.chain(shared).map(|(name, bytes)| format!("{name} | {}\n", hex(&bytes))).collect();
    assert_eq!(block.expect("there is such a block"), lines.concat());
}

#[test]
fn no_message_is_read_that_was_changed() {
    let (client, server) = (Party::from_private(&[1; 32]), Party::from_private(&[2; 32]));
    let mut first = Vec::new();
    let mut begun = client.initiate([1; 32], &server.public_key(), b"prologue", b"payload", &mut first);
    for byte in 0..first.len() {
        let mut changed = first.clone();
        changed[byte] ^= 1;
        assert!(server.respond([2; 32], b"prologue", &changed).is_none(), "byte {byte}");
        assert!(server.respond([2; 32], b"prologue", &first[..byte]).is_none(), "{byte} bytes");
    }
    assert!(server.respond([2; 32], b"another prologue", &first).is_none());
    assert!(server.respond([2; 32], b"prologue", &[0; 3000]).is_none());
    let mut second = Vec::new();
    server.respond([2; 32], b"prologue", &first).expect("unchanged").finish(b"yes", &mut second);
    for byte in 0..second.len() {
        let mut changed = second.clone();
        changed[byte] ^= 1;
        assert!(begun.finish(&changed).is_none(), "byte {byte}");
        assert!(begun.finish(&second[..byte]).is_none(), "{byte} bytes");
    }
    let mut again = begun.clone_box();
    for initiator in [&mut begun, &mut again] {
        assert!(initiator.finish(&second).is_some_and(|(payload, _)| payload == b"yes"));
        assert!(initiator.finish(&second).is_none(), "once");
    }
}

#[test]
fn a_key_of_small_order_and_ones_own_are_refused() {
    let server = Party::from_private(&[2; 32]);
    let mut message = Vec::new();
    server.initiate([1; 32], &server.public_key(), b"", b"", &mut message);
    assert!(server.respond([2; 32], b"", &message).is_none(), "its own");
    message[..32].fill(0);
    assert!(server.respond([2; 32], b"", &message).is_none(), "small order");
}
