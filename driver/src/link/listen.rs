//! Sockets where streams come in.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::LinkOptions;
use crate::{Address, Peer, Scheme, UnixName};

/// Streams that wait to be accepted at most; systems often allow less.
const BACKLOG: i32 = 1024;

const SECOND: Duration = Duration::from_secs(1);

/// Why nothing comes in at an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct ListenError {
    /// The address that was asked for.
    pub address: Address,
    /// What is wrong.
    pub error: io::Error,
}

/// A socket where streams come in.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Goes before the socket does.
    pub(super) file: Option<SocketFile>,
    pub(super) socket: crate::Socket,
    /// Where it really is.
    pub(super) address: Address,
}

impl Listening {
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }
}

/// A Unix socket's file, which does not go by itself.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Who else listens at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Nobody.
    Alone,
    /// Other sockets of the process, each of which gets what the system gives it.
    Shared,
}

/// Finds out where an address can be had that several sockets are to share, and that no other program has it.
pub(crate) fn reserve(at: SocketAddr) -> io::Result<SocketAddr> {
    let socket = tcp_socket(at, Sharing::Alone)?;
    Ok(socket.local_addr()?.as_socket().unwrap_or(at))
}

/// Listens at `address`, whose name must not need a lookup.
pub(crate) fn listen(
    address: &Address,
    options: &LinkOptions,
    sharing: Sharing,
) -> Result<Listening, ListenError> {
    let needs_tls = matches!(address.scheme(), Scheme::Tls | Scheme::Wss);
    let opened = if needs_tls && options.tls_server.is_none() {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "a certificate and its key are needed"))
    } else {
        match (address.unix(), address.socket_addr()) {
            (Some(name), _) => unix(address, name),
            (None, Some(at)) => tcp(address, at, sharing),
            (None, None) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a name is no address")),
        }
    };
    opened.map_err(|error| ListenError { address: address.clone(), error })
}

fn tcp_socket(at: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Elsewhere it would let another program take the port away.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Shared {
        crate::udp::share_port(&socket)?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}

fn tcp(address: &Address, at: SocketAddr, sharing: Sharing) -> io::Result<Listening> {
    let socket = tcp_socket(at, sharing)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let at = socket.local_addr()?.as_socket().unwrap_or(at);
    Ok(Listening { socket: crate::Socket::TcpListener(socket.into()), address: address.at(at), file: None })
}

#[cfg(unix)]
fn unix(address: &Address, name: &UnixName) -> io::Result<Listening> {
    let at = socket_name(name)?;
    let bind = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&at).map(|()| socket)
    };
    let bound = match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match name.path() {
            // A server that was killed leaves its file behind: nobody answers there.
            Some(path) if is_stale(path, &at) => std::fs::remove_file(path).and_then(|()| bind()),
            _ => Err(error),
        },
        bound => bound,
    };
    let socket = bound?;
    let file = name.path().map(|path| SocketFile(path.to_owned()));
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = crate::Socket::UnixListener(std::os::fd::OwnedFd::from(socket).into());
    Ok(Listening { socket, address: address.clone(), file })
}

#[cfg(not(unix))]
fn unix(_: &Address, _: &UnixName) -> io::Result<Listening> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}

/// Whether a file is that of a Unix socket where nobody listens. Other files refuse connections, too.
#[cfg(unix)]
fn is_stale(path: &std::path::Path, at: &SockAddr) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    if !std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        return false;
    }
    let refused = Socket::new(Domain::UNIX, Type::STREAM, None).and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.connect(at)
    });
    refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(unix)]
pub(super) fn socket_name(name: &UnixName) -> io::Result<SockAddr> {
    match name.abstract_name() {
        Some(name) => SockAddr::unix(format!("\0{name}")),
        None => SockAddr::unix(name.path().unwrap_or_else(|| std::path::Path::new(""))),
    }
}

/// Errors of accepting that say something of one stream and nothing of the listener.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// What every TCP connection is given. One that cannot have it works all the same.
pub(super) fn tune(socket: &Socket, options: &LinkOptions) {
    let _ = socket.set_tcp_nodelay(true);
    if let Some(silence) = options.keepalive {
        // Systems count whole seconds, and take no 0.
        let (silence, interval) = (silence.max(SECOND), (silence / 3).max(SECOND));
        let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(silence).with_interval(interval));
    }
}

/// Who has the other end.
pub(super) fn peer(scheme: Scheme, socket: &Socket) -> io::Result<Peer> {
    if scheme == Scheme::Uds {
        return Ok(Peer::Unix(credentials(socket)));
    }
    let address = socket.peer_addr()?.as_socket();
    address.map(|address| Peer::Stream(scheme, address)).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn credentials(socket: &Socket) -> Option<crate::UnixCredentials> {
    let found = rustix::net::sockopt::socket_peercred(socket).ok()?;
    let pid = found.pid.as_raw_nonzero().get();
    Some(crate::UnixCredentials { pid, uid: found.uid.as_raw(), gid: found.gid.as_raw() })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn credentials(_: &Socket) -> Option<crate::UnixCredentials> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    fn listen_at(path: &std::path::Path) -> Result<Listening, ListenError> {
        let address = format!("uds://{}", path.display()).parse().unwrap();
        listen(&address, &LinkOptions::default(), Sharing::Alone)
    }

    #[test]
    fn tcp_asks_whether_a_silent_peer_is_alive() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dial = || Socket::from(std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        for (keepalive, expected) in [(Some(30), Some(30)), (Some(0), Some(1)), (None, None)] {
            let options =
                LinkOptions { keepalive: keepalive.map(Duration::from_secs), ..LinkOptions::default() };
            let socket = dial();
            tune(&socket, &options);
            assert!(socket.tcp_nodelay().unwrap());
            assert_eq!(socket.keepalive().unwrap(), expected.is_some());
            if let Some(seconds) = expected {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(seconds));
                assert_eq!(
                    socket.tcp_keepalive_interval().unwrap(),
                    Duration::from_secs((seconds / 3).max(1))
                );
            }
        }
    }

    #[test]
    fn only_the_sockets_of_dead_servers_are_removed() {
        let dir = std::env::temp_dir().join(format!("bowline-listen-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("notes.txt");
        fs::write(&file, "mine").unwrap();
        assert_eq!(listen_at(&file).unwrap_err().error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");

        let socket = dir.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let first = listen_at(&socket).unwrap();
        assert_eq!(listen_at(&socket).unwrap_err().error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(!socket.exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
