//! ENet over sockets: one thread that serves its host, and waits for packets between.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rusty_enet::{Event, Host, HostSettings, Packet, PeerID};

use super::many::{PUBLISHED_AHEAD, SUBSCRIBERS};
use super::{Job, Workload, message, number, tell, tell_times};

/// Requests that wait for their answers.
const OUTSTANDING: usize = 64;
/// ENet queues without bound and does not say how much: the receiver says each time that it has so many more messages, and the
/// sender is no more than so many bytes ahead.
const WORD: u64 = 16;
const AHEAD: usize = 4 << 20;
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
const SILENCE: Duration = Duration::from_millis(500);

struct Enet {
    host: Host<UdpSocket>,
    handle: UdpSocket,
    peers: Vec<PeerID>,
    arrived: VecDeque<(PeerID, Packet)>,
    is_over: bool,
}

impl Enet {
    fn new(peers: usize) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let handle = socket.try_clone().expect("a handle");
        let settings = HostSettings { peer_limit: peers, channel_limit: 1, ..HostSettings::default() };
        let host = Host::new(socket, settings).expect("a sound configuration");
        Self { host, handle, peers: Vec::new(), arrived: VecDeque::new(), is_over: false }
    }

    /// Serves the host; with nothing to do it waits for a packet, a millisecond at most.
    fn service(&mut self, waits: bool) {
        let mut has_come = false;
        while let Some(event) = self.host.service().expect("a socket") {
            has_come = true;
            match event {
                Event::Connect { peer, .. } => self.peers.push(peer.id()),
                Event::Receive { peer, packet, .. } => self.arrived.push_back((peer.id(), packet)),
                Event::Disconnect { .. } => self.is_over = true,
            }
        }
        if waits && !has_come {
            let _ = poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], Some(&PATIENCE));
        }
    }

    fn recv(&mut self) -> Option<(PeerID, Packet)> {
        while self.arrived.is_empty() && !self.is_over {
            self.service(true);
        }
        self.arrived.pop_front()
    }

    fn send(&mut self, to: PeerID, packet: &Packet) {
        self.host.peer_mut(to).send(0, packet).expect("a connection");
    }

    fn finish(&mut self) {
        for peer in self.peers.clone() {
            self.host.peer_mut(peer).disconnect_later(0);
        }
        let begun = Instant::now();
        while !self.is_over && begun.elapsed() < Duration::from_secs(5) {
            self.service(true);
        }
    }
}

pub(super) fn take_part(job: &Job, address: Option<&str>) {
    if job.workload == Workload::FanOut {
        return fan_out(job, address);
    }
    let mut enet = Enet::new(1);
    let Some(address) = address else {
        println!("{}", enet.handle.local_addr().expect("it is bound"));
        return serve(job, &mut enet);
    };
    enet.host.connect(address.parse().expect("an address"), 1, 0).expect("room for one");
    while enet.peers.is_empty() {
        enet.service(true);
    }
    ask(job, &mut enet);
}

fn serve(job: &Job, enet: &mut Enet) {
    let (mut count, mut begun, mut last) = (0_u64, None, Instant::now());
    while let Some((from, packet)) = enet.recv() {
        match job.workload {
            Workload::RoundTrip | Workload::Outstanding => {
                enet.send(from, &packet);
                continue;
            }
            Workload::Ordered => assert_eq!(number(packet.data(), job.size), count, "another one is next"),
            _ => {
                number(packet.data(), job.size);
            }
        }
        begun.get_or_insert_with(Instant::now);
        count += 1;
        if job.workload == Workload::Ordered && count.is_multiple_of(WORD) {
            enet.send(from, &Packet::reliable(&[0][..]));
        }
        last = Instant::now();
    }
    if let Some(begun) = begun {
        tell("messages/s", count as f64 / last.duration_since(begun).as_secs_f64());
    }
    if job.workload == Workload::Unreliable {
        tell("arrived", count as f64);
    }
}

fn ask(job: &Job, enet: &mut Enet) {
    let (server, begun, mut sent) = (enet.peers[0], Instant::now(), 0_u64);
    match job.workload {
        Workload::RoundTrip | Workload::Outstanding => {
            let ahead = if job.workload == Workload::RoundTrip { 1 } else { OUTSTANDING };
            let (question, mut times) = (Packet::reliable(&message(1, job.size)[..]), Vec::new());
            for _ in 0..ahead {
                enet.send(server, &question);
            }
            let mut asked = Instant::now();
            while begun.elapsed() < job.time {
                enet.recv().expect("an answer");
                times.push(asked.elapsed());
                asked = Instant::now();
                enet.send(server, &question);
            }
            if ahead == 1 {
                tell_times(&mut times, "us", 1e6);
            } else {
                tell("requests/s", times.len() as f64 / begun.elapsed().as_secs_f64());
            }
        }
        _ => {
            let (is_reliable, mut known) = (job.workload == Workload::Ordered, 0);
            while begun.elapsed() < job.time {
                for _ in 0..=(64 << 10) / job.size.max(64) {
                    let message = message(sent, job.size);
                    let packet = if is_reliable {
                        Packet::reliable(message)
                    } else {
                        Packet::always_unreliable(message)
                    };
                    enet.send(server, &packet);
                    sent += 1;
                }
                enet.service(false);
                let ahead = (AHEAD / job.size).clamp(64, 4096) as u64;
                while is_reliable && sent > known + ahead && !enet.is_over {
                    enet.service(true);
                    known += WORD * enet.arrived.drain(..).count() as u64;
                }
            }
            if !is_reliable {
                tell("sent", sent as f64);
                std::thread::sleep(SILENCE);
            }
        }
    }
    enet.finish();
}

/// One publishes, and the server passes it on to all the others.
fn fan_out(job: &Job, address: Option<&str>) {
    let Some(address) = address else {
        let mut enet = Enet::new(SUBSCRIBERS + 1);
        println!("{}", enet.handle.local_addr().expect("it is bound"));
        while let Some((from, packet)) = enet.recv() {
            for peer in enet.peers.clone().into_iter().filter(|&peer| peer != from) {
                enet.send(peer, &packet);
            }
        }
        return;
    };
    let mut enet = Enet::new(SUBSCRIBERS + 1);
    for _ in 0..=SUBSCRIBERS {
        enet.host.connect(address.parse().expect("an address"), 1, 0).expect("room");
        enet.service(true);
    }
    while enet.peers.len() <= SUBSCRIBERS {
        enet.service(true);
    }
    let (publisher, begun, mut times) = (enet.peers[0], Instant::now(), Vec::new());
    while begun.elapsed() < job.time {
        let sent = Instant::now();
        enet.send(publisher, &Packet::reliable(message(times.len() as u64, job.size)));
        for _ in 0..SUBSCRIBERS {
            let (_, packet) = enet.recv().expect("a connection");
            assert_eq!(number(packet.data(), job.size), times.len() as u64, "another one is next");
        }
        times.push(sent.elapsed());
    }
    let (begun, mut sent, mut heard) = (Instant::now(), times.len(), 0);
    let before = sent;
    while begun.elapsed() < job.time {
        while sent - before < heard / SUBSCRIBERS + PUBLISHED_AHEAD {
            enet.send(publisher, &Packet::reliable(message(sent as u64, job.size)));
            sent += 1;
        }
        enet.recv().expect("a connection");
        heard += 1;
    }
    tell("deliveries/s", heard as f64 / begun.elapsed().as_secs_f64());
    tell_times(&mut times, "ms", 1e3);
    enet.finish();
}
