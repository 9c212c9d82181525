//! Servers and clients of one process, over loopback.

use std::time::Duration;

use adapter_tokio::udp::{Pump, Socket};
use adapter_tokio::{
    Class, Close, CloseReason, ConfigBuilder, ConnectError, Endpoint, Fate, LINK, Machine, Message, Path,
    RequestError, SendError, Shared, Status, clock, config, seed,
};
use proto_core::{Meta, Now, Reconnect, Timestamp, Transmit};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::{Pair, localhost, within};

fn number(number: u32) -> Message {
    Message::new(number.to_string())
}

#[tokio::test]
async fn every_class_both_ways() {
    within(async {
        let Pair { here, there, .. } = &Pair::new(ConfigBuilder::default()).await;
        for class in Class::ALL {
            for (from, to) in [(here, there), (there, here)] {
                from.send(Message::new("x").class(class)).await.unwrap();
                let received = to.recv().await.unwrap();
                assert_eq!((&received.payload[..], received.class), (&b"x"[..], class));
            }
        }
        assert_eq!(here.session(), there.session());
    })
    .await;
}

#[tokio::test]
async fn large_messages_go_in_trains() {
    within(async {
        let pair = Pair::new(ConfigBuilder::default()).await;
        let payload: Vec<u8> = (0..256 * 1024).map(|i: u32| (i % 253) as u8).collect();
        for _ in 0..8 {
            let receipt = pair.here.send_receipt(Message::new(payload.clone())).await.unwrap();
            assert_eq!(pair.there.recv().await.unwrap().payload, payload);
            assert_eq!(receipt.await, Fate::Acked);
        }
        let stats = pair.client.udp_stats();
        assert!(stats.sends < stats.packets_sent, "{stats:?}");
        assert_eq!((stats.send_errors, stats.too_large, stats.receive_errors), (0, 0, 0));
        let too_large = Message::new(vec![0; 256 * 1024 + 1]);
        assert_eq!(pair.here.send(too_large).await, Err(SendError::TooLarge { max: 256 * 1024 }));
    })
    .await;
}

