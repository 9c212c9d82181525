//! A port that nobody else can have, and that nobody listens at.

use std::net::{Ipv4Addr, SocketAddr};

use driver::Scheme;
use socket2::{Domain, Socket, Type};

/// Keeps the port.
#[derive(Debug)]
pub struct Silence(#[expect(dead_code, reason = "it is there to be there")] Socket);

impl Silence {
    pub(super) fn new(scheme: Scheme) -> (SocketAddr, Self) {
        let kind = match scheme {
            Scheme::Udp => Type::DGRAM,
            _ => Type::STREAM,
        };
        let socket = Socket::new(Domain::IPV4, kind, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port is free");
        let at = socket.local_addr().ok().and_then(|at| at.as_socket()).expect("it is bound");
        (at, Self(socket))
    }
}
