//! Another endpoint in the place of one that is at rest.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{client_config, server_config};
use crate::{Close, Config, Drain, Endpoint, Link, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn place() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

fn endpoint(config: &Arc<Config>) -> Endpoint {
    Endpoint::new(Arc::clone(config), Link::datagram(1200), [1; 32], NOW)
}

#[test]
fn whoever_is_born_again_gives_ids_that_nobody_has() {
    let config: Arc<Config> = client_config().build().unwrap();
    let mut endpoint = endpoint(&config);
    let (mut ids, mut links) = (Vec::new(), Vec::new());
    for round in 0..4_u8 {
        for _ in 0..3 {
            let (one, other) =
                (endpoint.connect(NOW, place()).unwrap(), endpoint.connect(NOW, place()).unwrap());
            assert!(!endpoint.is_at_rest(), "somebody is connected");
            endpoint.forget(one);
            endpoint.forget(other);
            let link = endpoint.link_up(NOW, place(), Link::stream(1 << 14));
            assert!(!endpoint.is_at_rest(), "there is a stream");
            endpoint.link_down(NOW, link);
            ids.extend([one, other]);
            links.push(link);
        }
        assert!(endpoint.is_at_rest());
        endpoint = endpoint.reborn([round; 32], NOW, endpoint.next_generation());
        assert!(ids.iter().all(|id| endpoint.connection(*id).is_none()));
    }
    ids.sort_unstable();
    ids.dedup();
    links.sort_unstable();
    links.dedup();
    assert_eq!((ids.len(), links.len()), (24, 12));
}

#[test]
fn whoever_goes_away_is_not_at_rest() {
    let config: Arc<Config> = server_config().build().unwrap();
    let mut endpoint = endpoint(&config);
    assert!(endpoint.is_at_rest());
    endpoint.close_all(NOW, &Close::default());
    assert!(endpoint.is_at_rest());
    let mut stopped = endpoint.clone();
    stopped.stop_accepting();
    assert!(!stopped.is_at_rest());
    endpoint.drain(NOW, Drain::default());
    assert!(!endpoint.is_at_rest());
}
