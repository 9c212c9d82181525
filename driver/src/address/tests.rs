//! What is read, what is refused, and that what is shown reads back.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::{Address, AddressError, Host, Scheme};

fn read(text: &str) -> Address {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> AddressError {
    text.parse::<Address>().expect_err(text)
}

#[test]
fn what_is_read_and_how_it_is_shown() {
    let cases = [
        ("udp://127.0.0.1:4100", "udp://127.0.0.1:4100"),
        ("udp://example.org", "udp://example.org:4100"),
        ("UDP://Example.ORG.:1/", "udp://example.org.:1"),
        ("tcp://[::1]", "tcp://[::1]:4100"),
        ("tls://my_host-2", "tls://my_host-2:4101"),
        ("tcp://0.0.0.0:0", "tcp://0.0.0.0:0"),
        ("tcp://[0:0::1]:00080", "tcp://[::1]:80"),
        ("tcp://[fe80::1%eth0]:7", "tcp://[fe80::1%eth0]:7"),
        ("ws://example.org", "ws://example.org:80"),
        ("wss://example.org/", "wss://example.org:443"),
        ("wss://example.org:1/a/b%20c?d=e&f", "wss://example.org:1/a/b%20c?d=e&f"),
        ("ws://example.org?d", "ws://example.org:80/?d"),
        ("uds:///run/bowline.sock", "uds:///run/bowline.sock"),
        ("uds://relative path/é%20?#", "uds://relative path/é%20?#"),
        ("UDS://./@a", "uds://./@a"),
    ];
    for (text, shown) in cases {
        let address = read(text);
        assert_eq!(address.to_string(), shown);
        assert_eq!(read(shown), address);
    }
}

#[test]
fn the_parts_of_an_address() {
    let address = read("wss://[::1]:7/chat?room=a");
    assert_eq!((address.scheme(), address.port()), (Scheme::Wss, Some(7)));
    assert_eq!(address.host(), Some(&Host::V6(Ipv6Addr::LOCALHOST)));
    assert_eq!(address.path(), Some("/chat?room=a"));
    assert_eq!(address.socket_addr(), Some(SocketAddr::from((Ipv6Addr::LOCALHOST, 7))));
    assert_eq!(address.at("1.2.3.4:5".parse().unwrap()).to_string(), "wss://1.2.3.4:5/chat?room=a");
    let named = read("udp://example.org");
    assert_eq!((named.socket_addr(), named.path(), named.unix()), (None, None, None));
    assert_eq!(named.host().map(Host::to_lookup), Some("example.org".to_owned()));
    assert_eq!(read("ws://a").path(), Some("/"));
    assert_eq!(read("tcp://[fe80::1%2]").host().map(Host::to_lookup), Some("fe80::1%2".to_owned()));
    let unix = read("uds:///a/b");
    assert_eq!((unix.host(), unix.port(), unix.socket_addr()), (None, None, None));
    assert_eq!(unix.unix().and_then(|name| name.path()).and_then(|path| path.to_str()), Some("/a/b"));
    assert_eq!(unix.at("1.2.3.4:5".parse().unwrap()), unix);
}

#[test]
#[cfg(target_os = "linux")]
fn a_unix_socket_without_a_file() {
    let name = read("uds://@bowline/1");
    assert_eq!(name.to_string(), "uds://@bowline/1");
    let unix = name.unix().unwrap();
    assert_eq!((unix.path(), unix.abstract_name()), (None, Some("bowline/1")));
}

#[test]
fn a_wrong_address_names_the_part_that_is_wrong() {
    let cases: &[(&str, &str)] = &[
        ("localhost:4100", "the scheme is missing"),
        ("", "the scheme is missing"),
        ("http://localhost", "the scheme \"http\""),
        ("://localhost", "the scheme \"\""),
        ("udp ://localhost", "the scheme \"udp \""),
        ("udp://", "the host \"\""),
        ("udp://:4100", "the host \"\""),
        ("tcp://a b", "the host \"a b\""),
        ("tcp://a..b", "the host \"a..b\""),
        ("tcp://-a", "the host \"-a\""),
        ("tls://1.2.3", "the host \"1.2.3\""),
        ("tls://1.2.3.400", "the host \"1.2.3.400\""),
        ("ws://::1", "the host \"::1\""),
        ("ws://[::1", "the host \"[::1\""),
        ("ws://[::g]", "the host \"::g\""),
        ("ws://[::1]4100", "the host \"[::1]4100\""),
        ("ws://[fe80::1%]", "the host \"fe80::1%\""),
        ("ws://[1.2.3.4]", "the host \"1.2.3.4\""),
        ("wss://é", "the host \"é\""),
        ("udp://localhost:", "the port \"\""),
        ("udp://localhost:+1", "the port \"+1\""),
        ("udp://localhost:65536", "the port \"65536\""),
        ("udp://localhost:http", "the port \"http\""),
        ("udp://[::1]:-1", "the port \"-1\""),
        ("tcp://me@localhost", "the part before '@'"),
        ("ws://me:x@localhost", "the part before '@'"),
        ("udp://localhost/lobby", "the path \"/lobby\""),
        ("tls://localhost?x", "the path \"?x\""),
        ("ws://localhost/a b", "the path \"/a b\""),
        ("ws://localhost/a#b", "the path \"/a#b\""),
        ("wss://localhost/é", "the path \"/é\""),
        ("uds://", "the path \"\""),
        ("uds:///a\0b", "the path \"/a\\0b\""),
        ("uds://@", "the path \"@\""),
    ];
    for (text, part) in cases {
        let said = refused(text).to_string();
        assert!(said.starts_with(part), "{text}: {said}");
    }
    let long = format!("uds:///{}", "x".repeat(107));
    assert!(refused(&long).to_string().contains("too long"));
    assert!(refused(&format!("udp://{}.org", "x".repeat(64))).to_string().starts_with("the host"));
}

#[test]
fn a_scheme_may_be_given_beforehand() {
    let read = |text: &str| Address::with_scheme(Scheme::Tcp, text).map(|address| address.to_string());
    assert_eq!(read("1.2.3.4:5"), Ok("tcp://1.2.3.4:5".to_owned()));
    assert_eq!(read("TCP://1.2.3.4:5"), Ok("tcp://1.2.3.4:5".to_owned()));
    assert!(read("udp://1.2.3.4:5").unwrap_err().to_string().starts_with("the scheme \"udp\" is wrong"));
    let unix = Address::with_scheme(Scheme::Uds, "a.sock").map(|address| address.to_string());
    assert_eq!(unix, Ok("uds://a.sock".to_owned()));
}

#[test]
fn port_zero_is_for_listening() {
    assert_eq!(read("tcp://localhost:0").for_dialing(), Err(AddressError::PortZero));
    for text in ["tcp://localhost:1", "uds://a"] {
        assert_eq!(read(text).for_dialing(), Ok(read(text)));
    }
}

/// An address as it may be written.
#[derive(Clone, Debug)]
struct Written(String);

impl Arbitrary for Written {
    fn arbitrary(g: &mut Gen) -> Self {
        let word = |g: &mut Gen, alphabet: &[u8]| -> String {
            let len = 1 + usize::arbitrary(g) % 12;
            (0..len).map(|_| char::from(*g.choose(alphabet).unwrap())).collect()
        };
        let scheme = *g.choose(&Scheme::ALL).unwrap();
        if scheme == Scheme::Uds {
            let path: String = String::arbitrary(g).replace(['\0', '@'], "").chars().take(20).collect();
            return Self(format!("uds:///{path}"));
        }
        let host = match u8::arbitrary(g) % 4 {
            0 => Ipv4Addr::from(u32::arbitrary(g)).to_string(),
            1 => format!("[{}]", Ipv6Addr::from(u128::arbitrary(g))),
            2 => format!("[fe80::{:x}%{}]", u16::arbitrary(g), word(g, b"abc019_.-")),
            _ => format!("{}a.{}z", word(g, b"abcXYZ012-_").trim_start_matches('-'), word(g, b"xyz")),
        };
        let port = if bool::arbitrary(g) { format!(":{}", u16::arbitrary(g)) } else { String::new() };
        let path = match scheme {
            Scheme::Ws | Scheme::Wss if bool::arbitrary(g) => format!("/{}", word(g, b"abc/%20?=&;,:@!~")),
            _ => String::new(),
        };
        Self(format!("{scheme}://{host}{port}{path}"))
    }
}

#[test]
#[expect(clippy::needless_pass_by_value, reason = "what quickcheck calls")]
fn what_is_shown_reads_back_as_the_same() {
    fn holds(written: Written) -> bool {
        let address = read(&written.0);
        read(&address.to_string()) == address && read(&address.to_string()).to_string() == address.to_string()
    }
    QuickCheck::new().tests(2000).quickcheck(holds as fn(Written) -> bool);
}

#[test]
#[expect(clippy::needless_pass_by_value, reason = "what quickcheck calls")]
fn no_text_panics_and_what_is_taken_reads_back() {
    fn holds(text: String, scheme: usize) -> bool {
        let text = format!("{}://{text}", Scheme::ALL[scheme % Scheme::ALL.len()]);
        text.parse::<Address>().map_or(true, |address| read(&address.to_string()) == address)
    }
    QuickCheck::new().tests(5000).quickcheck(holds as fn(String, usize) -> bool);
}

#[test]
fn every_socket_address_has_an_address() {
    fn holds(place: SocketAddr) -> bool {
        let address = read("tcp://x:1").at(place);
        read(&address.to_string()) == address && address.socket_addr().is_none_or(|at| at.ip() == place.ip())
    }
    QuickCheck::new().tests(2000).quickcheck(holds as fn(SocketAddr) -> bool);
}

#[test]
fn an_address_of_a_zone_is_known_where_the_zone_is_a_number() {
    let address: Address = "udp://[fe80::1%2]:4100".parse().unwrap();
    let at = address.socket_addr().expect("nothing has to be looked up");
    assert_eq!(at.to_string(), "[fe80::1%2]:4100");
    let named: Address = "udp://[fe80::1%eth0]:4100".parse().unwrap();
    assert_eq!(named.socket_addr(), None);
    assert_eq!(named.at(at).socket_addr(), Some(at), "what was looked up can be reached");
}
