//! Sockets without a protocol: what the system allows. Over UDP nothing is repeated, and packets go and come in trains (GSO, GRO).

use std::io::{IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::stack::Stack;
use super::{Job, Workload, tell, tell_times};

/// Bytes of one write where messages are gathered.
const GATHERED: usize = 60 * 1024;
/// Requests that wait for their answers.
const OUTSTANDING: usize = 64;
/// Packets of a train, as many as the system joins, and bytes, as many as it takes.
const TRAIN: usize = 64;
const TRAIN_BYTES: usize = 65_000;
/// Who does not sleep asks over and over for so long.
const SPINNING: Duration = Duration::from_millis(500);
/// Nothing came for so long: it is over.
const SILENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

pub(super) fn take_part(job: &Job, address: Option<&str>) {
    match (job.stack, address) {
        (Stack::RawUdp | Stack::RawSpin, None) => Datagrams::bind(job.stack).serve(job),
        (Stack::RawUdp | Stack::RawSpin, Some(address)) => Datagrams::connect(job.stack, address).ask(job),
        (Stack::RawTcp, None) => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            println!("{}", listener.local_addr().expect("it is bound"));
            let (stream, _) = listener.accept().expect("a client");
            stream.set_nodelay(true).expect("an option");
            serve(job, stream);
        }
        (Stack::RawTcp, Some(address)) => {
            let stream = TcpStream::connect(address).expect("a server");
            stream.set_nodelay(true).expect("an option");
            ask(job, stream);
        }
        (_, None) => {
            let path = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
            let listener = UnixListener::bind(&path).expect("a path");
            println!("{}", path.display());
            let (stream, _) = listener.accept().expect("a client");
            std::fs::remove_file(path).expect("it was made");
            serve(job, stream);
        }
        (_, Some(path)) => ask(job, UnixStream::connect(path).expect("a server")),
    }
}

fn serve(job: &Job, mut stream: impl Read + Write) {
    let mut buf = vec![0; 256 << 10];
    let (mut bytes, mut begun) = (0, None);
    loop {
        let len = stream.read(&mut buf).expect("a stream");
        if len == 0 {
            break;
        }
        if job.workload != Workload::Ordered {
            stream.write_all(&buf[..len]).expect("a stream");
            continue;
        }
        begun.get_or_insert_with(Instant::now);
        bytes += len;
    }
    if let Some(begun) = begun {
        tell("messages/s", (bytes / job.size) as f64 / begun.elapsed().as_secs_f64());
    }
}

fn ask(job: &Job, mut stream: impl Read + Write) {
    let begun = Instant::now();
    match job.workload {
        Workload::RoundTrip => {
            let (message, mut answer, mut times) = (vec![1; job.size], vec![0; job.size], Vec::new());
            while begun.elapsed() < job.time {
                let sent = Instant::now();
                stream.write_all(&message).expect("a stream");
                stream.read_exact(&mut answer).expect("a stream");
                times.push(sent.elapsed());
            }
            tell_times(&mut times, "us", 1e6);
        }
        Workload::Outstanding => {
            let (messages, mut answers) = (vec![1; job.size * OUTSTANDING], vec![0; job.size * OUTSTANDING]);
            let mut count = 0;
            while begun.elapsed() < job.time {
                stream.write_all(&messages).expect("a stream");
                stream.read_exact(&mut answers).expect("a stream");
                count += OUTSTANDING;
            }
            tell("requests/s", count as f64 / begun.elapsed().as_secs_f64());
        }
        _ => {
            let messages = vec![1; job.size * (GATHERED / job.size).max(1)];
            while begun.elapsed() < job.time {
                stream.write_all(&messages).expect("a stream");
            }
        }
    }
}

struct Datagrams {
    socket: UdpSocket,
    state: UdpSocketState,
    buf: Vec<u8>,
    is_spinning: bool,
}

impl Datagrams {
    fn new(stack: Stack, socket: UdpSocket) -> Self {
        let state = UdpSocketState::new((&socket).into()).expect("a socket");
        Self { socket, state, buf: vec![0; BATCH_SIZE * 65_536], is_spinning: stack == Stack::RawSpin }
    }

    fn bind(stack: Stack) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        println!("{}", socket.local_addr().expect("it is bound"));
        Self::new(stack, socket)
    }

    fn connect(stack: Stack, address: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(address).expect("an address");
        Self::new(stack, socket)
    }

    /// What came, and from whom; nothing after a silence.
    fn receive(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) -> bool {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut slices: Vec<_> = self.buf.chunks_mut(65_536).map(IoSliceMut::new).collect();
        let mut recv = || self.state.recv((&self.socket).into(), &mut slices, &mut metas);
        let mut count = recv();
        let asked = Instant::now();
        while self.is_spinning && count.is_err() && asked.elapsed() < SPINNING {
            count = recv();
        }
        if count.is_err() {
            let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&SILENCE));
            count = recv();
        }
        let Ok(count) = count else { return false };
        for (meta, slice) in metas.iter().zip(&slices).take(count) {
            each(meta.addr, &slice[..meta.len]);
        }
        true
    }

    fn send(&self, to: SocketAddr, bytes: &[u8], size: usize) {
        for train in bytes.chunks(size * TRAIN.min(TRAIN_BYTES / size)) {
            let segment_size = (train.len() > size).then_some(size);
            let transmit =
                Transmit { destination: to, ecn: None, contents: train, segment_size, src_ip: None };
            while self.state.try_send((&self.socket).into(), &transmit).is_err() {
                let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&SILENCE));
            }
        }
    }

    fn serve(mut self, job: &Job) {
        let (mut bytes, mut begun, mut last) = (0, None, Instant::now());
        loop {
            let mut echoes = Vec::new();
            let came = self.receive(|from, packets| {
                bytes += packets.len();
                if job.workload == Workload::RoundTrip || job.workload == Workload::Outstanding {
                    echoes.push((from, packets.to_vec()));
                }
            });
            match begun {
                None if came => begun = Some(Instant::now()),
                Some(_) if !came => break,
                _ => {}
            }
            if came {
                last = Instant::now();
            }
            for (from, packets) in echoes {
                self.send(from, &packets, job.size);
            }
        }
        if let (Some(begun), Workload::Ordered | Workload::Unreliable) = (begun, job.workload) {
            tell("messages/s", (bytes / job.size) as f64 / last.duration_since(begun).as_secs_f64());
        }
    }

    fn ask(mut self, job: &Job) {
        let (to, begun) = (self.socket.peer_addr().expect("it is connected"), Instant::now());
        let count = match job.workload {
            Workload::RoundTrip => 1,
            _ => TRAIN.min(TRAIN_BYTES / job.size),
        };
        let (messages, mut times, mut done) = (vec![1; job.size * count], Vec::new(), 0);
        while begun.elapsed() < job.time {
            let sent = Instant::now();
            self.send(to, &messages, job.size);
            if job.workload == Workload::RoundTrip || job.workload == Workload::Outstanding {
                let mut back = 0;
                while back < messages.len() && self.receive(|_, packets| back += packets.len()) {}
                times.push(sent.elapsed());
            }
            done += count;
        }
        match job.workload {
            Workload::RoundTrip => tell_times(&mut times, "us", 1e6),
            Workload::Outstanding => tell("requests/s", done as f64 / begun.elapsed().as_secs_f64()),
            _ => tell("sent/s", done as f64 / begun.elapsed().as_secs_f64()),
        }
    }
}
