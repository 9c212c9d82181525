//! Clients over web sockets, as cheap as can be: the server is what is measured.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, Notify};

use crate::Arguments;
use crate::figures::{Spread, rate};
use crate::pace::Ticks;
use crate::process::Hub;

const ROUNDS: u64 = 300;

/// Clients that listen, what they hear, and when they began.
pub(crate) type Crowd = (Vec<Socket>, Arc<Heard>, Instant);

/// The end of a connection.
pub(crate) struct Socket {
    pub(crate) stream: Arc<TcpStream>,
    /// What was read and belongs to no whole frame yet.
    rest: Vec<u8>,
}

/// What arrives at all of them together.
#[derive(Default)]
pub(crate) struct Heard {
    count: AtomicU64,
    wanted: AtomicU64,
    all: Notify,
    /// Round trips: when each `t` was sent is what it carries.
    trips: Mutex<Vec<Duration>>,
}

/// A text as a client frames it; its mask is zero.
pub(crate) fn framed(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0xFE);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

pub(crate) async fn write(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(len) => bytes = &bytes[len..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Frames as they come; `visit` sees each text.
pub(crate) async fn read(
    stream: &TcpStream,
    buf: &mut Vec<u8>,
    mut visit: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match stream.try_read_buf(buf) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        let mut at = 0;
        while let Some(head) = buf.get(at..at + 2) {
            let (begin, len) = match head[1] & 0x7F {
                126 => match buf.get(at + 2..at + 4) {
                    Some(len) => (at + 4, usize::from(u16::from_be_bytes([len[0], len[1]]))),
                    None => break,
                },
                127 => match buf.get(at + 2..at + 10).and_then(|len| len.try_into().ok()) {
                    Some(len) => (at + 10, u64::from_be_bytes(len) as usize),
                    None => break,
                },
                len => (at + 2, usize::from(len)),
            };
            let Some(text) = buf.get(begin..begin + len) else { break };
            let is_enough = visit(text);
            at = begin + len;
            if is_enough {
                buf.drain(..at);
                return Ok(());
            }
        }
        buf.drain(..at);
    }
}

/// A client in a room, whose system takes about `buffer` bytes before they are read, if that is given.
pub(crate) async fn enter(server: SocketAddr, room: &str, buffer: Option<u32>) -> Socket {
    try_enter(server, room, buffer).await.expect("the server lets it in")
}

/// The same, while the server may be away.
pub(crate) async fn try_enter(server: SocketAddr, room: &str, buffer: Option<u32>) -> io::Result<Socket> {
    let socket = TcpSocket::new_v4()?;
    if let Some(buffer) = buffer {
        socket.set_recv_buffer_size(buffer)?;
    }
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    let request = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    write(&stream, request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.readable().await?;
        let mut byte = [0];
        match stream.try_read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) => {
                let said = format!("the server refused: {}", String::from_utf8_lossy(&head));
                return Err(io::Error::new(ErrorKind::ConnectionReset, said));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    write(&stream, &framed(&format!(r#"[{{"m":"hi"}},{{"m":"ch","_id":"{room}"}}]"#))).await?;
    let mut is_in = false;
    let mut rest = Vec::with_capacity(4096);
    let entered = read(&stream, &mut rest, |text| {
        is_in |= text.starts_with(br#"[{"m":"ch""#) || text.windows(10).any(|part| part == br#"{"m":"ch","#);
        is_in
    });
    entered.await?;
    if is_in { Ok(Socket { stream: Arc::new(stream), rest }) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn listen(socket: &mut Socket, heard: &Arc<Heard>, start: Instant) {
    let (stream, heard) = (Arc::clone(&socket.stream), Arc::clone(heard));
    let mut rest = std::mem::take(&mut socket.rest);
    tokio::spawn(async move {
        let done = read(&stream, &mut rest, |text| {
            if text.starts_with(br#"[{"m":"n""#) {
                let count = heard.count.fetch_add(1, Ordering::Relaxed) + 1;
                if count == heard.wanted.load(Ordering::Relaxed) {
                    heard.all.notify_one();
                }
            } else if text.starts_with(br#"[{"m":"t""#) {
                let echo = text.windows(4).position(|part| part == br#""e":"#).map(|at| &text[at + 4..]);
                let digits: String = echo
                    .unwrap_or_default()
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .map(|byte| char::from(*byte))
                    .collect();
                if let (Ok(sent), Ok(mut trips)) = (digits.parse::<u64>(), heard.trips.try_lock()) {
                    trips.push(start.elapsed().saturating_sub(Duration::from_micros(sent)));
                }
            }
            false
        });
        // The server ends it.
        let _ = done.await;
    });
}

pub(crate) async fn crowd(server: SocketAddr, count: usize, rooms: usize) -> Crowd {
    let (heard, start) = (Arc::new(Heard::default()), Instant::now());
    let mut sockets = Vec::new();
    for number in 0..count {
        let mut socket = enter(server, &format!("room {}", number % rooms), None).await;
        listen(&mut socket, &heard, start);
        sockets.push(socket);
    }
    (sockets, heard, start)
}

/// One note, 128 bytes as it is told.
fn note() -> Vec<u8> {
    framed(r#"[{"m":"n","t":1700000000000,"n":[{"n":"a1","v":0.5},{"n":"c2","v":0.5,"d":7}]}]"#)
}

pub(crate) async fn broadcast(name: &str, server: SocketAddr, arguments: &Arguments) {
    let (sockets, heard, _) = crowd(server, arguments.clients, 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        heard.count.store(0, Ordering::Relaxed);
        heard.wanted.store(sockets.len() as u64 - 1, Ordering::Relaxed);
        let begun = Instant::now();
        write(&sockets[0].stream, &note()).await.expect("the server reads");
        if tokio::time::timeout(Duration::from_secs(2), heard.all.notified()).await.is_err() {
            println!("a note did not come to everybody: {}", heard.count.load(Ordering::Relaxed));
            continue;
        }
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{name} broadcast to {}: {}", sockets.len() - 1, Spread::of(times));
}

pub(crate) async fn deliveries(name: &str, server: SocketAddr, arguments: &Arguments) {
    let (sockets, heard, _) = crowd(server, arguments.clients, 1).await;
    let others = sockets.len() as u64 - 1;
    let (begun, mut sent) = (Instant::now(), 0_u64);
    while begun.elapsed() < arguments.seconds() {
        if sent * others < heard.count.load(Ordering::Relaxed) + others * 8 {
            write(&sockets[0].stream, &note()).await.expect("the server reads");
            sent += 1;
        }
        tokio::task::yield_now().await;
    }
    let count = heard.count.load(Ordering::Relaxed);
    println!("{name} deliveries: {} /s", rate(count, begun.elapsed()));
}

pub(crate) async fn intake(hub: &Hub, arguments: &Arguments) {
    let (sockets, _, _) = crowd(hub.http, 1, 1).await;
    let many = framed(r#"[{"m":"n","t":1700000000000,"n":[{"n":"a1","s":1}]}]"#).repeat(64);
    let (begun, before) = (Instant::now(), hub.metric("bowline_guest_messages_received_total"));
    while begun.elapsed() < arguments.seconds() {
        write(&sockets[0].stream, &many).await.expect("the server reads");
    }
    let taken = hub.metric("bowline_guest_messages_received_total") - before;
    println!("web socket intake: {} /s", rate(taken, begun.elapsed()));
}

/// Sends so many `t` a second from one after the other, and waits for the last answers; how many, and their round trips.
pub(crate) async fn round_trips(crowd: &Crowd, rate: u64, time: Duration) -> (u64, Spread) {
    let (sockets, heard, start) = crowd;
    heard.trips.lock().await.clear();
    let ticks = Ticks::start();
    let (begun, mut sent) = (Instant::now(), 0_u64);
    while begun.elapsed() < time {
        ticks.tick().await;
        let due = begun.elapsed().as_micros() as u64 * rate / 1_000_000;
        while sent < due {
            let micros = start.elapsed().as_micros();
            let socket = &sockets[(sent as usize * 7919) % sockets.len()];
            write(&socket.stream, &framed(&format!(r#"[{{"m":"t","e":{micros}}}]"#)))
                .await
                .expect("the server reads");
            sent += 1;
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    (sent, Spread::of(std::mem::take(&mut *heard.trips.lock().await)))
}

pub(crate) async fn latency(name: &str, server: SocketAddr, arguments: &Arguments) {
    let crowd = crowd(server, arguments.clients, 200).await;
    let (sent, trips) = round_trips(&crowd, 50_000, arguments.seconds()).await;
    println!("{name} round trips at {} /s: {trips}", rate(sent, arguments.seconds()));
}

pub(crate) async fn idle(hub: &Hub, arguments: &Arguments) {
    let before = hub.resident();
    let (sockets, _, _) = crowd(hub.http, arguments.idle, 200).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (ticks, begun) = (hub.ticks(), Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let ticks = hub.ticks() - ticks;
    let resident = hub.resident();
    println!(
        "web socket idle: {} connections in 200 rooms, {} KiB resident, {} bytes for each, {} % of a processor",
        sockets.len(),
        resident / 1024,
        (resident - before) / sockets.len() as u64,
        u128::from(ticks) * 1000 / begun.elapsed().as_millis()
    );
}
