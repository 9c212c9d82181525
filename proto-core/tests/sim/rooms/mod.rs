//! Campaigns over rooms: people who enter, leave, chat, play, take and lose crowns and ban each other, under every fault.

pub(crate) mod node;
mod oracle;
mod quota;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::ChatConfig;
use proto_core::room::{AWKWARD, CrownOnLeave, LOBBY, RoomConfig};
use proto_core::{Config, ConfigBuilder};
use simtest::{Chaos, Fault, Kind, Link, Sim, View, at, ms, secs};

use self::node::{ClientNode, Cmd, RoomNode, ServerNode};
use self::oracle::InRooms;
use crate::core::{Draw, balanced, settings};

/// Short, so that it ends in a run.
pub(crate) fn rooms() -> RoomConfig {
    RoomConfig { resume_window: secs(2), ..RoomConfig::default() }
}

fn config(accept: bool) -> Arc<Config> {
    let settings = settings(accept);
    // The server's queues are short, so that receivers fall behind and get snapshots.
    let send_messages = if accept { 6 } else { 64 };
    let roomy = ConfigBuilder {
        send_messages,
        max_message: 256 * 1024,
        send_bytes: 512 * 1024,
        receive_bytes: 1024 * 1024,
        receive_messages: 64,
        session_messages: 256,
        session_bytes: 4 * 1024 * 1024,
        ..settings
    };
    roomy.build().expect("a sound configuration")
}

const ROOMS: [&str; 4] = ["a room", "b room", "lobby", "a room"];

fn cmd(draw: &mut Draw, number: u64) -> Cmd {
    match draw.below(24) {
        0..=3 => Cmd::Enter(ROOMS[draw.below(4) as usize]),
        4 => Cmd::Leave,
        5..=9 => Cmd::Say(format!("{number}{}", "x".repeat(draw.below(300) as usize))),
        10..=12 => Cmd::Play(1 + draw.below(600) as u16),
        13..=14 => Cmd::Move(draw.below(10_000) as i16),
        15 => Cmd::Rename(format!("user {number}")),
        16..=18 => Cmd::Give(draw.below(50) as usize),
        19 => Cmd::Drop,
        20..=21 => Cmd::Kick(draw.below(50) as usize, draw.below(8000) as u32),
        22 => Cmd::Chat(draw.below(3) > 0),
        _ => Cmd::Play(600),
    }
}

fn people(view: &View<'_, RoomNode>) -> BTreeMap<Arc<str>, BTreeSet<proto_core::room::UserId>> {
    let mut people: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (_, node) in view.nodes() {
        if let RoomNode::Client(client) = node
            && client.is_connected()
            && let (Some(room), Some(me)) = (client.rooms().view(), client.rooms().me())
        {
            people.entry(Arc::clone(&room.room)).or_default().insert(me);
        }
    }
    people
}

/// Everybody sees what the server has, and the server has nobody who is not there.
fn converged(view: &View<'_, RoomNode>) -> Result<(), String> {
    let people = people(view);
    let mut servers = view.nodes().filter_map(|(_, node)| match node {
        RoomNode::Server(node) => Some(node.server()),
        RoomNode::Client(_) => None,
    });
    let hall = servers.next().ok_or("no server")?.hall();
    let mut places = BTreeMap::new();
    for room in hall.rooms() {
        let there: BTreeSet<_> = room.participants().iter().map(|one| one.user).collect();
        if !there.is_empty() {
            places.insert(Arc::clone(room.name()), there);
        }
    }
    if places != people {
        return Err(format!("the server has {places:?}, the clients {people:?}"));
    }
    for (id, node) in view.nodes() {
        let RoomNode::Client(client) = node else { continue };
        if client.is_gone() {
            continue;
        }
        if !client.is_connected() || client.rooms().unanswered() > 0 {
            return Err(format!("{} is not connected, or waits", view.name(id)));
        }
        let Some(seen) = client.rooms().view() else { continue };
        let there = hall.rooms().find(|room| *room.name() == seen.room).ok_or("a room that is none")?;
        let snapshot = there.snapshot();
        let is_same = seen.version == snapshot.version
            && seen.crown == snapshot.crown
            && seen.settings == snapshot.settings
            && snapshot.participants.len() == seen.participants.len()
            && snapshot.participants.iter().all(|one| {
                let known = seen.participants.get(&one.user);
                known.is_some_and(|known| known.name == one.name && known.suspended == one.suspended)
            });
        if !is_same {
            return Err(format!("{} sees {seen:?}, not {snapshot:?}", view.name(id)));
        }
    }
    Ok(())
}

