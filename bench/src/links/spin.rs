//! Bowline on threads that ask their sockets over and over instead of sleeping.

use std::time::{Duration, Instant};

use adapter_std::{ConfigBuilder, Connection, Endpoint, Message, Options};
use bytes::Bytes;

use super::{Job, message, tell_times};

const WAIT: Duration = Duration::from_secs(10);

pub(super) fn take_part(job: &Job, address: Option<&str>) {
    let options = || Options::from(ConfigBuilder::default()).busy_poll(true);
    match address {
        None => {
            let any = "127.0.0.1:0".parse().expect("an address");
            let endpoint = Endpoint::bind(any, options()).expect("a port");
            println!("{}", endpoint.local_addr());
            let connection = endpoint.accept(WAIT).expect("a client in time").expect("a client");
            while let Ok(Some(received)) = connection.recv(WAIT) {
                connection.send(Message::new(received.payload), WAIT).expect("a connection");
            }
        }
        Some(address) => {
            let endpoint = Endpoint::client(options()).expect("a port");
            let server = address.parse().expect("an address");
            ask(job, &endpoint.connect(server, WAIT).expect("a server"));
            endpoint.close(&adapter_std::Close::default());
            let _ = endpoint.wait_idle(WAIT);
        }
    }
}

fn ask(job: &Job, connection: &Connection) {
    let (message, mut times, begun) = (Bytes::from(message(1, job.size)), Vec::new(), Instant::now());
    while begun.elapsed() < job.time {
        let sent = Instant::now();
        connection.send(Message::new(message.clone()), WAIT).expect("a connection");
        let answer = connection.recv(WAIT).expect("an answer in time").expect("an answer");
        times.push(sent.elapsed());
        assert_eq!(answer.payload, message);
    }
    tell_times(&mut times, "us", 1e6);
}
