//! From HTTP to WebSocket (RFC 6455, section 4).

use std::io;

use tungstenite::handshake::client::{Request, Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse as _;
use tungstenite::handshake::server::{create_response, write_response};

use super::bytes::Bytes;
use super::frames::Role;
use crate::{Address, Ready};

/// Longest head of a request or an answer.
const MAX_HEAD: usize = 8192;

/// An upgrade that is under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    role: Role,
    /// What must be written.
    out: Vec<u8>,
    sent: usize,
    /// What was read.
    head: Vec<u8>,
    /// What the server's answer must have.
    accept: String,
    is_answered: bool,
}

impl Upgrade {
    pub(super) fn server() -> Self {
        Self {
            role: Role::Server,
            out: Vec::new(),
            sent: 0,
            head: Vec::new(),
            accept: String::new(),
            is_answered: false,
        }
    }

    /// Asks for the path of `address`.
    pub(super) fn client(address: &Address) -> Self {
        let key = generate_key();
        let host = address.host().map(ToString::to_string).unwrap_or_default();
        let (path, port) = (address.path().unwrap_or("/"), address.port().unwrap_or_default());
        let host =
            if address.scheme().default_port() == Some(port) { host } else { format!("{host}:{port}") };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        );
        Self {
            role: Role::Client,
            out: request.into_bytes(),
            sent: 0,
            head: Vec::new(),
            accept: derive_accept_key(key.as_bytes()),
            is_answered: false,
        }
    }

    pub(super) const fn role(&self) -> Role {
        self.role
    }

    /// Goes on; returns what was read behind the head. [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) when the server says
    /// that it cannot now, [`InvalidData`](io::ErrorKind::InvalidData) when the peer does not speak WebSocket.
    pub(super) fn go_on<I: Ready>(&mut self, bytes: &mut Bytes<I>) -> io::Result<Vec<u8>> {
        loop {
            while self.sent < self.out.len() {
                self.sent += bytes.write(&self.out[self.sent..])?;
            }
            bytes.flush()?;
            if self.is_answered {
                return Ok(std::mem::take(&mut self.head));
            }
            self.read(bytes)?;
        }
    }

    fn read<I: Ready>(&mut self, bytes: &mut Bytes<I>) -> io::Result<()> {
        let mut buffer = [0; 1024];
        let len = bytes.read(&mut buffer)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.head.extend_from_slice(&buffer[..len]);
        let parsed = match self.role {
            Role::Server => self.answer(),
            Role::Client => self.check(),
        };
        if let Some(len) = parsed? {
            self.head.drain(..len);
            self.is_answered = true;
        } else if self.head.len() > MAX_HEAD {
            return Err(invalid("the head is too long"));
        }
        Ok(())
    }

    /// Answers the request, if all of it is there; returns its length.
    fn answer(&mut self) -> io::Result<Option<usize>> {
        let Some((len, request)) = Request::try_parse(&self.head).map_err(invalid)? else { return Ok(None) };
        let response = create_response(&request).map_err(invalid)?;
        write_response(&mut self.out, &response).map_err(invalid)?;
        Ok(Some(len))
    }

    /// Checks the answer, if all of it is there; returns its length.
    fn check(&self) -> io::Result<Option<usize>> {
        let Some((len, response)) = Response::try_parse(&self.head).map_err(invalid)? else {
            return Ok(None);
        };
        if response.status().is_server_error() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let is_upgraded = response.status().as_u16() == 101
            && header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
            && header("sec-websocket-accept") == Some(&self.accept);
        if is_upgraded { Ok(Some(len)) } else { Err(invalid("the server does not speak WebSocket")) }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
