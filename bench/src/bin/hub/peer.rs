//! A room on fastwebsockets, without rules, quotas or a log: what nothing but the sockets takes. It runs in a process of its own,
//! as the hub does.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use fastwebsockets::{
    Frame, OpCode, Payload, Role, WebSocket, WebSocketError, WebSocketRead, WebSocketWrite,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{LocalSet, spawn_local};

/// The argument that makes this program the peer.
pub(crate) const ROLE: &str = "peer";

/// What every client's key is answered with: they all send the one of RFC 6455, section 1.3.
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

type Reader = WebSocketRead<ReadHalf<TcpStream>>;
type Writer = Rc<Mutex<WebSocketWrite<WriteHalf<TcpStream>>>>;
type Room = Rc<RefCell<Vec<Writer>>>;

/// The peer's process; ended when it is dropped.
pub(crate) struct Peer {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("a program");
        let mut child =
            Command::new(program).arg(ROLE).stdout(Stdio::piped()).spawn().expect("the peer starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        Self { child, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("it is bound"));
    let room = Room::default();
    let accept = async {
        while let Ok((stream, _)) = listener.accept().await {
            let room = Rc::clone(&room);
            spawn_local(async move {
                // Whoever goes away is not missed.
                let _ = attend(stream, &room).await;
            });
        }
    };
    LocalSet::new().run_until(accept).await;
}

async fn attend(mut stream: TcpStream, room: &Room) -> Result<(), WebSocketError> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    stream.write_all(ANSWER.as_bytes()).await?;
    let (mut reader, writer) = WebSocket::after_handshake(stream, Role::Server).split(tokio::io::split);
    let writer = Rc::new(Mutex::new(writer));
    room.borrow_mut().push(Rc::clone(&writer));
    while let Some(text) = next(&mut reader).await? {
        if text.starts_with(br#"[{"m":"hi""#) {
            write(&writer, br#"[{"m":"ch"}]"#).await?;
        } else if text.starts_with(br#"[{"m":"t""#) {
            write(&writer, &text).await?;
        } else {
            let others = room.borrow().clone();
            for other in others.iter().filter(|other| !Rc::ptr_eq(other, &writer)) {
                // It may be gone.
                let _ = write(other, &text).await;
            }
        }
    }
    Ok(())
}

/// The next text; none once the client said goodbye.
async fn next(reader: &mut Reader) -> Result<Option<Vec<u8>>, WebSocketError> {
    let frame = reader.read_frame::<_, WebSocketError>(&mut |_| async { Ok(()) }).await?;
    Ok((frame.opcode == OpCode::Text).then(|| frame.payload.to_vec()))
}

async fn write(writer: &Writer, text: &[u8]) -> Result<(), WebSocketError> {
    writer.lock().await.write_frame(Frame::text(Payload::Borrowed(text))).await
}
