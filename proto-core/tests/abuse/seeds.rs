//! What the scenarios threw at the server, and what fuzzing may start from: `datagram` and `record` lines of hexadecimal digits, one
//! file for each row. `UPDATE_SEEDS=1` writes them anew.

use std::path::{Path, PathBuf};

use proto_core::wire::Frame;
use proto_core::{Class, ConfigBuilder};

use crate::peer::{Peer, msg};
use crate::world::{World, host, ms, secs};

pub(crate) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/abuse")
}

fn bytes(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    digits.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// A server with limits that are soon reached.
fn small() -> ConfigBuilder {
    ConfigBuilder {
        max_message: 4000,
        receive_messages: 8,
        receive_bytes: 8000,
        session_messages: 12,
        session_bytes: 12_000,
        max_channels: 2,
        max_requests: 3,
        max_partials: 4,
        ..ConfigBuilder::default()
    }
}

#[test]
fn every_seed_is_survived_by_all_others() {
    let mut files: Vec<_> =
        std::fs::read_dir(corpus()).expect("the corpus").flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(files.len() > 25);
    for (file, config) in files.iter().flat_map(|file| [(file, small()), (file, ConfigBuilder::default())]) {
        let text = std::fs::read_to_string(file).expect("it can be read");
        let mut world = World::new(config);
        let mut honest = Peer::join(&mut world, host(1));
        let mut hostile = Peer::join(&mut world, host(2));
        let mut lives = 0;
        for line in text.lines() {
            let (kind, digits) = line.split_once(' ').expect("a kind and digits");
            let seed = bytes(digits);
            // Also cut short, and with a bit changed.
            let mut damaged = seed.clone();
            let at = damaged.len() / 2;
            damaged.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10);
            for input in [&seed[..], &seed[..at], &damaged] {
                if kind == "datagram" {
                    world.hand_in(host(3), input);
                    world.hand_in(host(2), input);
                } else {
                    hostile.raw(&mut world, input);
                }
                world.run(ms(5));
                assert!(hostile.held(&world) <= 3 << 20);
                if world.server.get(hostile.id()).is_none() || world.closed(hostile.id()).is_some() {
                    lives += 1;
                    hostile = Peer::join(&mut world, host(10 + lives));
                }
            }
        }
        honest.say(&mut world, &[Frame::Msg(msg(Class::ReliableOrdered, 0, b"still here"))]);
        assert_eq!(honest.held(&world), 10, "{}", file.display());
        // Nobody says anything any more: the links are dead after 35 s, and the sessions after another 60.
        world.run(secs(200));
        assert!(world.server.is_empty(), "{} of {lives}", world.server.len());
    }
}
