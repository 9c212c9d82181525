//! A way between sockets that can fail.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::Duration;

use driver::{Address, Scheme};
use tempfile::TempDir;

/// A stream of bytes.
enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    fn connect(to: &Address) -> io::Result<Self> {
        #[cfg(unix)]
        if let Some(path) = to.unix().and_then(driver::UnixName::path) {
            return UnixStream::connect(path).map(Self::Unix);
        }
        TcpStream::connect(to.socket_addr().expect("an address")).map(Self::Tcp)
    }

    fn another(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    fn shut(&self) {
        // It may be shut already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(into),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }
}

/// What a relay is told.
struct Control {
    to: Mutex<Address>,
    /// Nothing comes out of it.
    swallows: AtomicBool,
    streams: Mutex<Vec<Stream>>,
}

impl Control {
    fn to(&self) -> MutexGuard<'_, Address> {
        self.to.lock().expect("nobody panics")
    }

    fn swallows(&self) -> bool {
        self.swallows.load(Ordering::Relaxed)
    }

    /// A client has come.
    fn join(self: &Arc<Self>, near: Stream) -> io::Result<()> {
        if self.swallows() {
            near.shut();
            return Ok(());
        }
        let far = Stream::connect(&self.to())?;
        let ways = [(near.another()?, far.another()?), (far.another()?, near.another()?)];
        // Before anything is carried: who has heard from the other side may cut it, or speak in its name.
        self.streams.lock().expect("nobody panics").extend([near, far]);
        for (mut from, mut to) in ways {
            let control = Arc::clone(self);
            thread::spawn(move || {
                let mut bytes = vec![0; 16 * 1024];
                while let Ok(len @ 1..) = from.read(&mut bytes) {
                    if !control.swallows() && to.write_all(&bytes[..len]).is_err() {
                        break;
                    }
                }
                if !control.swallows() {
                    to.shut();
                }
            });
        }
        Ok(())
    }
}

/// A way between sockets.
pub struct Relay {
    address: Address,
    control: Arc<Control>,
    _dir: TempDir,
}

impl crate::world::Relay for Relay {
    fn new(to: &Address) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let control = Arc::new(Control {
            to: Mutex::new(to.clone()),
            swallows: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let address = match to.scheme() {
            Scheme::Udp => to.at(carry_datagrams(&control)),
            #[cfg(unix)]
            Scheme::Uds => {
                let path = dir.path().join("relay.sock");
                let listener = UnixListener::bind(&path).expect("a path is free");
                let control = Arc::downgrade(&control);
                thread::spawn(move || {
                    while let Ok((near, _)) = listener.accept() {
                        let Some(control) = control.upgrade() else { return };
                        // Its server may be gone.
                        let _ = control.join(Stream::Unix(near));
                    }
                });
                format!("uds://{}", path.display()).parse().expect("a sound address")
            }
            _ => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
                let address = to.at(listener.local_addr().expect("it is bound"));
                let control = Arc::downgrade(&control);
                thread::spawn(move || {
                    while let Ok((near, _)) = listener.accept() {
                        let Some(control) = control.upgrade() else { return };
                        // Its server may be gone.
                        let _ = control.join(Stream::Tcp(near));
                    }
                });
                address
            }
        };
        Self { address, control, _dir: dir }
    }

    fn address(&self) -> &Address {
        &self.address
    }

    fn swallow(&self) {
        self.control.swallows.store(true, Ordering::Relaxed);
    }

    fn say(&self, bytes: &[u8]) {
        for far in self.control.streams.lock().expect("nobody panics").iter_mut().skip(1).step_by(2) {
            // The server may be gone.
            let _ = far.write_all(bytes);
        }
    }

    fn cut(&self) {
        for stream in self.control.streams.lock().expect("nobody panics").drain(..) {
            stream.shut();
        }
    }

    fn redirect(&self, to: &Address) {
        *self.control.to() = to.clone();
    }

    fn heal(&self) {
        self.control.swallows.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        crate::world::Relay::cut(self);
    }
}

fn bind() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a sound timeout");
    socket
}

/// Carries the datagrams of one client; returns where it sends them.
fn carry_datagrams(control: &Arc<Control>) -> SocketAddr {
    let (front, back) = (bind(), bind());
    let address = front.local_addr().expect("it is bound");
    let control: Weak<Control> = Arc::downgrade(control);
    thread::spawn(move || {
        let (mut bytes, mut client) = (vec![0; 65_536], None);
        while let Some(control) = control.upgrade() {
            // Both may say that nothing has come, or that nobody is there.
            if let Ok((len, from)) = front.recv_from(&mut bytes) {
                client = Some(from);
                let to = control.to().socket_addr().expect("an address");
                if !control.swallows() {
                    let _ = back.send_to(&bytes[..len], to);
                }
            }
            if let (Ok((len, _)), Some(client)) = (back.recv_from(&mut bytes), client)
                && !control.swallows()
            {
                let _ = front.send_to(&bytes[..len], client);
            }
        }
    });
    address
}
