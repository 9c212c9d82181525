//! A web socket that says what it hears: for conformance suites.

use std::future::poll_fn;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tungstenite::{Error, Message};

use super::piano::accuse;
use super::socket::Socket;

/// How many there may be at once: each takes up to 3 MiB.
pub(crate) const MAX_ECHOES: usize = 16;
/// The longest message that is echoed, in bytes.
const MAX_ECHO: usize = 1 << 20;
/// How long a peer may be silent, or take to read what it said.
const PATIENCE: Duration = Duration::from_mins(1);

/// Echoes until the peer ends it, or is silent.
pub(super) async fn serve(stream: TcpStream, part: &[u8]) {
    let mut socket = Socket::new(stream, part, MAX_ECHO);
    while let Ok(echoed) = timeout(PATIENCE, echo(&mut socket)).await {
        if let Err(error) = echoed {
            return accuse(socket, &error).await;
        }
    }
}

/// One message.
async fn echo(socket: &mut Socket) -> Result<(), Error> {
    let message = poll_fn(|cx| socket.poll_read(cx)).await?;
    if matches!(message, Message::Text(_) | Message::Binary(_)) {
        socket.send(message)?;
    }
    poll_fn(|cx| socket.poll_flush(cx)).await
}
