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
        let mut messages = vec![Message::new("x").class(class); 5000].into();
        for _ in 0..5 {
            pair.here.send_all(&mut messages).await.unwrap();
            messages.extend(vec![Message::new("x").class(class); 500]);
        }
        assert!(pair.client.udp_stats().packets_sent > before + sent, "{policy:?}");
        assert!(pair.there.recv().await.is_some());
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
