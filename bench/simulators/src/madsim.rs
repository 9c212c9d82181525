//! In madsim.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ::madsim::Config;
use ::madsim::net::UdpSocket;
use ::madsim::runtime::Runtime;

const PORT: u16 = 9;

fn ip(host: usize) -> IpAddr {
    let [high, low] = (host as u16).to_be_bytes();
    Ipv4Addr::new(10, 1, high, low + 1).into()
}

pub(crate) fn play(pairs: usize, rounds: u64) {
    let mut config = Config::default();
    config.net.packet_loss_rate = 0.0;
    config.net.send_latency = Duration::from_millis(1)..Duration::from_micros(1_001);
    let runtime = Runtime::with_seed_and_config(1, config);
    let mut clients = Vec::new();
    for pair in 0..pairs {
        let (server_ip, client_ip) = (ip(2 * pair), ip(2 * pair + 1));
        let server = runtime.create_node().ip(server_ip).build();
        server.spawn(async move {
            let socket = UdpSocket::bind(SocketAddr::new(server_ip, PORT)).await.expect("a free port");
            let mut bytes = [0; 8];
            loop {
                let (len, from) = socket.recv_from(&mut bytes).await.expect("a datagram");
                socket.send_to(from, &bytes[..len]).await.expect("room");
            }
        });
        let client = runtime.create_node().ip(client_ip).build();
        clients.push(client.spawn(async move {
            ::madsim::time::sleep(Duration::from_millis(1)).await;
            let socket = UdpSocket::bind(SocketAddr::new(client_ip, PORT)).await.expect("a free port");
            let server = SocketAddr::new(server_ip, PORT);
            let mut bytes = [0; 8];
            for left in (1..=rounds).rev() {
                socket.send_to(server, &left.to_le_bytes()).await.expect("room");
                socket.recv_from(&mut bytes).await.expect("a datagram");
                assert_eq!(u64::from_le_bytes(bytes), left, "the round that was sent");
            }
        }));
    }
    runtime.block_on(async move {
        for client in clients {
            client.await.expect("every round was played");
        }
    });
}