/// By the latest time that the wall clock has shown: where it is set back, bans that were over begin again.
fn nobody_banned(view: &View<'_, RoomNode>) -> Result<(), String> {
    for (_, node) in view.nodes() {
        let RoomNode::Server(node) = node else { continue };
        for room in node.server().hall().rooms() {
            let banned = |user| room.state().banned_for(user, None, node.unix_ms).is_some();
            if let Some(one) = room.participants().iter().find(|one| banned(one.user)) {
                return Err(format!("{:?} is in {} and banned", one.user, room.name()));
            }
        }
    }
    Ok(())
}

fn crowd(seed: u64, count: usize, rooms: &RoomConfig, oracle: InRooms) -> Sim<RoomNode> {
    crowd_with(seed, count, rooms, &ChatConfig::default(), oracle)
}

fn crowd_with(
    seed: u64,
    count: usize,
    rooms: &RoomConfig,
    chat: &ChatConfig,
    oracle: InRooms,
) -> Sim<RoomNode> {
    let mut sim = Sim::new("rooms");
    let (server, client) = (config(true), config(false));
    let (mut rooms, chat) = (rooms.clone(), chat.clone());
    if seed.is_multiple_of(3) {
        rooms.crown_on_leave = CrownOnLeave::Drop;
    }
    let s = sim.node("s", move |boot| ServerNode::boot_with(boot, &server, &rooms, &chat));
    let clients: Vec<_> = (0..count)
        .map(|number| {
            let client = Arc::clone(&client);
            sim.node(&format!("c{number}"), move |boot| ClientNode::boot(boot, &client, s.addr()))
        })
        .collect();
    sim.links(Link::new().delay(simtest::Dist::uniform(ms(5)..ms(40))));
    sim.workload(|w| {
        let mut draw = Draw(seed);
        for &client in &clients {
            w.at(ms(draw.below(1500))).cmd(client, Cmd::Enter(ROOMS[draw.below(4) as usize]));
        }
        for number in 0..(12 * count as u64) {
            let client = clients[draw.below(count as u64) as usize];
            w.at(ms(500 + draw.below(5500))).cmd(client, cmd(&mut draw, number));
        }
        // Who plays too much, and one who says goodbye.
        for number in 0..10 {
            w.at(ms(2000 + 100 * number)).cmd(clients[0], Cmd::Play(600));
        }
        w.at(ms(4000 + draw.below(2000))).cmd(clients[count - 1], Cmd::Close);
    });
    sim.oracle("rooms", oracle.at(s));
    sim.invariant("nobody who is banned is present", nobody_banned);
    sim.invariant("conservation", |view| match view.latest() {
        Some((_, RoomNode::Server(node))) => {
            balanced(&node.server().endpoint_stats(), node.server().unsettled())
        }
        _ => Ok(()),
    });
    sim.eventually("everybody sees what is", converged);
    sim
}

fn chaos() -> Chaos {
    Chaos::default().until(secs(6)).quiet_for(secs(90)).victims(Kind::Disk, ["s"])
}

pub(crate) fn stormy_with(seed: u64, count: usize, rooms: &RoomConfig) -> Sim<RoomNode> {
    let mut sim = crowd(seed, count, rooms, InRooms::default());
    sim.campaign(chaos());
    sim
}

#[simtest::test(seeds = 0..3000)]
fn rooms_keep_their_promises_whatever_happens(sim: &mut Sim<RoomNode>, seed: u64) {
    *sim = stormy_with(seed, 3 + (seed % 3) as usize, &rooms());
}

/// Logs of empty rooms that end within a run, under every fault, those of the server's wall clock among them.
pub(crate) fn passing(seed: u64, chat: &ChatConfig) -> Sim<RoomNode> {
    let keep = secs(1);
    // In some runs those in which nothing was said end sooner.
    let keep_silent = (seed % 4 == 3).then_some(ms(300));
    let rooms = RoomConfig { keep: Some(keep), keep_silent, ..rooms() };
    let oracle = InRooms::whose_logs_end(keep, keep_silent.unwrap_or(keep));
    let mut sim = crowd_with(seed, 3, &rooms, chat, oracle);
    sim.campaign(chaos().clock(secs(2), ms(100)..secs(2)).victims(Kind::Clock, ["s"]));
    sim.sometimes("a log has ended", |view| {
        view.nodes().any(|(_, node)| match node {
            RoomNode::Server(node) => node.server().chat_stats().expired > 0,
            RoomNode::Client(_) => false,
        })
    });
    sim.eventually("all but the rooms with somebody in them have ended", |view| {
        let mut servers = view.nodes().filter_map(|(_, node)| match node {
            RoomNode::Server(node) => Some(node.server()),
            RoomNode::Client(_) => None,
        });
        let server = servers.next().ok_or("no server")?;
        let there: BTreeSet<_> = server.hall().rooms().map(|room| Arc::clone(room.name())).collect();
        // The lobby stays, and where those go who are banned.
        let stay = there.iter().filter(|name| ![LOBBY, AWKWARD].contains(&&***name)).count() + 2;
        if server.logs() <= stay { Ok(()) } else { Err(format!("{} logs, {there:?}", server.logs())) }
    });
    sim
}

