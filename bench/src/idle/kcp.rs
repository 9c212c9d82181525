//! Nothing but control objects: KCP knows no endpoint, no handshake and no keep-alive.

use std::io;

use kcp::Kcp;

use super::Server;

/// Each object has received a message.
pub(super) fn establish(connections: usize) -> Server {
    let ends = (0..connections).map(|_| {
        let mut datagram = Vec::new();
        let mut client = Kcp::new(7, &mut datagram);
        client.update(0).expect("the first update");
        client.send(b"hello").expect("room for a message");
        client.flush().expect("it was updated");
        drop(client);
        let mut server = Kcp::new(7, io::sink());
        server.update(0).expect("the first update");
        server.input(&datagram).expect("a sound packet");
        server.recv(&mut [0; 64]).expect("a message");
        server.update(2000).expect("an update");
        server
    });
    Box::new(ends.collect::<Vec<_>>())
}
