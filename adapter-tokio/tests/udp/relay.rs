//! A bad network: a UDP relay that loses, repeats, reorders and corrupts datagrams, from a seed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::localhost;

/// How many of a hundred datagrams suffer what.
#[derive(Clone, Copy)]
pub(super) struct Faults {
    pub(super) loss: u32,
    pub(super) duplicates: u32,
    pub(super) reordering: u32,
    pub(super) corruption: u32,
}

/// What befalls the datagrams of one direction, in turn.
struct Fate {
    faults: Faults,
    state: u64,
    /// A datagram that lets the next one overtake it.
    held: Option<Vec<u8>>,
}

impl Fate {
    fn draw(&mut self, percent: u32) -> bool {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % 100 < u64::from(percent)
    }

    /// What comes out when `datagram` goes in.
    fn pass(&mut self, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let Faults { loss, duplicates, reordering, corruption } = self.faults;
        if self.draw(loss) {
            return Vec::new();
        }
        if self.draw(corruption) {
            let middle = datagram.len() / 2;
            datagram[middle] ^= 0x10;
        }
        if self.held.is_none() && self.draw(reordering) {
            self.held = Some(datagram);
            return Vec::new();
        }
        let mut out = vec![datagram.clone()];
        if self.draw(duplicates) {
            out.push(datagram);
        }
        out.extend(self.held.take());
        out
    }
}

/// Starts a relay to `server`; returns where clients reach it. It ends with the runtime.
pub(super) async fn start(server: SocketAddr, faults: Faults, seed: u64) -> SocketAddr {
    let front = Arc::new(UdpSocket::bind(localhost()).await.expect("a port is free"));
    let address = front.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let fate = |state| Arc::new(Mutex::new(Fate { faults, state, held: None }));
        let (up, down) = (fate(seed), fate(seed ^ 0xFFFF));
        let mut backs: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        let mut buffer = vec![0; 2048];
        while let Ok((len, client)) = front.recv_from(&mut buffer).await {
            let back = match backs.entry(client) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let back = Arc::new(UdpSocket::bind(localhost()).await.expect("a port is free"));
                    back.connect(server).await.expect("loopback can be reached");
                    tasks.spawn(carry_down(Arc::clone(&back), Arc::clone(&front), client, Arc::clone(&down)));
                    new.insert(back)
                }
            };
            let out = up.lock().expect("no draw panics").pass(buffer[..len].to_vec());
            for datagram in out {
                let _ = back.send(&datagram).await;
            }
        }
    });
    address
}

/// Carries what the server sends to one client.
async fn carry_down(back: Arc<UdpSocket>, front: Arc<UdpSocket>, client: SocketAddr, fate: Arc<Mutex<Fate>>) {
    let mut buffer = vec![0; 2048];
    while let Ok(len) = back.recv(&mut buffer).await {
        let out = fate.lock().expect("no draw panics").pass(buffer[..len].to_vec());
        for datagram in out {
            let _ = front.send_to(&datagram, client).await;
        }
    }
}
