//! Frames of web sockets: what goes in comes out, however it is cut, and what breaks the rules is refused.

use quickcheck::QuickCheck;
use tungstenite::protocol::frame::coding::Control;

use super::frames::{Frames, Got, Role};

const LIMIT: usize = 65_536;

/// What `to` makes of `bytes` that come in pieces of `cut`.
fn read(to: &mut Frames, bytes: &[u8], cut: usize) -> Result<Vec<(char, Vec<u8>)>, &'static str> {
    let mut got = Vec::new();
    for mut piece in bytes.chunks(cut.max(1)) {
        while let Some(next) = to.next(&mut piece, LIMIT)? {
            got.push(match next {
                Got::Record(record) => ('r', record.to_vec()),
                Got::Ping => ('p', to.carried().to_vec()),
                Got::Pong => ('o', Vec::new()),
                Got::Close => ('c', Vec::new()),
            });
        }
    }
    Ok(got)
}

fn write(from: &mut Frames, record: &[u8], out: &mut Vec<u8>) {
    let start = from.begin(out);
    out.extend_from_slice(record);
    from.finish(out, start);
}

#[test]
fn records_come_out_as_they_went_in() {
    fn holds(sizes: Vec<u16>, is_client: bool, cut: u16) -> bool {
        let roles = if is_client { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
        let (mut from, mut to) = (Frames::new(roles.0), Frames::new(roles.1));
        let (mut out, mut sent) = (Vec::new(), Vec::new());
        for (i, size) in sizes.into_iter().chain([0, 1, 125, 126, 127, u16::MAX]).enumerate() {
            let record: Vec<u8> = (0..usize::from(size)).map(|at| (at * 7 + i) as u8).collect();
            write(&mut from, &record, &mut out);
            if i % 3 == 0 {
                from.control(Control::Ping, b"still there?", &mut out);
                sent.push(('r', record));
                sent.push(('p', b"still there?".to_vec()));
            } else {
                sent.push(('r', record));
            }
        }
        from.control(Control::Close, &[], &mut out);
        sent.push(('c', Vec::new()));
        read(&mut to, &out, usize::from(cut) % 5000) == Ok(sent)
    }
    QuickCheck::new().tests(50).quickcheck(holds as fn(Vec<u16>, bool, u16) -> bool);
}

/// A peer that pings and never reads costs the memory of one answer.
#[test]
fn the_last_of_many_pings_is_answered() {
    let (mut from, mut to) = (Frames::new(Role::Client), Frames::new(Role::Server));
    let mut pings = Vec::new();
    for number in 0..10_000_u32 {
        from.control(Control::Ping, &number.to_be_bytes(), &mut pings);
    }
    let (mut input, mut passed_over) = (&pings[..], 0);
    while let Some(got) = to.next(&mut input, LIMIT).unwrap() {
        assert_eq!(got, Got::Ping);
        passed_over += u32::from(to.owe_pong());
    }
    let mut out = Vec::new();
    to.answer(&mut out);
    assert_eq!((passed_over, &out[2..]), (9999, &9999_u32.to_be_bytes()[..]));
    to.answer(&mut out);
    assert_eq!(out.len(), 6, "each is answered once");
}

#[test]
fn pieces_of_a_message_are_one_record() {
    let mut to = Frames::new(Role::Client);
    // "ab" + ping + "" + "c", each a frame.
    let bytes = [0x02, 2, b'a', b'b', 0x89, 1, b'x', 0x00, 0, 0x80, 1, b'c'];
    let expected = vec![('p', b"x".to_vec()), ('r', b"abc".to_vec())];
    for cut in 1..bytes.len() {
        assert_eq!(read(&mut to, &bytes, cut), Ok(expected.clone()));
    }
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let cases: [(&[u8], &str); 10] = [
        (&[0x81, 1, b'a'], "text"),
        (&[0x83, 1, b'a'], "opcode"),
        (&[0x8b, 0], "opcode"),
        (&[0xc2, 1, b'a'], "reserved"),
        (&[0x82, 0x81, 1, 2, 3, 4, b'a'], "masked"),
        (&[0x80, 1, b'a'], "continues"),
        (&[0x02, 1, b'a', 0x82, 1, b'b'], "inside"),
        (&[0x09, 0], "control"),
        (&[0x89, 126, 0, 126], "control"),
        (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 1], "longer"),
    ];
    for (bytes, why) in cases {
        for cut in [1, bytes.len()] {
            let refused = read(&mut Frames::new(Role::Client), bytes, cut).unwrap_err();
            assert!(refused.contains(why), "{bytes:?}: {refused}");
        }
    }
    let unmasked = read(&mut Frames::new(Role::Server), &[0x82, 1, b'a'], 9);
    assert!(unmasked.unwrap_err().contains("masked"));
    // In pieces, too, a message has a limit.
    let half = vec![0; 40_000];
    let mut bytes = vec![0x02, 126];
    bytes.extend_from_slice(&40_000_u16.to_be_bytes());
    bytes.extend_from_slice(&half);
    bytes.extend_from_slice(&[0x80, 126]);
    bytes.extend_from_slice(&40_000_u16.to_be_bytes());
    assert!(read(&mut Frames::new(Role::Client), &bytes, 999).unwrap_err().contains("longer"));
}

#[test]
#[expect(clippy::needless_pass_by_value, reason = "what quickcheck calls")]
fn no_bytes_panic() {
    fn holds(bytes: Vec<u8>, is_client: bool, cut: u8) -> bool {
        let role = if is_client { Role::Client } else { Role::Server };
        let _ = read(&mut Frames::new(role), &bytes, usize::from(cut));
        true
    }
    QuickCheck::new().tests(5000).quickcheck(holds as fn(Vec<u8>, bool, u8) -> bool);
}

#[test]
fn an_idle_socket_holds_no_memory() {
    let (mut from, mut to) = (Frames::new(Role::Client), Frames::new(Role::Server));
    let mut out = Vec::new();
    write(&mut from, &[7; 3000], &mut out);
    assert_eq!(read(&mut to, &out, 100).map(|got| got.len()), Ok(1));
    to.release();
    assert_eq!(to.held(), 0);
}
