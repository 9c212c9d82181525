//! Native clients over UDP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adapter_tokio::{Channel, Class, ConfigBuilder, Connection, Endpoint, Message};
use proto_core::chat::ClientSecret;
use proto_core::room::{Client, Command, Event, Note, Notes, Touch};
use tokio::sync::Notify;

use crate::Arguments;
use crate::figures::{Spread, rate};
use crate::process::Hub;

/// How many times a note is sent to all.
const ROUNDS: u64 = 300;
/// Messages that are under way to each member: as many as share a few packets.
const UNDER_WAY: u64 = 64;
/// Notes of one message: together with its head, 128 bytes on the wire of a room.
const NOTES: usize = 13;

/// Somebody in a room.
struct Member {
    connection: Connection,
    control: Channel,
    play: Channel,
}

/// What arrives at all members together.
#[derive(Default)]
struct Heard {
    count: AtomicU64,
    wanted: AtomicU64,
    all: Notify,
}

impl Heard {
    fn note(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count == self.wanted.load(Ordering::Relaxed) {
            self.all.notify_one();
        }
    }
}

fn notes() -> Message {
    let note = Note { key: "a1".into(), touch: Touch::Down(Some(5000)), delay_ms: 7 };
    let notes = Notes { at_ms: 0, notes: vec![note; NOTES] };
    Message::new(Command::Notes(notes).to_bytes()).class(Class::ReliableUnordered)
}

async fn enter(endpoint: &Endpoint, server: SocketAddr, number: usize, room: &str) -> Member {
    let connection = endpoint.connect(server).await.expect("the server lets it in");
    let [control, play] =
        Client::channels().map(|options| connection.open_channel(&options).expect("there are two channels"));
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let hello =
        Command::Hello { secret: ClientSecret(secret), name: format!("client {number}").into(), color: None };
    let enter = Command::Enter { room: room.into(), set: None };
    for command in [hello, enter] {
        control.send(Message::new(command.to_bytes())).await.expect("it is connected");
    }
    while let Some(message) = control.recv().await {
        if matches!(Event::decode(&message.payload), Ok(Event::Snapshot(_))) {
            return Member { connection, control, play };
        }
    }
    panic!("the server lets nobody into {room}")
}

/// Takes whatever comes, for as long as the connection lasts.
fn listen(member: &Member, heard: &Arc<Heard>) {
    let (connection, control, play) =
        (member.connection.clone(), member.control.clone(), member.play.clone());
    let heard = Arc::clone(heard);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                message = play.recv() => match message {
                    // 0x23: notes of somebody.
                    Some(message) if message.payload.first() == Some(&0x23) => heard.note(),
                    Some(_) => {}
                    None => return,
                },
                message = control.recv() => if message.is_none() { return },
                message = connection.recv() => if message.is_none() { return },
            }
        }
    });
}

fn endpoints(count: usize) -> Vec<Endpoint> {
    (0..count.max(1)).map(|_| Endpoint::client(ConfigBuilder::chat()).expect("a socket")).collect()
}

/// All of them in rooms, and listening. The endpoints hold the sockets.
async fn crowd(
    hub: &Hub,
    arguments: &Arguments,
    count: usize,
    rooms: usize,
) -> (Vec<Endpoint>, Vec<Member>, Arc<Heard>) {
    let endpoints = endpoints(arguments.sockets.min(count));
    let heard = Arc::new(Heard::default());
    let mut members = Vec::new();
    for number in 0..count {
        let room = format!("room {}", number % rooms);
        let member = enter(&endpoints[number % endpoints.len()], hub.udp, number, &room).await;
        listen(&member, &heard);
        members.push(member);
    }
    (endpoints, members, heard)
}

pub(crate) async fn broadcast(hub: &Hub, arguments: &Arguments) {
    let (_endpoints, members, heard) = crowd(hub, arguments, arguments.clients, 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        heard.count.store(0, Ordering::Relaxed);
        heard.wanted.store(members.len() as u64 - 1, Ordering::Relaxed);
        let begun = Instant::now();
        members[0].play.send(notes()).await.expect("it is connected");
        if tokio::time::timeout(Duration::from_secs(2), heard.all.notified()).await.is_err() {
            println!("a note did not come to everybody: {}", heard.count.load(Ordering::Relaxed));
            continue;
        }
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("native broadcast to {}: {}", members.len() - 1, Spread::of(times));
}

pub(crate) async fn deliveries(hub: &Hub, arguments: &Arguments) {
    let (_endpoints, members, heard) = crowd(hub, arguments, arguments.clients, 1).await;
    let (begun, message) = (Instant::now(), notes());
    let mut sent = 0_u64;
    while begun.elapsed() < arguments.seconds() {
        // No more than what is on its way can be delivered.
        let room = (members.len() as u64 - 1) * UNDER_WAY;
        if sent * (members.len() as u64 - 1) < heard.count.load(Ordering::Relaxed) + room
            && members[0].play.send_now(message.clone()).is_ok()
        {
            sent += 1;
        }
        tokio::task::yield_now().await;
    }
    let count = heard.count.load(Ordering::Relaxed);
    println!("native deliveries: {} /s", rate(count, begun.elapsed()));
}

pub(crate) async fn intake(hub: &Hub, arguments: &Arguments) {
    let (_endpoints, members, _) = crowd(hub, arguments, 1, 1).await;
    let note = Notes { at_ms: 0, notes: vec![Note { key: "a1".into(), touch: Touch::Up, delay_ms: 0 }] };
    let message = Message::new(Command::Notes(note).to_bytes()).class(Class::ReliableUnordered);
    let (begun, before) = (Instant::now(), hub.metric("bowline_notes_total"));
    while begun.elapsed() < arguments.seconds() {
        while members[0].play.send_now(message.clone()).is_ok() {}
        members[0].play.writable().await.expect("it is connected");
    }
    let taken = hub.metric("bowline_notes_total") - before;
    println!("native intake: {} /s", rate(taken, begun.elapsed()));
}

pub(crate) async fn idle(hub: &Hub, arguments: &Arguments) {
    let before = hub.resident();
    let (_endpoints, members, _) = crowd(hub, arguments, arguments.idle, 200).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (ticks, begun) = (hub.ticks(), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let ticks = hub.ticks() - ticks;
    let resident = hub.resident();
    println!(
        "native idle: {} connections in 200 rooms, {} KiB resident, {} bytes for each, {} % of a processor",
        members.len(),
        resident / 1024,
        (resident - before) / members.len() as u64,
        u128::from(ticks) * 1000 / begun.elapsed().as_millis()
    );
}
