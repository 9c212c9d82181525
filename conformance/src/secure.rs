//! TLS: who is refused, and who is not.

use std::sync::Arc;

use driver::link::tls;
use driver::{ConnectError, LinkOptions, Options, Scheme};
use proto_core::crypto::{Crypto, Trust};
use proto_core::{CloseReason, ConfigBuilder, DialError, Distrust};

use crate::env::{CERTIFICATES, accept, number, recv, send};
use crate::{Env, Stack, WAIT};

fn client<S: Stack>(ca: &str, own: Option<&(String, String)>) -> S::Endpoint {
    let own = own.map(|(chain, key)| (chain.as_bytes(), key.as_bytes()));
    let tls_client = Some(tls::client(ca.as_bytes(), own).expect("sound certificates"));
    let links = LinkOptions { tls_client, ..LinkOptions::default() };
    S::client(Options { links, ..Options::default() })
}

fn server<S: Stack>(env: &Env<S>, asks: bool) -> (S::Endpoint, driver::Address) {
    server_as(env, asks, ConfigBuilder::default())
}

fn server_as<S: Stack>(env: &Env<S>, asks: bool, config: ConfigBuilder) -> (S::Endpoint, driver::Address) {
    let (chain, key) = &CERTIFICATES.server;
    let ca = asks.then_some(CERTIFICATES.ca.as_bytes());
    let tls_server = Some(tls::server(chain.as_bytes(), key.as_bytes(), ca).expect("sound certificates"));
    let links = LinkOptions { tls_server, ..LinkOptions::default() };
    let options = Options { links, config, ..Options::default() };
    let server = S::listen(&[env.address()], options).expect("an address is free");
    let address = S::addresses(&server).remove(0);
    (server, address)
}

fn refused<S: Stack>(client: &S::Endpoint, address: &driver::Address) -> CloseReason {
    let failed = S::connect(client, std::slice::from_ref(address), WAIT).expect("it is told");
    match failed.err() {
        Some(ConnectError::Failed(closed)) => closed.reason,
        other => panic!("{other:?}"),
    }
}

/// A server that nobody vouches for.
pub fn an_unknown_authority_is_refused<S: Stack>(env: &Env<S>) {
    let (_server, address) = server(env, false);
    let client = client::<S>(&CERTIFICATES.other_ca, None);
    assert_eq!(
        refused::<S>(&client, &address),
        CloseReason::Dial(DialError::Untrusted(Distrust::UnknownIssuer))
    );
}

