//! Channels beside the default one.

use proto_core::{ChannelOptions, ConfigBuilder, Message};

use crate::env::{number, pattern, recv, send};
use crate::{Env, Pair, Stack, WAIT};

fn options(name: &str) -> ChannelOptions {
    ChannelOptions { name: name.into(), ..ChannelOptions::default() }
}

fn channel_send<S: Stack>(channel: &S::Channel, message: Message) {
    S::channel_send(channel, message, WAIT).expect("the sender hangs").expect("the channel is there");
}

fn channel_recv<S: Stack>(channel: &S::Channel) -> Vec<u8> {
    let received = S::channel_recv(channel, WAIT).expect("the message hangs");
    received.expect("the channel is there").payload.to_vec()
}

fn open<S: Stack>(opens: &S::Connection, accepts: &S::Connection) {
    let channel = S::open_channel(opens, &options("side")).expect("there is room");
    channel_send::<S>(&channel, number(1));
    let other = S::accept_channel(accepts, WAIT).expect("the channel hangs").expect("it was opened");
    assert_eq!(channel_recv::<S>(&other), b"1");
    channel_send::<S>(&other, number(2));
    assert_eq!(channel_recv::<S>(&channel), b"2");
}

/// The client opens a channel, and both use it.
pub fn a_channel_is_opened_by_the_client<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    open::<S>(here, there);
}

/// So does the server.
pub fn a_channel_is_opened_by_the_server<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    open::<S>(there, here);
}

/// What it was called is known to both.
pub fn names_arrive<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let channel = S::open_channel(here, &options("the name")).expect("there is room");
    let other = S::accept_channel(there, WAIT).expect("the channel hangs").expect("it was opened");
    assert_eq!(S::channel_name(&channel).as_deref(), Some("the name"));
    assert_eq!(S::channel_name(&other).as_deref(), Some("the name"));
}

/// One that nobody reads does not stop another.
pub fn channels_do_not_wait_for_each_other<S: Stack>(env: &Env<S>) {
    let config = ConfigBuilder { receive_messages: 4, ..ConfigBuilder::default() };
    let Pair { here, there, .. } = &env.pair(config);
    let channel = S::open_channel(here, &options("other")).expect("there is room");
    for i in 0..32 {
        send::<S>(here, number(i));
    }
    channel_send::<S>(&channel, Message::new(pattern(1000, 1)));
    let other = S::accept_channel(there, WAIT).expect("the channel hangs").expect("it was opened");
    assert_eq!(channel_recv::<S>(&other), pattern(1000, 1));
    for i in 0..32 {
        assert_eq!(recv::<S>(there).payload, i.to_string());
    }
}

/// Ten channels, each with its own messages.
pub fn many_channels<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let channels: Vec<_> =
        (0..10).map(|i| S::open_channel(here, &options(&i.to_string())).expect("there is room")).collect();
    for (i, channel) in channels.iter().enumerate() {
        channel_send::<S>(channel, number(i));
    }
    for _ in 0..10 {
        let other = S::accept_channel(there, WAIT).expect("the channel hangs").expect("it was opened");
        let name = S::channel_name(&other).expect("the connection is there");
        assert_eq!(channel_recv::<S>(&other), name.as_bytes());
    }
}
