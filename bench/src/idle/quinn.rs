//! One endpoint, and its connections in a list.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quinn_proto::{Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, Event};

use super::Server;
use crate::pair::{Protection, quinn_configs};

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    /// By handle: quinn gives them out in order.
    conns: Vec<(ConnectionHandle, Connection)>,
    connected: usize,
    packets: Vec<u8>,
}

impl End {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: BytesMut) {
        let mut answer = Vec::new();
        match self.endpoint.handle(now, from, None, None, datagram, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => self.conns[handle.0].1.handle_event(event),
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                self.conns.push(accepted.expect("a sound client"));
            }
            Some(DatagramEvent::Response(_)) | None => {}
        }
    }

    fn transmit(&mut self, now: Instant, other: &mut Self) -> bool {
        let mut moved = false;
        for (handle, conn) in &mut self.conns {
            while let Some(event) = conn.poll_endpoint_events() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    conn.handle_event(event);
                }
            }
            while let Some(event) = conn.poll() {
                if let Event::Connected = event {
                    self.connected += 1;
                    let stream = conn.streams().open(Dir::Uni).expect("room for a stream");
                    conn.send_stream(stream).write(b"hello").expect("room for a message");
                }
            }
            while let Some(stream) = conn.streams().accept(Dir::Uni) {
                let mut stream = conn.recv_stream(stream);
                let mut chunks = stream.read(true).expect("it was accepted");
                while let Ok(Some(_)) = chunks.next(usize::MAX) {}
                let _ = chunks.finalize();
            }
            while let Some(transmit) = conn.poll_transmit(now, 1, &mut self.packets) {
                other.handle(now, self.address, BytesMut::from(&self.packets[..transmit.size]));
                self.packets.clear();
                moved = true;
            }
        }
        moved
    }
}

/// Each connection has carried a message each way, then nothing for two seconds.
pub(super) fn establish(connections: usize) -> Server {
    let mut now = Instant::now();
    let (endpoint, server, client) = quinn_configs(Protection::None);
    let (endpoint, server) = (Arc::new(endpoint), Arc::new(server));
    let end = |is_server: bool| End {
        endpoint: Endpoint::new(
            Arc::clone(&endpoint),
            is_server.then(|| Arc::clone(&server)),
            false,
            Some([u8::from(is_server); 32]),
        ),
        address: SocketAddr::from(([127, 0, 0, 1], 1 + u16::from(is_server))),
        conns: Vec::new(),
        connected: 0,
        packets: Vec::new(),
    };
    let (mut near, mut far) = (end(true), end(false));
    for _ in 0..connections {
        let dialed = far.endpoint.connect(now, client.clone(), near.address, "bench");
        far.conns.push(dialed.expect("room for it"));
    }
    for _ in 0..100 {
        while far.transmit(now, &mut near) | near.transmit(now, &mut far) {}
        now += Duration::from_millis(20);
        for (_, conn) in near.conns.iter_mut().chain(&mut far.conns) {
            if conn.poll_timeout().is_some_and(|at| at <= now) {
                conn.handle_timeout(now);
            }
        }
    }
    assert_eq!((near.connected, far.connected), (connections, connections), "all are connected");
    near.packets = Vec::new();
    Box::new(near)
}
