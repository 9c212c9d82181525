//! Where an encrypted connection ends, and what does not end it.

mod world;

use std::sync::Arc;
use std::time::Duration;

use proto_core::crypto::{Crypto, Limits};
use proto_core::wire::checksum::crc32c;
use proto_core::wire::{Advice, Close, Frame, Long, LongKind, Packet, RecordWriter};
use proto_core::{CloseReason, ConfigBuilder, Congestion, Event, code};
use world::{Alteration, Altered, CLIENT, SERVER, World, client_config, party, server_config};

const SECOND: Duration = Duration::from_secs(1);

/// The peer acknowledges nothing, so that the key cannot be replaced. The limit is 2^23 in earnest.
#[test]
fn a_key_seals_no_more_than_it_may() {
    const SEALED: u64 = 200;
    for at_once in [1, 64] {
        let limits = Some(Limits { sealed: SEALED, forged: 1 << 52 });
        let config = client_config();
        let identity = Arc::new(Altered(party(8), Alteration { limits, ..Alteration::default() }));
        let crypto = config.crypto.clone().map(|crypto| Crypto { identity, ..crypto });
        let congestion = Congestion::Fixed { rate: 1 << 40, window: 1 << 30 };
        let client = ConfigBuilder { crypto, congestion, reconnect: None, ..config };
        let mut world = World::new(client, server_config());
        let id = world.connect();
        // Not until it is put away: its pacer begins anew then.
        world.run(SECOND / 5);
        world.tamper = Box::new(|from, _| from == CLIENT);
        for _ in 0..2 * SEALED {
            world.send(CLIENT, id, &[7; 1000]);
        }
        let (mut packets, mut buf) = (Vec::new(), Vec::new());
        while world.nodes[CLIENT].poll_packets(world.now, at_once, &mut buf, &mut packets) > 0 {}
        // The key before was acknowledged, and gave way when it had sealed half of what it might.
        let first = SEALED as usize / 2;
        assert!((first..first + SEALED as usize).contains(&packets.len()), "{} packets", packets.len());
        world.run(SECOND);
        let text = "a key is used up, and nothing sealed with it was acknowledged";
        assert_eq!(world.ended(CLIENT), Some(CloseReason::PeerMisbehaved(text)), "{at_once}");
        let mut start = 0;
        for packet in &packets {
            world.hand_in(SERVER, &buf[start..start + packet.len]);
            start += packet.len;
        }
        world.run(SECOND);
        let told = world.ended(SERVER);
        assert!(matches!(told, Some(CloseReason::Peer { code: code::KEYS_USED_UP, .. })), "{told:?}");
    }
}

/// A refusal of a claim has no keys, so anybody who saw the claim can make one.
#[test]
fn a_forged_refusal_ends_the_attempt_and_not_the_session() {
    for (code, advice) in [
        (code::RESUME_UNKNOWN, Advice::Now),
        (code::SUPERSEDED, Advice::Never),
        (code::WRONG_KEY, Advice::Never),
        (code::BUSY, Advice::After),
    ] {
        let mut world = World::new(client_config(), server_config());
        let id = world.connect();
        world.run(SECOND);
        let served = world.served();
        world.seen.clear();
        world.tamper = Box::new(|_, _| false);
        world.nodes[CLIENT].connection(id).unwrap().link_lost(world.now);
        world.send(CLIENT, id, b"over the next link");
        while world.seen.is_empty() {
            world.run(Duration::from_millis(5));
        }
        let init = world.seen[0].1.clone();
        let Ok(Packet::Long(Long { scid, .. })) = Packet::decode(&init, crc32c) else { panic!("INIT") };
        let close = Close { code, advice, retry_after_ms: 3_600_000, reason: "forged" };
        let (mut record, mut packet) = (Vec::new(), Vec::new());
        RecordWriter::new(&mut record).write(&Frame::Close(close), false);
        let refusal = Long { kind: LongKind::Refuse, version: 1, dcid: scid, scid: &[], payload: &record };
        refusal.encode(&mut packet, crc32c);
        world.hand_in(CLIENT, &packet);
        world.tamper = Box::new(|_, _| true);
        world.run(10 * SECOND);
        assert_eq!(world.ended(CLIENT), None, "{code:#x}");
        assert!(
            world.events[CLIENT].iter().any(|(_, event)| matches!(event, Event::Resumed { .. })),
            "{code:#x}"
        );
        assert_eq!(world.recv(SERVER, served), [b"over the next link"]);
    }
}
