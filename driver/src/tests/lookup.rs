//! Names that are looked up while there is something else to try.

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use proto_core::ConfigBuilder;

use super::harness::{Net, Task, now};
use crate::endpoint::{Known, Resolver};
use crate::{Address, ConnectError, Endpoint};

/// Where the server is.
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);
const FOUND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// An endpoint that never hears of `hangs`, and of other names at once.
fn endpoint(net: &Net) -> Endpoint {
    let soon = now().mono + Duration::from_secs(1);
    let resolver: Box<dyn Fn(String, u16) -> crate::Lookup + Send + Sync> =
        Box::new(move |host, _| match &*host {
            "hangs" => Box::pin(pending()),
            "late" => Box::pin(poll_fn(move |_| match now().mono {
                now if now < soon => Poll::Pending,
                _ => Poll::Ready(Ok(vec![SERVER])),
            })),
            "v6" => Box::pin(async { Ok(vec!["[::1]:1".parse().expect("it is sound")]) }),
            "fails" => Box::pin(async { Err(io::ErrorKind::NotFound.into()) }),
            _ => Box::pin(async { Ok(vec![FOUND]) }),
        });
    let known = Known { resolver: Some(Resolver(resolver)), sockets: vec![FOUND], ..Known::default() };
    Endpoint::on_ports(vec![net.client().shared.clone()], known)
}

fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| text.parse().expect("it is sound")).collect()
}

#[test]
fn a_name_that_hangs_is_left_out_soon_when_there_is_something_else() {
    let net = Net::new(ConfigBuilder::default());
    let endpoint = endpoint(&net);
    for (asked, found) in [
        (&["udp://hangs:1", "tcp://hangs:1"][..], &["tcp://hangs:1"][..]),
        (&["udp://hangs:1", "udp://127.0.0.2:1"], &["udp://127.0.0.2:1"]),
        (&["udp://hangs:1", "udp://known:1"], &["udp://127.0.0.1:1"]),
    ] {
        let began = now().mono;
        let looked_up = net.run(endpoint.look_up(&addresses(asked))).expect("there is something to try");
        assert_eq!(looked_up, addresses(found));
        assert_eq!(now().mono.since(began), Duration::from_millis(250), "{asked:?}");
        assert_eq!(net.client().waiting(), 0);
    }
}

#[test]
fn what_cannot_be_tried_is_nothing_else() {
    let net = Net::new(ConfigBuilder::default());
    let endpoint = endpoint(&net);
    for asked in [&["udp://late:2", "udp://[::1]:1"][..], &["udp://v6:1", "udp://late:2"]] {
        let asked = addresses(asked);
        let mut task = Task::waiting(endpoint.look_up(&asked));
        net.pass(Duration::from_millis(600));
        assert!(task.poll().is_none(), "there is nothing to try but the name");
    }
}

#[test]
fn a_name_that_is_late_is_tried_when_nothing_else_has_worked() {
    let net = Net::new(ConfigBuilder::default());
    let endpoint = endpoint(&net);
    let connected = net.run(endpoint.connect_to(&addresses(&["udp://late:2", "udp://127.0.0.9:9"])));
    assert_eq!(connected.expect("it works").peer(), SERVER.into());
}

#[test]
fn nobody_waits_for_names_that_are_there() {
    let net = Net::new(ConfigBuilder::default());
    let endpoint = endpoint(&net);
    let began = now().mono;
    let looked_up =
        net.run(endpoint.look_up(&addresses(&["udp://known:1", "udp://fails:1", "tcp://hangs:1"])));
    assert_eq!(looked_up.expect("there is"), addresses(&["udp://127.0.0.1:1", "tcp://hangs:1"]));
    let failed = net.run(endpoint.look_up(&addresses(&["udp://fails:1"])));
    assert!(matches!(failed, Err(ConnectError::LookUp(..))));
    assert_eq!(now().mono, began);
}
