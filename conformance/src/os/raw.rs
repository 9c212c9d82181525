//! A stream of bytes between sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use driver::Address;

use crate::WAIT;

/// A stream between sockets.
#[derive(Debug)]
pub enum Raw {
    /// TCP, whatever is spoken on it.
    Tcp(TcpStream),
    /// Between Unix sockets.
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl crate::world::Raw for Raw {
    fn connect(address: &Address) -> Self {
        #[cfg(unix)]
        if let Some(path) = address.unix().and_then(driver::UnixName::path) {
            return Self::Unix(std::os::unix::net::UnixStream::connect(path).expect("the server listens"));
        }
        let at = address.socket_addr().expect("an address");
        Self::Tcp(TcpStream::connect(at).expect("the server listens"))
    }

    fn read_to_end(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let read = match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(WAIT)).and_then(|()| stream.read_to_end(&mut bytes))
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(WAIT)).and_then(|()| stream.read_to_end(&mut bytes))
            }
        };
        read.map(|_| ())
    }

    fn write(&mut self, bytes: &[u8]) {
        // The server may have hung up already.
        let _ = match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write_all(bytes),
        };
    }

    fn shutdown(&mut self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}
