//! Chats over a network that loses, repeats, reorders and corrupts, and with a server that is killed.
//!
//! `BOWLINE_CLIENTS`, `BOWLINE_LINES` and `BOWLINE_KILLS` set the size of a run.

use std::sync::atomic::Ordering::Relaxed;

use super::relay::{Harm, Relay};
use super::support::{Chat, Server, assert_whole, scaled, url};

const HARM: Harm = Harm { loss: 30, duplication: 10, reordering: 10, corruption: 1 };

fn start(relay: &Relay, clients: usize, each: usize) -> Vec<Chat> {
    let until = (clients * each).to_string();
    let start = |client| {
        Chat::start(&url(relay.address), &["--name", &format!("client {client}"), "--until-slot", &until])
    };
    (0..clients).map(start).collect()
}

/// Waits for the end of all; everybody must have seen everything in the same order.
fn finish(chats: Vec<Chat>, each: usize) {
    let clients = chats.len();
    let mut first = None;
    for chat in chats {
        let chat = chat.finish();
        assert_eq!(chat.code, Some(0), "{}", chat.stderr);
        assert_whole(&chat.lines, clients, each);
        assert_eq!(*first.get_or_insert_with(|| chat.lines.clone()), chat.lines);
    }
}

#[test]
fn everybody_sees_everything_in_the_same_order() {
    let (clients, each) = (scaled("BOWLINE_CLIENTS", 5), scaled("BOWLINE_LINES", 50));
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let relay = Relay::start(server.address(), HARM, 1);
    let mut chats = start(&relay, clients, each);
    for line in 0..each {
        for chat in &mut chats {
            chat.say(&line.to_string());
        }
    }
    finish(chats, each);
    // One in a hundred may well be none of a few hundred, so the corrupted ones are not asked for.
    for count in [&relay.counts.lost, &relay.counts.duplicated, &relay.counts.reordered] {
        assert!(count.load(Relaxed) > 0, "{:?}", relay.counts);
    }
}

#[test]
fn a_server_that_is_killed_loses_nothing_and_repeats_nothing() {
    let (clients, each) = (scaled("BOWLINE_CLIENTS", 5), scaled("BOWLINE_LINES", 50));
    let kills = scaled("BOWLINE_KILLS", 3);
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let relay = Relay::start(server.address(), HARM, 2);
    let mut chats = start(&relay, clients, each);
    let share = each / (kills + 1);
    for line in 0..each {
        for chat in &mut chats {
            chat.say(&line.to_string());
        }
        let round = line / share.max(1);
        if line % share.max(1) == share / 2 && (1..=kills).contains(&round) {
            // Some of what was said is acknowledged by now, and some is not.
            chats[round % clients].wait_for(clients * share * (round - 1) + 1);
            server.kill_and_restart(dir.path());
        }
    }
    finish(chats, each);
}
