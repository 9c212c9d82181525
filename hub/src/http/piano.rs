//! A guest of the gateway, on a web socket.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use driver::Shared;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tungstenite::{Error, Message};

use super::socket::Socket;
use crate::gateway::{End, GuestId, MAX_BEFORE_HI, MAX_TEXT};
use crate::serve::Hub;

/// Messages that are taken in before others have their turn.
const TURN: usize = 64;
/// How long a guest who is sent away has to take what waits for it, and to answer. It is in no room meanwhile.
const GOODBYE: Duration = Duration::from_secs(3);

/// The hub's side of a guest; whatever ends it, the hub hears of it.
struct Guest<'a> {
    shared: &'a Shared<Hub>,
    id: GuestId,
    texts: Vec<Bytes>,
    /// It has said hi.
    is_known: bool,
}

impl Guest<'_> {
    /// Hands what still waits to the socket.
    fn take_rest(&mut self, socket: &mut Socket) {
        let Self { shared, id, texts, .. } = self;
        shared.turn(|hub, now| hub.guest_takes(now, *id, texts, Waker::noop()));
        socket.queue(std::mem::take(texts));
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.shared.command(|hub, now| hub.guest_gone(now, self.id));
    }
}

/// Serves a guest until one of both ends it. What is awaited at the end only is boxed: a silent guest has no room for it.
pub(super) async fn serve(shared: &Shared<Hub>, stream: TcpStream, part: &[u8], address: SocketAddr) {
    let mut socket = Socket::new(stream, part, MAX_BEFORE_HI);
    let opened = shared.command(|hub, now| hub.guest_came(now, address));
    let Some(id) = opened else {
        let End { code, reason } = End::FULL;
        let _ = socket.close(code, reason);
        let _ = Box::pin(timeout(GOODBYE, linger(&mut socket))).await;
        return;
    };
    let mut guest = Guest { shared, id, texts: Vec::new(), is_known: false };
    match poll_fn(|cx| turn(cx, &mut guest, &mut socket)).await {
        Ok(end) => {
            guest.take_rest(&mut socket);
            // The others need not wait for the goodbye. Who leaves with the server does: it ends once nobody is there.
            let _guest = (end == End::SERVER_CLOSES).then_some(guest);
            let goodbye = async {
                poll_fn(|cx| socket.poll_flush(cx)).await?;
                socket.close(end.code, end.reason)?;
                linger(&mut socket).await
            };
            // The guest is gone in either case.
            let _ = Box::pin(timeout(GOODBYE, goodbye)).await;
        }
        Err(error) => {
            tracing::debug!(guest = id, %error, "web socket");
            Box::pin(accuse(socket, &error)).await;
        }
    }
}

/// Takes in what has come and writes what there is; ready when the guest is to be sent away, or is gone.
fn turn(cx: &mut Context<'_>, guest: &mut Guest<'_>, socket: &mut Socket) -> Poll<Result<End, Error>> {
    let mut messages = Vec::new();
    let broken = loop {
        match socket.poll_read(cx) {
            Poll::Ready(Ok(message)) => messages.push(message),
            Poll::Ready(Err(error)) => break Some(error),
            Poll::Pending => break None,
        }
        if messages.len() == TURN || !guest.is_known {
            // There may be more: once others had their turn, or what was said has been heard.
            cx.waker().wake_by_ref();
            break None;
        }
    };
    let Guest { shared, id, texts, is_known } = guest;
    if !messages.is_empty() {
        let said_hi = shared.command(|hub, now| hub.guest_said(now, *id, &messages));
        if said_hi && !std::mem::replace(is_known, true) {
            socket.set_limit(MAX_TEXT);
        }
    }
    if let Some(error) = broken {
        return Poll::Ready(Err(error));
    }
    let mut has_taken = false;
    loop {
        match socket.poll_flush(cx) {
            // Whatever came behind what was taken has woken it.
            Poll::Ready(Ok(())) if has_taken => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                // It takes nothing more for now; that it is to be sent away it hears nevertheless.
                let end = shared.turn(|hub, _| hub.guest_end(*id, cx.waker()));
                return end.map_or(Poll::Pending, |end| Poll::Ready(Ok(end)));
            }
        }
        let end = shared.turn(|hub, now| hub.guest_takes(now, *id, texts, cx.waker()));
        socket.queue(std::mem::take(texts));
        if let Some(end) = end {
            return Poll::Ready(Ok(end));
        }
        has_taken = true;
    }
}

/// Reads on until the peer has taken and answered the goodbye.
async fn linger(socket: &mut Socket) -> Result<(), Error> {
    poll_fn(|cx| socket.poll_flush(cx)).await?;
    loop {
        poll_fn(|cx| socket.poll_read(cx)).await?;
        poll_fn(|cx| socket.poll_flush(cx)).await?;
    }
}

/// Tells a peer how it broke the protocol, if it did, and hangs up (RFC 6455, section 7.4.1).
pub(super) async fn accuse(mut socket: Socket, error: &Error) {
    let (code, reason) = match error {
        Error::Protocol(_) => (1002, "this is not the protocol of web sockets"),
        Error::Utf8(_) => (1007, "a text is not UTF-8"),
        Error::Capacity(_) => (1009, "a message is too long"),
        _ => return,
    };
    let goodbye = async {
        socket.close(code, reason)?;
        poll_fn(|cx| socket.poll_flush(cx)).await?;
        socket.hang_up().await.map_err(Error::from)
    };
    // It has ended in either case.
    let _ = timeout(GOODBYE, goodbye).await;
}

/// Whether this only shows that the peer lives.
pub(crate) const fn is_control(message: &Message) -> bool {
    matches!(message, Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))
}
