//! Somebody who comes when all is over, and reads a room's log from its beginning.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use adapter_tokio::{Address, Endpoint, Message, clock};
use proto_core::chat::{AuthorId, Client, ClientConfig, ClientEvent, ClientSecret, Kind};

use crate::rolling::{line_of, room};

/// A log that does not come in this time does not come.
const PATIENCE: Duration = Duration::from_mins(2);

/// What is in a log: who said which line, by its place.
pub(super) type Lines = BTreeMap<u64, (AuthorId, u64)>;

/// All lines of a room.
pub(super) async fn read(endpoint: &Endpoint, server: Address, number: usize) -> Lines {
    let mut secret = [9; 32];
    secret[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let config = ClientConfig::new(room(number), "reader", ClientSecret(secret));
    let mut chat = Client::new(config).expect("a name and a room");
    let connection = endpoint.connect_to(&[server]).await.expect("the server lets it in");
    chat.handle_connected(clock::now());
    let (mut lines, until) = (Lines::new(), Instant::now() + PATIENCE);
    let mut waiting = None;
    loop {
        let mut is_whole = false;
        while let Some(event) = chat.poll_event() {
            match event {
                ClientEvent::Entry(entry) if entry.kind == Kind::TEXT => {
                    lines.insert(entry.slot, (entry.author, line_of(&entry.body)));
                }
                ClientEvent::Live { .. } => is_whole = true,
                _ => {}
            }
        }
        if is_whole {
            return lines;
        }
        assert!(Instant::now() < until, "{} is not read to its end", room(number));
        if let Some(payload) = waiting.take() {
            chat.handle_message(clock::now(), &payload);
            continue;
        }
        while let Some(payload) = chat.poll_message() {
            connection.send(Message::new(payload)).await.expect("the server is there");
        }
        let timer = chat.poll_timeout().map_or(until, clock::instant);
        tokio::select! {
            message = connection.recv() => waiting = Some(message.expect("the server is there").payload),
            () = tokio::time::sleep_until(timer.into()) => chat.handle_timeout(clock::now()),
        }
    }
}
