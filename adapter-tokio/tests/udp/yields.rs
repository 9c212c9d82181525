//! On one thread, whoever never waits still lets the I/O have its turns.

use adapter_tokio::{Class, ConfigBuilder, Message, Policy};

use super::{Pair, within};

async fn goes_out(policy: Policy, class: Class) {
    within(async {
        let pair = Pair::new(ConfigBuilder { policy: Some(policy), ..ConfigBuilder::default() }).await;
        let before = pair.client.udp_stats().packets_sent;
        for _ in 0..5000 {
            pair.here.send(Message::new("x").class(class)).await.unwrap();
        }
        let sent = pair.client.udp_stats().packets_sent - before;
        assert!(sent >= 5, "{policy:?}: {sent} packets");
        assert!(!pair.there.recv_many(5000).await.is_empty());
        // There is room with the peer again. How many calls it takes until it has said so is its affair; it needs turns as well.
        let more_went_out = || pair.client.udp_stats().packets_sent > before + sent;
        for _ in 0..100_000 {
            let mut messages = vec![Message::new("x").class(class); 500].into();
            pair.here.send_all(&mut messages).await.unwrap();
            if more_went_out() {
                break;
            }
        }
        assert!(more_went_out(), "{policy:?}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn where_the_newest_is_dropped() {
    goes_out(Policy::DropNew, Class::ReliableOrdered).await;
}

#[tokio::test(flavor = "current_thread")]
async fn where_the_oldest_is_dropped() {
    goes_out(Policy::DropOld, Class::ReliableUnordered).await;
}

#[tokio::test(flavor = "current_thread")]
async fn where_the_newest_replaces_the_others() {
    goes_out(Policy::Replace, Class::Sequenced).await;
}

#[tokio::test(flavor = "current_thread")]
async fn where_nothing_is_repeated() {
    goes_out(Policy::DropOld, Class::Unreliable).await;
}
