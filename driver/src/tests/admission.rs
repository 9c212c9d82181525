//! Peers that show credentials, and who decides about them.

use std::time::Duration;

use proto_core::{Advice, Close, CloseReason, ConfigBuilder, Message, code};

use super::harness::{Net, Task};
use crate::{ConnectError, Connecting, Undecided};

fn guarded() -> Net {
    Net::new(ConfigBuilder { admission: true, ..ConfigBuilder::default() })
}

fn knock(net: &Net, credentials: &[u8]) -> Connecting {
    net.client().endpoint().dial_path(net.server().path, credentials).expect("there is room")
}

fn next(net: &Net) -> Undecided {
    net.run(net.server().endpoint().undecided()).expect("somebody knocks")
}

fn why(net: &Net, dial: Connecting) -> (u64, Advice) {
    match net.run(dial) {
        Err(ConnectError::Failed(closed)) => match closed.reason {
            CloseReason::Peer { code, .. } => (code, closed.advice),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_is_admitted_is_accepted() {
    let net = guarded();
    let dial = knock(&net, b"friend");
    let undecided = next(&net);
    let id = undecided.id();
    assert_eq!(undecided.credentials().token, b"friend".as_slice());
    assert_eq!(undecided.peer(), net.client().path.peer);
    let mut accept = Task::waiting(net.server().endpoint().accept());
    net.quiesce();
    assert!(accept.poll().is_none(), "nobody has said yes");
    assert!(undecided.admit());
    let client = net.run(dial).expect("let in");
    let server = net.finish(&mut accept).expect("accepted");
    assert_eq!(server.id(), id);
    client.send_now(Message::new("thanks")).expect("room");
    assert_eq!(net.run(server.recv()).expect("it arrives").payload, "thanks");
}

#[test]
fn who_is_refused_or_forgotten_learns_it() {
    let net = guarded();
    let dial = knock(&net, b"foe");
    assert!(next(&net).refuse(Close { code: 0x100, ..Close::default() }));
    assert_eq!(why(&net, dial), (0x100, Advice::Never));
    let dial = knock(&net, b"whoever");
    drop(next(&net));
    assert_eq!(why(&net, dial), (code::BUSY, Advice::After), "nobody looked closer");
    let dial = knock(&net, b"patient");
    let undecided = next(&net);
    net.pass(Duration::from_secs(6));
    assert!(!undecided.admit(), "it had to wait for too long");
    assert_eq!(why(&net, dial), (code::NOT_ADMITTED, Advice::After));
}

#[test]
fn an_endpoint_that_closes_decides_at_once() {
    let net = guarded();
    let dial = knock(&net, b"late");
    net.pass(Duration::from_millis(100));
    net.server().endpoint().close(&Close::default());
    assert!(net.run(net.server().endpoint().undecided()).is_none());
    assert!(matches!(net.run(dial), Err(ConnectError::Failed(_))));
}

#[test]
fn dropping_the_wait_loses_nobody() {
    let net = guarded();
    let endpoint = net.server().endpoint();
    drop(Task::waiting(endpoint.undecided()));
    let dial = knock(&net, b"first");
    net.quiesce();
    drop(endpoint.undecided());
    assert!(next(&net).admit());
    net.run(dial).expect("let in");
    assert_eq!(net.server().waiting(), 0);
}