#[tokio::test]
async fn requests_both_ways() {
    within(async {
        let Pair { here, there, .. } = &Pair::new(ConfigBuilder::default()).await;
        for (asks, answers) in [(here, there), (there, here)] {
            let answer = async {
                let received = answers.recv().await.unwrap();
                answers
                    .reply(received.request.unwrap(), received.payload.to_ascii_uppercase())
                    .await
                    .unwrap();
                let received = answers.recv().await.unwrap();
                answers.reply_error(received.request.unwrap(), 0x404, "never heard of it").await.unwrap();
            };
            let ask = async {
                let wait = Duration::from_secs(10);
                assert_eq!(asks.request(Message::new("loud"), wait).await.unwrap(), "LOUD");
                let failed = asks.request(Message::new("?"), wait).await.unwrap_err();
                assert!(matches!(failed, RequestError::Failed { code: 0x404, not_processed: false, .. }));
            };
            tokio::join!(ask, answer);
            let unanswered = asks.request(Message::new("?"), Duration::from_millis(20)).await;
            assert_eq!(unanswered, Err(RequestError::TimedOut { not_processed: false }));
            answers.recv().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_sender_waits_for_a_slow_reader_and_nothing_is_lost() {
    within(async {
        let config = ConfigBuilder { send_messages: 8, receive_messages: 8, ..ConfigBuilder::default() };
        let Pair { here, there, client, .. } = Pair::new(config).await;
        let sender = tokio::spawn(async move {
            for n in 0..2000 {
                here.send(number(n)).await.unwrap();
            }
            here
        });
        while client.stats().messages_accepted < 16 {
            tokio::task::yield_now().await;
        }
        for n in 0..2000_u32 {
            assert!(client.stats().messages_accepted <= u64::from(n) + 16, "8 wait here and 8 there");
            assert_eq!(there.recv().await.unwrap().payload, n.to_string());
        }
        drop(sender.await.unwrap());
        assert!(there.recv().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn futures_that_are_dropped_all_the_time_lose_nothing() {
    within(async {
        let config = ConfigBuilder { send_messages: 8, receive_messages: 8, ..ConfigBuilder::default() };
        let Pair { here, there, .. } = Pair::new(config).await;
        let send = async {
            let mut n = 0;
            while n < 1000 {
                tokio::select! {
                    biased;
                    room = here.writable() => {
                        room.unwrap();
                        if here.send_now(number(n)).is_ok() {
                            n += 1;
                        }
                    }
                    () = tokio::task::yield_now() => {}
                }
            }
        };
        let receive = async {
            let mut n = 0;
            while n < 1000 {
                tokio::select! {
                    biased;
                    received = there.recv() => {
                        assert_eq!(received.unwrap().payload, n.to_string());
                        n += 1;
                    }
                    () = tokio::task::yield_now() => {}
                }
            }
        };
        tokio::join!(send, receive);
    })
    .await;
}

#[tokio::test]
async fn closing_with_linger_delivers_first() {
    within(async {
        let Pair { here, there, client, .. } = Pair::new(ConfigBuilder::default()).await;
        for n in 0..500 {
            here.send(number(n)).await.unwrap();
        }
        here.close(Close { code: 0x107, reason: "done".into(), ..Close::default() });
        for n in 0..500 {
            assert_eq!(there.recv().await.unwrap().payload, n.to_string());
        }
        assert!(there.recv().await.is_none());
        let reason = CloseReason::Peer { code: 0x107, reason: "done".into() };
        assert_eq!(there.closed().await.reason, reason);
        client.wait_idle().await;
        assert_eq!(here.closed().await.reason, CloseReason::Local { code: 0x107 });
    })
    .await;
}

/// A server in a runtime of its own, which can be torn down without a word to anybody.
fn start_server(address: std::net::SocketAddr, config: ConfigBuilder) -> (Runtime, Endpoint) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(async { Endpoint::bind(address, config).unwrap() });
    (runtime, server)
}

#[test]
fn a_killed_peer_is_noticed() {
    let config = ConfigBuilder {
        heartbeat: Duration::from_millis(100),
        dead: Duration::from_millis(300),
        ..ConfigBuilder::default()
    };
    let (runtime, server) = start_server(localhost(), config.clone());
    let client = Builder::new_current_thread().enable_all().build().unwrap();
    client.block_on(within(async {
        let pair = Pair::through(server.local_addr(), server, config).await;
        runtime.shutdown_background();
        assert_eq!(pair.here.closed().await.reason, CloseReason::TimedOut);
        assert_eq!(pair.there.closed().await.reason, CloseReason::Ended { panicked: false });
    }));
}

#[test]
fn a_restarted_server_is_noticed_with_the_next_packet_and_found_again() {
    let reconnect = Reconnect { spread: Duration::from_millis(10), ..Reconnect::default() };
    let config = ConfigBuilder {
        server_key: Some([7; 32].into()),
        reconnect: Some(reconnect),
        ..ConfigBuilder::default()
    };
    let (runtime, server) = start_server(localhost(), config.clone());
    let address = server.local_addr();
    let client = Builder::new_current_thread().enable_all().build().unwrap();
    let pair = client.block_on(within(Pair::through(address, server, config.clone())));
    runtime.shutdown_timeout(Duration::from_secs(10));
    let (_runtime, server) = start_server(address, config);
    client.block_on(within(async {
        pair.here.send(Message::new("still there?")).await.unwrap();
        assert_eq!(pair.here.closed().await.reason, CloseReason::Reset, "not by silence");
        let mut dial = pair.here.next().unwrap();
        while dial.changed().await != Status::Established {}
        let back = dial.await.unwrap();
        back.send(Message::new("back")).await.unwrap();
        let there = server.accept().await.unwrap();
        assert_eq!(there.recv().await.unwrap().payload, "back");
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections() {
    within(async {
        let server = Endpoint::bind(localhost(), ConfigBuilder::default()).unwrap();
        let address = server.local_addr();
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Some(connection) = accepting.accept().await {
                tokio::spawn(async move {
                    while let Some(received) = connection.recv().await {
                        connection.send(Message::new(received.payload)).await.unwrap();
                    }
                });
            }
        });
        let client = Endpoint::client(ConfigBuilder::default()).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200_u32 {
            let client = client.clone();
            tasks.spawn(async move {
                let connection = client.connect(address).await.unwrap();
                for round in 0..10 {
                    connection.send(number(n * 10 + round)).await.unwrap();
                    let echo = connection.recv().await.unwrap();
                    assert_eq!(echo.payload, (n * 10 + round).to_string());
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        client.wait_idle().await;
        server.wait_idle().await;
        let stats = server.stats();
        assert_eq!(stats.messages_delivered, 2000);
        assert_eq!(stats.drops.get(proto_core::Drop::AnswerQueueFull), 0, "a burst of strangers is answered");
    })
    .await;
}

#[tokio::test]
async fn without_handles_the_task_ends() {
    within(async {
        let settings = config(ConfigBuilder::default()).build().unwrap();
        let machine = proto_core::Endpoint::new(settings, LINK, seed().unwrap(), clock::now().mono);
        let (endpoint, shared) = driver::Endpoint::new(machine, clock::now, 8);
        let pump = Pump::spawn(shared, vec![Socket::bind(localhost()).unwrap()]);
        let server = Endpoint::bind(localhost(), ConfigBuilder::default()).unwrap();
        let path = Path { socket: 0, peer: server.local_addr().into() };
        let connection = endpoint.dial_path(path, &[]).unwrap().await.unwrap();
        connection.send(Message::new("last words")).await.unwrap();
        drop((endpoint, connection));
        pump.ended().await;
        let there = server.accept().await.unwrap();
        assert_eq!(there.recv().await.unwrap().payload, "last words");
        assert!(there.recv().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn one_machine_on_two_sockets() {
    within(async {
        let settings = config(ConfigBuilder { accept: true, ..ConfigBuilder::default() }).build().unwrap();
        let machine = proto_core::Endpoint::new(settings, LINK, seed().unwrap(), clock::now().mono);
        let (server, shared) = driver::Endpoint::new(machine, clock::now, 8);
        let sockets = vec![Socket::bind(localhost()).unwrap(), Socket::bind(localhost()).unwrap()];
        let addresses: Vec<_> = sockets.iter().map(Socket::local_addr).collect();
        let _pump = Pump::spawn(shared, sockets);
        let client = Endpoint::client(ConfigBuilder::default()).unwrap();
        for address in addresses {
            let here = client.connect(address).await.unwrap();
            let there = server.accept().await.unwrap();
            there.send(Message::new("from the socket that was asked")).await.unwrap();
            assert_eq!(here.recv().await.unwrap().payload, "from the socket that was asked");
        }
    })
    .await;
}

#[tokio::test]
async fn a_bare_machine_can_be_pumped_and_commanded() {
    within(async {
        let settings = config(ConfigBuilder::default()).build().unwrap();
        let machine = proto_core::Endpoint::<Path>::new(settings, LINK, seed().unwrap(), clock::now().mono);
        let shared = Shared::new(machine, clock::now);
        let pump = Pump::spawn(shared.clone(), vec![Socket::bind(localhost()).unwrap()]);
        let server = Endpoint::bind(localhost(), ConfigBuilder::default()).unwrap();
        let path = Path { socket: 0, peer: server.local_addr().into() };
        let id = shared.command(|machine, now| machine.connect(now.mono, path)).unwrap();
        let there = server.accept().await.unwrap();
        shared.command(|machine, now| {
            let mut connection = machine.connection(id).unwrap();
            connection
                .channel(proto_core::ChannelId::DEFAULT)
                .send(now.mono, Message::new("by hand"))
                .unwrap();
        });
        assert_eq!(there.recv().await.unwrap().payload, "by hand");
        assert!(pump.stats().packets_sent > 0);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_reached_says_why() {
    within(async {
        let server = Endpoint::bind(localhost(), ConfigBuilder::default()).unwrap();
        let refused = server.connect("[::1]:4100".parse().unwrap()).await.unwrap_err();
        assert!(matches!(refused, ConnectError::NoSocket(_)));
        let taken = Endpoint::bind(server.local_addr(), ConfigBuilder::default()).unwrap_err();
        let address = server.local_addr();
        assert!(taken.to_string().starts_with(&format!("cannot listen on udp://{address}: ")), "{taken}");
        let config =
            ConfigBuilder { handshake_timeout: Duration::from_millis(50), ..ConfigBuilder::default() };
        let client = Endpoint::client(config).unwrap();
        let nobody = Socket::bind(localhost()).unwrap().local_addr();
        let failed = client.connect(nobody).await.unwrap_err();
        assert_eq!(failed.to_string(), "cannot connect: the peer did not answer in time");
        let impossible = ConfigBuilder { max_message: 0, ..ConfigBuilder::default() };
        let error = Endpoint::client(impossible).unwrap_err();
        assert!(error.to_string().contains("max_message"), "{error}");
    })
    .await;
}

#[test]
fn outside_of_a_runtime_there_is_an_error_and_no_panic() {
    assert!(Socket::bind(localhost()).is_err());
}

/// Notes what is done to it, and in which order.
struct Notes {
    deadline: Option<Timestamp>,
    seen: mpsc::UnboundedSender<String>,
}

impl Machine for Notes {
    fn handle_packet(&mut self, _: Now, _: Meta<Path>, packet: &[u8]) {
        self.seen.send(format!("packet {packet:?}")).unwrap();
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.deadline.take_if(|at| *at <= now.mono).is_some() {
            self.seen.send("timeout".into()).unwrap();
        }
    }

    fn poll_transmit(&mut self, _: Now, _: &mut Vec<u8>) -> Option<Transmit<Path>> {
        None
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadline
    }
}

#[tokio::test]
async fn what_has_arrived_is_handed_in_before_timers_fire() {
    within(async {
        let (seen, mut notes) = mpsc::unbounded_channel();
        let socket = Socket::bind(localhost()).unwrap();
        let peer = std::net::UdpSocket::bind(localhost()).unwrap();
        for packet in [&[1][..], &[2, 2], &[], &[4]] {
            peer.send_to(packet, socket.local_addr()).unwrap();
        }
        let machine = Notes { deadline: Some(clock::now().mono), seen };
        let _pump = Pump::spawn(Shared::new(machine, clock::now), vec![socket]);
        for expected in ["packet [1]", "packet [2, 2]", "packet []", "packet [4]", "timeout"] {
            assert_eq!(notes.recv().await.unwrap(), expected);
        }
    })
    .await;
}
