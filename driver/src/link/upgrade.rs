//! From HTTP to WebSocket (RFC 6455, section 4).

use std::io;
use std::sync::Arc;

use tungstenite::handshake::client::{Request, Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse as _;
use tungstenite::handshake::server::{create_response, write_response};

use super::bytes::Bytes;
use super::frames::Role;
use crate::{Address, Ready};

/// Longest head of a request or an answer.
const MAX_HEAD: usize = 8192;

/// Who may come in by a web socket.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// The path that is to be asked for; `/` takes any. One without a query takes any query.
    path: Arc<str>,
    /// The pages of browsers that may; without any, all may.
    origins: Arc<[String]>,
}

impl Guard {
    pub(super) fn new(address: &Address, origins: &Arc<[String]>) -> Self {
        Self { path: address.path().unwrap_or("/").into(), origins: Arc::clone(origins) }
    }

    /// How a request is refused, if it is.
    fn refusal(&self, request: &Request) -> Option<Refusal> {
        let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
        let is_asked = *self.path == *asked || *self.path == *request.uri().path();
        if *self.path != *"/" && !is_asked {
            return Some(Refusal { status: "404 Not Found", why: "another path is served here" });
        }
        let origin = request.headers().get("origin")?;
        let is_known = self.origins.iter().any(|known| known.as_bytes() == origin.as_bytes());
        let why = "the page is of another origin than may come in";
        (!self.origins.is_empty() && !is_known).then_some(Refusal { status: "403 Forbidden", why })
    }
}

/// How a request for a web socket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal {
    status: &'static str,
    why: &'static str,
}

const NO_REQUEST: Refusal = Refusal { status: "400 Bad Request", why: "it is no request of HTTP" };
const NO_UPGRADE: Refusal =
    Refusal { status: "426 Upgrade Required", why: "only web sockets are served here" };

/// The server's answer where it was no web socket.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server answered with HTTP status {0}")]
pub(super) struct Status(pub(super) u16);

/// An upgrade that is under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    role: Role,
    /// On a server.
    guard: Option<Guard>,
    refusal: Option<Refusal>,
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
    pub(super) const fn server(guard: Guard) -> Self {
        Self {
            role: Role::Server,
            guard: Some(guard),
            refusal: None,
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
            guard: None,
            refusal: None,
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

    /// Goes on; returns what was read behind the head. [`InvalidData`](io::ErrorKind::InvalidData) when the peer does not speak
    /// WebSocket, with a [`Status`] where the server said so by that.
    pub(super) fn go_on<I: Ready>(&mut self, bytes: &mut Bytes<I>) -> io::Result<Vec<u8>> {
        loop {
            while self.sent < self.out.len() {
                self.sent += bytes.write(&self.out[self.sent..])?;
            }
            bytes.flush()?;
            if let Some(Refusal { why, .. }) = self.refusal {
                return Err(invalid(why));
            }
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
        let (len, answer) = match Request::try_parse(&self.head) {
            Ok(None) => return Ok(None),
            Ok(Some((len, request))) => {
                let refusal = self.guard.as_ref().and_then(|guard| guard.refusal(&request));
                (len, refusal.map_or_else(|| create_response(&request).map_err(|_| NO_UPGRADE), Err))
            }
            Err(_) => (self.head.len(), Err(NO_REQUEST)),
        };
        match answer {
            Ok(response) => write_response(&mut self.out, &response).map_err(invalid)?,
            Err(refusal) => {
                let Refusal { status, .. } = refusal;
                let more = if refusal == NO_UPGRADE { "Upgrade: websocket\r\n" } else { "" };
                let head = format!(
                    "HTTP/1.1 {status}\r\n{more}Sec-WebSocket-Version: 13\r\nConnection: close\r\n\
                     Content-Length: 0\r\n\r\n"
                );
                self.out.extend_from_slice(head.as_bytes());
                self.refusal = Some(refusal);
            }
        }
        Ok(Some(len))
    }

    /// Checks the answer, if all of it is there; returns its length.
    fn check(&self) -> io::Result<Option<usize>> {
        let Some((len, response)) = Response::try_parse(&self.head).map_err(invalid)? else {
            return Ok(None);
        };
        let status = response.status().as_u16();
        if status != 101 {
            return Err(invalid(Status(status)));
        }
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let names = |name: &str, token: &str| {
            let values = response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|known| known.trim().eq_ignore_ascii_case(token))
        };
        let is_upgraded = names("upgrade", "websocket")
            && names("connection", "upgrade")
            && header("sec-websocket-accept") == Some(&self.accept);
        if is_upgraded { Ok(Some(len)) } else { Err(invalid("the server does not speak WebSocket")) }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(address: &str, origins: &[&str], path: &str, origin: Option<&str>) -> String {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let guard = Guard::new(&address.parse().expect("it is sound"), &origins.into());
        let mut upgrade = Upgrade::server(guard);
        let from = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{from}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        upgrade.head.extend_from_slice(request.as_bytes());
        assert_eq!(upgrade.answer().expect("it is a request"), Some(request.len()));
        let status = String::from_utf8(upgrade.out).expect("a head").split(' ').nth(1).map(str::to_owned);
        let status = status.expect("a status");
        assert_eq!(upgrade.refusal.is_some(), status != "101");
        status
    }

    #[test]
    fn only_pages_of_known_origins_come_in() {
        let known = ["https://a.example", "http://localhost:8080"];
        let ws = "ws://127.0.0.1:1";
        for (origins, origin, status) in [
            (&known[..], Some("https://a.example"), "101"),
            (&known[..], Some("http://localhost:8080"), "101"),
            (&known[..], Some("https://b.example"), "403"),
            (&known[..], Some("https://a.example.b.example"), "403"),
            (&known[..], Some("null"), "403"),
            (&known[..], None, "101"),
            (&[], Some("https://b.example"), "101"),
        ] {
            assert_eq!(answered(ws, origins, "/any", origin), status, "{origin:?}");
        }
    }

    #[test]
    fn a_path_that_was_given_is_the_only_one() {
        for (address, asked, status) in [
            ("ws://127.0.0.1:1", "/x?y", "101"),
            ("ws://127.0.0.1:1/chat", "/chat", "101"),
            ("ws://127.0.0.1:1/chat", "/", "404"),
            ("ws://127.0.0.1:1/chat", "/chat/", "404"),
            ("ws://127.0.0.1:1/chat", "/chat?a=b", "101"),
            ("ws://127.0.0.1:1/chat?a=b", "/chat?a=b", "101"),
            ("ws://127.0.0.1:1/chat?a=b", "/chat?a=c", "404"),
            ("ws://127.0.0.1:1/chat?a=b", "/chat", "404"),
        ] {
            assert_eq!(answered(address, &[], asked, None), status, "{address} {asked}");
        }
    }
}