#[simtest::test(seeds = 0..1000)]
fn rooms_keep_their_promises_while_logs_end(sim: &mut Sim<RoomNode>, seed: u64) {
    *sim = passing(seed, &ChatConfig::default());
}

#[simtest::test(seeds = 0..16)]
fn fifty_people_keep_the_promises_too(sim: &mut Sim<RoomNode>, seed: u64) {
    *sim = stormy_with(seed, 50, &rooms());
}

#[test]
fn rooms_run_the_same_on_every_thread() {
    for seed in 0..10 {
        simtest::check_determinism(seed, |seed| stormy_with(seed, 4, &rooms())).expect("the same run twice");
    }
}

/// Two people in a room; the second enters, and is cut off after so long.
fn cut_off(after: Duration, fault: &Fault) -> Sim<RoomNode> {
    let mut sim = Sim::new("cut_off");
    let (server, client) = (config(true), config(false));
    let s = sim.node("s", move |boot| ServerNode::boot(boot, &server, &rooms()));
    for name in ["a", "b"] {
        let client = Arc::clone(&client);
        let node = sim.node(name, move |boot| ClientNode::boot(boot, &client, s.addr()));
        let start = if name == "a" { ms(0) } else { ms(1000) };
        sim.workload(|w| {
            w.at(start).cmd(node, Cmd::Enter("a room"));
        });
    }
    sim.links(Link::lan());
    sim.fault(at(ms(1000) + after), fault.clone());
    sim.oracle("rooms", InRooms::default());
    sim.run_for(secs(20));
    sim.finally("no ghost", |view| {
        let RoomNode::Server(node) = view.nodes().next().ok_or("no server")?.1 else {
            return Err("no server".into());
        };
        let hall = node.server().hall();
        let there: usize = hall.rooms().map(proto_core::room::Room::len).sum();
        let peers = hall.peers();
        if (there, peers) == (1, 1) { Ok(()) } else { Err(format!("{there} participants, {peers} peers")) }
    });
    sim
}

#[test]
fn a_disconnect_at_every_moment_of_a_join_leaves_no_ghost() {
    for fault in [Fault::crash("b"), Fault::partition(["b"], ["s"])] {
        for step in 0..120 {
            let outcome = cut_off(Duration::from_micros(50 * step), &fault).run(simtest::FromSeed::new(step));
            outcome.assert_pass();
        }
    }
}

/// One who hears nothing for a while, in which much happens, and leaves at the end of it.
fn leaves_while_behind(after: Duration) -> Sim<RoomNode> {
    let mut sim = Sim::new("leaves_while_behind");
    let (server, client) = (config(true), config(false));
    let s = sim.node("s", move |boot| ServerNode::boot(boot, &server, &rooms()));
    let [a, b] = ["a", "b"].map(|name| {
        let client = Arc::clone(&client);
        sim.node(name, move |boot| ClientNode::boot(boot, &client, s.addr()))
    });
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Enter("a room"));
        w.at(ms(200)).cmd(b, Cmd::Enter("a room"));
        for number in 0..20 {
            w.at(ms(1000 + 10 * number)).cmd(a, Cmd::Rename(format!("user {number}")));
        }
        w.at(ms(1100)).cmd(b, Cmd::Leave);
    });
    sim.links(Link::lan());
    sim.fault(at(ms(900)), Fault::one_way("s", "b").for_(after));
    sim.oracle("rooms", InRooms::default());
    sim.run_for(secs(20));
    sim.sometimes("something was missed", |view| {
        view.nodes().any(|(_, node)| match node {
            RoomNode::Server(node) => node.server().stats().room_events_skipped > 0,
            RoomNode::Client(_) => false,
        })
    });
    sim.finally("it knows that it has left, and is not sent away", |view| {
        for (_, node) in view.nodes() {
            match node {
                RoomNode::Server(node) if node.server().stats().slow > 0 => {
                    return Err("it was closed as too slow".to_owned());
                }
                RoomNode::Client(client) if !client.is_connected() => {
                    return Err("somebody is not connected".to_owned());
                }
                _ => {}
            }
        }
        let there = people(view).values().map(BTreeSet::len).sum::<usize>();
        if there == 1 { Ok(()) } else { Err(format!("{there} think that they are in a room")) }
    });
    sim
}

#[test]
fn who_leaves_while_he_is_behind_hears_so_and_stays_connected() {
    let report = simtest::run_seeds(0..40, |seed| leaves_while_behind(ms(400 + 20 * seed)));
    println!("{report}");
    assert!(report.never.is_empty(), "{report}");
}
