//! One host holds all peers, up to as many as ENet can count.

use std::time::Duration;

use rusty_enet::{Event, Host, HostSettings, Packet};

use super::Server;
use crate::pair::{Time, Wire};

/// Peer ids have 12 bits.
pub(super) const MAX: usize = 4095;

/// Each peer has carried a message each way, then nothing for two seconds.
pub(super) fn establish(connections: usize) -> Server {
    let time = Time::default();
    let (near, far) = Wire::pair();
    let [mut server, mut client] = [near, far].map(|wire| {
        let time = time.clone();
        let settings = HostSettings {
            peer_limit: connections,
            channel_limit: 1,
            time: Box::new(move || Duration::from_millis(1000 + time.get())),
            seed: Some(1),
            ..HostSettings::default()
        };
        Host::new(wire, settings).unwrap_or_else(|_| panic!("a sound configuration"))
    });
    for _ in 0..connections {
        client.connect((), 1, 0).expect("room for it");
    }
    let mut connected = 0;
    for _ in 0..100 {
        for host in [&mut client, &mut server] {
            while let Some(event) = host.service().expect("a wire that cannot fail") {
                if let Event::Connect { peer, .. } = event {
                    connected += 1;
                    peer.send(0, &Packet::reliable(&b"hello"[..])).expect("it is connected");
                }
            }
        }
        time.set(time.get() + 20);
    }
    assert_eq!(connected, 2 * connections, "all are connected");
    Box::new(server)
}
