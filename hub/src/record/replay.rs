//! The glue by which `simtest replay FILE.rec` runs a recorded server again.

use std::collections::BTreeMap;

use driver::Path;
use proto_core::{Credentials, Link, LinkId, Meta, Now, Server, Timestamp};
use simtest::Recording;

use super::{PROTOCOL, Start, decode, encode, kind};
use crate::serve;

/// Gives all inputs to a new server. With `compare`, the first output that is not the recorded one is an error.
pub(super) fn replay(recording: &Recording, compare: bool) -> Result<(), String> {
    let mut server: Option<Server<Path>> = None;
    let mut paths: Vec<Path> = Vec::new();
    // The streams by the numbers that they had when they were recorded. In a shrunk recording they have others.
    let mut links: BTreeMap<u64, LinkId> = BTreeMap::new();
    let mut buf = Vec::new();
    for (number, input) in recording.inputs.iter().enumerate() {
        let now = Now { mono: Timestamp::from_nanos(input.at), unix_ms: input.unix_ms };
        let bytes = &input.bytes[..];
        let broken = |error| format!("input {number}: {error}");
        if input.kind == kind::START {
            let (start, rooms) = Start::decode(bytes).map_err(broken)?;
            server = Some(serve::born(&start, rooms, now).map_err(|error| error.to_string())?);
            continue;
        }
        let server = server.as_mut().ok_or("it does not begin with a birth")?;
        let number_of = |bytes: &[u8]| {
            let (head, rest) = bytes.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*head), rest.to_vec()))
        };
        let u64_of = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
        match input.kind {
            kind::PATH => {
                let (at, rest) = number_of(bytes).ok_or("a path is cut off")?;
                paths.truncate(at as usize);
                paths.push(decode::path(&rest).map_err(broken)?);
            }
            kind::PACKET => {
                let (head, packet) = number_of(bytes).ok_or("a packet is cut off")?;
                // A shrunk recording may lack it.
                let Some(path) = paths.get(head as usize >> 2).copied() else { continue };
                server.handle_packet(now, Meta { path, ecn: decode::ecn(head) }, &packet);
            }
            kind::TIMEOUT => {
                let mono = Timestamp::from_nanos(input.at.saturating_sub(u64_of(bytes)));
                server.handle_timeout(Now { mono, ..now });
            }
            kind::TRANSMIT => {
                buf.clear();
                let sent = server.poll_transmit(now, &mut buf);
                let sum = sent.map_or_else(Vec::new, |sent| encode::checksum(&sent, &buf).to_vec());
                if compare && sum != bytes {
                    return Err(format!(
                        "input {number}: another packet is sent than was recorded ({sent:?})"
                    ));
                }
            }
            kind::SETTLE => while server.poll_event().is_some() {},
            kind::PERSIST => drop(server.poll_persist(now)),
            kind::READ => drop(server.poll_read()),
            kind::REPORT => serve::reported(server, now, decode::report(bytes).map_err(broken)?),
            kind::ANSWER => serve::answered(server, now, &decode::answer(bytes).map_err(broken)?),
            kind::DRAIN => serve::leave(server, now),
            kind::NOT_TAKEN => serve::not_taken(server, now, u64_of(bytes)),
            kind::NOT_READ => serve::not_read(server, now, u64_of(bytes)),
            kind::LINK_UP => {
                let (path, rest) = number_of(bytes).ok_or("a stream is cut off")?;
                let (max, id) = rest.split_first_chunk::<2>().ok_or("a stream is cut off")?;
                let Some(path) = paths.get(path as usize).copied() else { continue };
                let link =
                    server.link_up(now, path, Link::stream(u16::from_le_bytes(*max)), Credentials::default());
                if compare && link.number() != u64_of(id) {
                    return Err(format!("input {number}: the stream has another number ({link:?})"));
                }
                links.insert(u64_of(id), link);
            }
            kind::POLL_LINK => {
                let link = server.poll_link().map(LinkId::number);
                let recorded = (!bytes.is_empty()).then(|| u64_of(bytes));
                if compare && link != recorded {
                    return Err(format!("input {number}: another stream wants to write ({link:?})"));
                }
            }
            kind::LINK_DOWN | kind::LINK_BROKEN | kind::RECORD | kind::POLL_RECORD => {
                let (id, rest) = bytes.split_at_checked(8).ok_or("a stream is cut off")?;
                let Some(id) = links.get(&u64_of(id)).copied() else { continue };
                match input.kind {
                    kind::LINK_DOWN => server.link_down(now, id),
                    kind::LINK_BROKEN => {
                        let why = String::from_utf8_lossy(rest).into_owned();
                        server.link_broken(now, id, Box::leak(why.into_boxed_str()));
                    }
                    kind::RECORD => server.handle_record(now, id, rest),
                    _ => {
                        buf.clear();
                        let output = server.poll_record(now, id, &mut buf);
                        if compare && encode::output(output, &buf) != rest {
                            return Err(format!(
                                "input {number}: another record is written than was recorded ({output:?})"
                            ));
                        }
                    }
                }
            }
            other => return Err(format!("input {number}: kind {other} is unknown")),
        }
    }
    Ok(())
}

#[test]
fn simtest_recording() {
    simtest::replay_recording(PROTOCOL, replay);
}
