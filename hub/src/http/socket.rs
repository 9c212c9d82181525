//! A web socket on a TCP stream. What is sent to many is shared by their sockets until the system has copied it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// What is read at once: small, for there may be tens of thousands of sockets.
const READ_BUFFER: usize = 1024;
/// The longest header of a frame from a server.
const MAX_HEAD: usize = 10;
/// Frames that are handed to the system at once.
const GATHER: usize = 16;

/// A web socket, server side.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    context: WebSocketContext,
    /// Texts to write.
    texts: VecDeque<Bytes>,
    /// How much of the first is written, its header included.
    written: usize,
    /// The context has something to write, or a part of it.
    is_unflushed: bool,
}

/// The stream as the context sees it: never waits, and does not write into a frame that is half written.
struct Io<'a, 'b, 'w> {
    stream: &'a mut TcpStream,
    may_write: bool,
    /// Whom to wake when there is something to read.
    reader: Option<&'b mut Context<'w>>,
}

impl Read for Io<'_, '_, '_> {
    /// What gives less than there is room for has given all: tokio knows that here, and need not ask the system once more.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(cx) = &mut self.reader else { return Err(io::ErrorKind::WouldBlock.into()) };
        let mut buf = ReadBuf::new(buf);
        match Pin::new(&mut *self.stream).poll_read(cx, &mut buf) {
            Poll::Ready(read) => read.map(|()| buf.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Io<'_, '_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.may_write { self.stream.try_write(buf) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_blocked(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// The header of a text frame that is `len` bytes long.
fn head(len: usize) -> ([u8; MAX_HEAD], usize) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    let mut head = [0; MAX_HEAD];
    let mut left = &mut head[..];
    // A header without a mask always fits.
    let _ = header.format(len as u64, &mut left);
    let used = MAX_HEAD - left.len();
    (head, used)
}

impl Socket {
    /// A web socket on `stream`, of which `part` was read already. `limit` is the longest message that is taken, in bytes.
    pub(super) fn new(stream: TcpStream, part: &[u8], limit: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * limit)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let context = WebSocketContext::from_partially_read(part.to_vec(), Role::Server, Some(config));
        Self { stream, context, texts: VecDeque::new(), written: 0, is_unflushed: false }
    }

    /// The longest message that is taken from now on, in bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.context.set_config(|config| {
            config.max_message_size = Some(limit);
            config.max_frame_size = Some(limit);
        });
    }

    /// The next message. Pings are answered, and given as well.
    ///
    /// # Errors
    /// When the connection is over, or the peer breaks the protocol.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        let may_write = self.written == 0;
        let mut io = Io { stream: &mut self.stream, may_write, reader: Some(cx) };
        match self.context.read(&mut io) {
            Err(error) if is_blocked(&error) => Poll::Pending,
            result => {
                self.is_unflushed = true;
                Poll::Ready(result)
            }
        }
    }

    /// Queues texts.
    pub(super) fn queue(&mut self, texts: Vec<Bytes>) {
        if self.texts.is_empty() {
            self.texts = texts.into();
        } else {
            self.texts.extend(texts);
        }
    }

    /// Queues a message, which is copied.
    pub(super) fn send(&mut self, message: Message) -> Result<(), Error> {
        self.is_unflushed = true;
        let mut io = Io { stream: &mut self.stream, may_write: self.written == 0, reader: None };
        match self.context.write(&mut io, message) {
            Err(error) if is_blocked(&error) => Ok(()),
            result => result,
        }
    }

    /// Says goodbye behind what is queued.
    pub(super) fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Error> {
        self.is_unflushed = true;
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let mut io = Io { stream: &mut self.stream, may_write: self.written == 0, reader: None };
        match self.context.close(&mut io, Some(frame)) {
            Err(error) if is_blocked(&error) => Ok(()),
            result => result,
        }
    }

    /// Says nothing more, and reads on until the peer does not either: so that what was said last arrives.
    pub(super) async fn hang_up(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut ignored = [0; 1024];
        while self.stream.read(&mut ignored).await? > 0 {}
        Ok(())
    }

    /// Writes what is queued; ready when all of it is with the system.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let flushed = self.flush();
            match flushed {
                Err(error) if is_blocked(&error) => {
                    if let Err(error) = ready!(self.stream.poll_write_ready(cx)) {
                        return Poll::Ready(Err(error.into()));
                    }
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        loop {
            if self.is_unflushed && self.written == 0 {
                let mut io = Io { stream: &mut self.stream, may_write: true, reader: None };
                self.context.flush(&mut io)?;
                self.is_unflushed = false;
            }
            if self.texts.is_empty() {
                return Ok(());
            }
            self.write_texts()?;
        }
    }

    fn write_texts(&mut self) -> Result<(), Error> {
        let mut heads = [([0; MAX_HEAD], 0); GATHER];
        for (head_of, text) in heads.iter_mut().zip(&self.texts) {
            *head_of = head(text.len());
        }
        let mut slices = [IoSlice::new(&[]); 2 * GATHER];
        let mut used = 0;
        let mut skip = self.written;
        for ((head, len), text) in heads.iter().zip(&self.texts) {
            for part in [&head[..*len], text] {
                let skipped = skip.min(part.len());
                skip -= skipped;
                slices[used] = IoSlice::new(&part[skipped..]);
                used += 1;
            }
        }
        let mut sent = self.written + self.stream.try_write_vectored(&slices[..used])?;
        for (_, len) in heads {
            let Some(text) = self.texts.front() else { break };
            let whole = len + text.len();
            if sent < whole {
                break;
            }
            sent -= whole;
            self.texts.pop_front();
        }
        self.written = sent;
        if self.texts.is_empty() {
            self.texts = VecDeque::new();
        }
        Ok(())
    }
}
