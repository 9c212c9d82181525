//! Who is let in.

use proto_core::{Close, CloseReason, ConfigBuilder};

use crate::env::{accept, number, recv, send, spawn};
use crate::{Env, Stack, WAIT};

fn asks() -> ConfigBuilder {
    ConfigBuilder { admission: true, ..ConfigBuilder::default() }
}

/// The application sees what the link says of the peer, and decides.
pub fn what_the_link_vouches_for_is_shown<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(asks());
    let client = env.client(ConfigBuilder::default());
    let connecting = spawn::<S, _>(move || S::connect(&client, &[address], WAIT).map(|here| (here, client)));
    let undecided = S::undecided(&server, WAIT).expect("nobody comes").expect("the server is open");
    let credentials = undecided.credentials();
    assert!(credentials.certificates.is_empty() && credentials.key.is_none());
    let process = credentials.unix.map(|unix| unix.pid);
    let is_known = cfg!(target_os = "linux") && env.scheme == driver::Scheme::Uds;
    assert_eq!(process, is_known.then(|| i32::try_from(std::process::id()).ok()));
    assert!(undecided.admit());
    let (here, _client) = connecting().expect("it hangs");
    let there = accept::<S>(&server);
    send::<S>(&here.expect("it is let in"), number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
}

/// Whoever is not let in learns why.
pub fn whoever_is_refused_learns_why<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(asks());
    let client = env.client(ConfigBuilder::default());
    let connecting = spawn::<S, _>(move || S::connect(&client, &[address], WAIT));
    let undecided = S::undecided(&server, WAIT).expect("nobody comes").expect("the server is open");
    assert!(undecided.refuse(Close { code: 0x123, reason: "not today".into(), ..Close::default() }));
    let refused = connecting().expect("it hangs");
    let Some(driver::ConnectError::Failed(closed)) = refused.err() else { panic!("it is refused") };
    assert_eq!(closed.reason, CloseReason::Peer { code: 0x123, reason: "not today".into() });
}
