//! In turmoil.

use std::time::Duration;

use turmoil::Builder;
use turmoil::net::UdpSocket;

const PORT: u16 = 9;

pub(crate) fn play(pairs: usize, rounds: u64) {
    let latency = Duration::from_millis(1);
    let mut sim = Builder::new()
        .simulation_duration(Duration::from_millis(10 * rounds + 1_000))
        .tick_duration(latency)
        .min_message_latency(latency)
        .max_message_latency(latency)
        .rng_seed(1)
        .build();
    for pair in 0..pairs {
        sim.host(format!("server{pair}"), || async {
            let socket = UdpSocket::bind(("0.0.0.0", PORT)).await?;
            let mut bytes = [0; 8];
            loop {
                let (len, from) = socket.recv_from(&mut bytes).await?;
                socket.send_to(&bytes[..len], from).await?;
            }
        });
        sim.client(format!("client{pair}"), async move {
            let socket = UdpSocket::bind(("0.0.0.0", PORT)).await?;
            let server = (turmoil::lookup(format!("server{pair}")), PORT);
            let mut bytes = [0; 8];
            for left in (1..=rounds).rev() {
                socket.send_to(&left.to_le_bytes(), server).await?;
                socket.recv_from(&mut bytes).await?;
                assert_eq!(u64::from_le_bytes(bytes), left, "the round that was sent");
            }
            Ok(())
        });
    }
    sim.run().expect("every round was played");
}
