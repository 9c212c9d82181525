//! The promises hold over a network that keeps none.

use std::time::Duration;

use adapter_tokio::{ConfigBuilder, Endpoint, Message};

use super::relay::{self, Faults};
use super::{Pair, localhost, within};

const FAULTS: Faults = Faults { loss: 10, duplicates: 10, reordering: 10, corruption: 2 };

/// Times for a network whose round trip is short.
fn quick() -> ConfigBuilder {
    ConfigBuilder {
        initial_rtt: Duration::from_millis(5),
        pto_cap: Duration::from_millis(100),
        max_ack_delay: Duration::from_millis(5),
        ..ConfigBuilder::default()
    }
}

#[tokio::test]
async fn everything_arrives_once_and_in_order() {
    within(async {
        let server = Endpoint::bind(localhost(), quick()).unwrap();
        let address = relay::start(server.local_addr(), FAULTS, 1).await;
        let Pair { here, there, server, .. } = &Pair::through(address, server, quick()).await;
        let send = |from: adapter_tokio::Connection| async move {
            for n in 0..300_u32 {
                from.send(Message::new(n.to_string())).await.unwrap();
            }
        };
        let receive = |at: adapter_tokio::Connection| async move {
            for n in 0..300_u32 {
                assert_eq!(at.recv().await.unwrap().payload, n.to_string());
            }
        };
        tokio::join!(send(here.clone()), send(there.clone()), receive(here.clone()), receive(there.clone()));
        let stats = server.stats();
        assert!(
            stats.drops.get(proto_core::Drop::BadChecksum)
                + stats.drops.get(proto_core::Drop::DuplicatePacket)
                > 0
        );
    })
    .await;
}

#[tokio::test]
async fn requests_and_large_messages_get_through() {
    within(async {
        let server = Endpoint::bind(localhost(), quick()).unwrap();
        let address = relay::start(server.local_addr(), FAULTS, 2).await;
        let Pair { here, there, .. } = &Pair::through(address, server, quick()).await;
        let payload: Vec<u8> = (0..100_000).map(|i: u32| (i % 251) as u8).collect();
        let ask = async {
            for _ in 0..3 {
                let reply =
                    here.request(Message::new(payload.clone()), Duration::from_secs(15)).await.unwrap();
                assert_eq!(reply, payload);
            }
        };
        let answer = async {
            for _ in 0..3 {
                let received = there.recv().await.unwrap();
                there.reply(received.request.unwrap(), received.payload).await.unwrap();
            }
        };
        tokio::join!(ask, answer);
    })
    .await;
}
