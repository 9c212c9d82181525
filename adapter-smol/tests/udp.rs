//! Servers and clients of one process, over loopback.

use std::net::SocketAddr;
use std::time::Duration;

use adapter_smol::{Class, Close, CloseReason, ConfigBuilder, Endpoint, Fate, Message, Policy};
use smol::future::FutureExt as _;

/// No test takes nearly that long.
fn within<T>(future: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(Duration::from_secs(20)).await;
        panic!("the test hangs")
    };
    smol::block_on(future.or(late))
}

#[test]
fn every_call_of_a_connection() {
    within(async {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Endpoint::bind(address, ConfigBuilder::default()).unwrap();
        let client = Endpoint::client(ConfigBuilder::default()).unwrap();
        let here = client.connect(server.local_addr()).await.unwrap();
        let there = server.accept().await.unwrap();
        for class in Class::ALL {
            for (from, to) in [(&here, &there), (&there, &here)] {
                from.send(Message::new("x").class(class)).await.unwrap();
                let received = to.recv().await.unwrap();
                assert_eq!((&received.payload[..], received.class), (&b"x"[..], class));
            }
        }
        let answer = async {
            let received = there.recv().await.unwrap();
            there.reply(received.request.unwrap(), "LOUD").await.unwrap();
        };
        let ask = here.request(Message::new("loud"), Duration::from_secs(10));
        let (answered, ()) = smol::future::zip(ask, answer).await;
        assert_eq!(answered.unwrap(), "LOUD");
        let large = vec![7; 200_000];
        let receipt = here.send_receipt(Message::new(large.clone())).await.unwrap();
        assert_eq!(there.recv().await.unwrap().payload, large);
        assert_eq!(receipt.await, Fate::Acked);
        here.close(Close::default());
        assert!(matches!(there.closed().await.reason, CloseReason::Peer { .. }));
        client.wait_idle().await;
    });
}

/// smol's executor has one thread, for the sender and the I/O.
#[test]
fn whoever_never_waits_lets_the_io_have_its_turns() {
    within(smol::spawn(async {
        let config = ConfigBuilder { policy: Some(Policy::DropNew), ..ConfigBuilder::default() };
        let server = Endpoint::bind(SocketAddr::from(([127, 0, 0, 1], 0)), config.clone()).unwrap();
        let client = Endpoint::client(config).unwrap();
        let here = client.connect(server.local_addr()).await.unwrap();
        let there = server.accept().await.unwrap();
        let before = client.udp_stats().packets_sent;
        for _ in 0..5000 {
            here.send(Message::new("x")).await.unwrap();
        }
        let sent = client.udp_stats().packets_sent - before;
        assert!(sent >= 5, "{sent} packets");
        assert!(there.recv().await.is_some());
    }));
}