/// A server of another name.
pub fn a_wrong_name_is_refused<S: Stack>(env: &Env<S>) {
    let (_server, address) = server(env, false);
    let client = client::<S>(&CERTIFICATES.ca, None);
    let port = address.port().expect("it has one");
    let other = address.at(([127, 0, 0, 2], port).into());
    // The server listens on 127.0.0.1 only, so a relay stands where the wrong name leads.
    let Ok(relay) = std::net::TcpListener::bind("127.0.0.2:0") else { return };
    let other = other.at(relay.local_addr().expect("it is bound"));
    let to = address.socket_addr().expect("an address");
    std::thread::spawn(move || {
        let (near, _) = relay.accept().expect("the client comes");
        let far = std::net::TcpStream::connect(to).expect("the server listens");
        let (mut near_in, mut far_out) =
            (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
        std::thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
        let _ = std::io::copy(&mut &far, &mut &near);
    });
    assert_eq!(refused::<S>(&client, &other), CloseReason::Dial(DialError::Untrusted(Distrust::WrongName)));
}

/// A server that shows the certificate of the authority itself.
pub fn an_authority_is_no_server<S: Stack>(env: &Env<S>) {
    let (chain, key) = &CERTIFICATES.authority;
    let tls_server = Some(tls::server(chain.as_bytes(), key.as_bytes(), None).expect("sound certificates"));
    let links = LinkOptions { tls_server, ..LinkOptions::default() };
    let server =
        S::listen(&[env.address()], Options { links, ..Options::default() }).expect("an address is free");
    let client = client::<S>(chain, None);
    let reason = refused::<S>(&client, &S::addresses(&server)[0]);
    assert_eq!(reason, CloseReason::Dial(DialError::Untrusted(Distrust::Authority)));
}

/// An endpoint that encrypts datagrams goes by streams in the clear where it was told that it may, and nowhere else.
pub fn streams_in_the_clear_are_for_those_who_may<S: Stack>(env: &Env<S>) {
    let (_server, address) = env.server(ConfigBuilder::default());
    let party = || Arc::new(seal::Party::generate().expect("randomness"));
    for plain_streams in [false, true] {
        let crypto = Some(Crypto::new(party(), Trust::FirstUse));
        let mut options = env.options(ConfigBuilder { crypto, ..ConfigBuilder::default() });
        options.plain_streams = plain_streams;
        let client = S::client(options);
        let connected = S::connect(&client, std::slice::from_ref(&address), WAIT).expect("it is told");
        match connected.map(drop) {
            Err(ConnectError::NotEncrypted(which)) => assert!(which == address && !plain_streams),
            Err(other) => panic!("{other}"),
            Ok(()) => assert!(plain_streams || !matches!(address.scheme(), Scheme::Tcp | Scheme::Ws)),
        }
    }
}

/// A server that asks for certificates refuses whoever has none.
pub fn a_client_without_a_certificate_is_refused<S: Stack>(env: &Env<S>) {
    let (_server, address) = server(env, true);
    let client = client::<S>(&CERTIFICATES.ca, None);
    // In TLS 1.3 the client is done before the server has looked: it hears of it instead of the first answer.
    assert_eq!(refused::<S>(&client, &address), CloseReason::Dial(DialError::Unauthenticated));
}

/// And takes whoever has a good one.
pub fn a_client_with_a_certificate_is_taken<S: Stack>(env: &Env<S>) {
    let (server, address) = server(env, true);
    let client = client::<S>(&CERTIFICATES.ca, Some(&CERTIFICATES.client));
    let here = S::connect(&client, &[address], WAIT).expect("it hangs").expect("it is taken");
    let there = accept::<S>(&server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
}

/// Whoever decides about the client sees its certificate.
pub fn a_certificate_is_shown_before_its_owner_is_let_in<S: Stack>(env: &Env<S>) {
    let (server, address) =
        server_as(env, true, ConfigBuilder { admission: true, ..ConfigBuilder::default() });
    let client = client::<S>(&CERTIFICATES.ca, Some(&CERTIFICATES.client));
    let connecting = std::thread::spawn(move || S::connect(&client, &[address], WAIT));
    let undecided = S::undecided(&server, WAIT).expect("nobody comes").expect("the server is open");
    let [shown] = &undecided.credentials().certificates[..] else { panic!("one certificate") };
    assert!(shown.windows(6).any(|name| name == b"client"), "it is the client's own");
    assert!(undecided.admit());
    connecting.join().expect("it connects").expect("it hangs").expect("it is let in");
}

/// Whoever does not encrypt is not understood.
pub fn plain_bytes_are_refused<S: Stack>(env: &Env<S>) {
    let (_server, address) = server(env, false);
    let plain = match env.scheme {
        Scheme::Wss => format!("ws://{}/bowline", address.socket_addr().expect("an address")),
        _ => format!("tcp://{}", address.socket_addr().expect("an address")),
    };
    let client = S::client(Options::from(ConfigBuilder::default()));
    refused::<S>(&client, &plain.parse().expect("a sound address"));
}

/// Without a certificate there is nothing to listen with.
pub fn listening_needs_a_certificate<S: Stack>(env: &Env<S>) {
    let error = S::listen(&[env.address()], Options::from(ConfigBuilder::default())).err();
    assert!(error.expect("it is refused").to_string().contains("certificate"));
}
