//! A recorded endpoint, told again what it was told.

use std::time::Duration;

use bytes::Bytes;
use proto_core::wire::{DecodeError, Reader};
use proto_core::{
    ChannelId, ChannelOptions, Close, ConfigBuilder, Connection, ConnectionId, Credentials, DialError,
    DialId, Drain, Ecn, Endpoint, Link, LinkId, Message, MessageId, Meta, Rate, ReceiptId, RequestId,
    SendLimits, Timestamp, Transmit,
};

use super::code::{Get, Hollow, get, zeros};
use super::endpoint::{asked, said};
use super::tape::{checksum, difference, kind, settings};
use crate::node::ReplyKind;
use crate::{LINK, Path, config};

/// Tells an endpoint what a recorded one was told, input by input.
///
/// `simtest` reads the file; this is all that its test has to say for an endpoint of an adapter with the settings `config()`:
///
/// ```ignore
/// mod sessions {
///     #[test]
///     fn simtest_recording() {
///         simtest::replay_recording(driver::RECORDED, |recording, compare| {
///             let mut replay = driver::Replay::new(super::config(), compare);
///             recording.inputs.iter().try_for_each(|input| replay.input(input.at, input.kind, &input.bytes))
///         });
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Replay {
    config: ConfigBuilder,
    compare: bool,
    number: u64,
    endpoint: Option<Endpoint<Path>>,
    paths: Vec<Path>,
    buf: Vec<u8>,
    packets: Vec<Transmit<Path>>,
}

impl Replay {
    /// For an endpoint that was made with `config`. With `compare` it also looks whether the endpoint puts out what it did.
    pub const fn new(config: ConfigBuilder, compare: bool) -> Self {
        Self {
            config,
            compare,
            number: 0,
            endpoint: None,
            paths: Vec::new(),
            buf: Vec::new(),
            packets: Vec::new(),
        }
    }

    /// Gives the next input: when it came, in nanoseconds of the endpoint's clock, its sort, and what came with it.
    ///
    /// # Errors
    /// If it cannot be read, if it is the birth of an endpoint with other settings, or if something else is put out.
    pub fn input(&mut self, at: u64, kind: u8, bytes: &[u8]) -> Result<(), String> {
        let number = self.number;
        self.number += 1;
        self.take(at, kind, bytes).map_err(|error| match error {
            Wrong::Bytes(error) => format!("input {number} (kind {kind}): {error}"),
            Wrong::Said(what) => format!("input {number}: {what}"),
        })
    }

    fn take(&mut self, at: u64, kind: u8, bytes: &[u8]) -> Result<(), Wrong> {
        let (now, kind, bytes) = in_time(at, kind, bytes)?;
        let mut rest = Reader::new(bytes);
        match kind {
            kind::BIRTH => return self.bear(now, bytes),
            kind::PATH => {
                let (number, path) = get::<(u32, Path)>(bytes)?;
                self.paths.truncate(number as usize);
                self.paths.push(path);
                return Ok(());
            }
            _ => {}
        }
        let Self { endpoint, paths, buf, packets, compare, .. } = self;
        let endpoint = endpoint.as_mut().ok_or(Wrong::Said("it does not begin with a birth".into()))?;
        let same = |is_same: bool, what: &str| {
            if is_same || !*compare { Ok(()) } else { Err(Wrong::Said(what.into())) }
        };
        // What a shrunk recording lacks is passed over.
        let path_of = |number: u32| paths.get(number as usize).copied();
        match kind {
            kind::PACKETS => {
                let (path, ecn, stride) = <(u32, Option<Ecn>, usize)>::get(&mut rest)?;
                let Some(path) = path_of(path) else { return Ok(()) };
                match stride {
                    0 => endpoint.handle_packet(now, Meta { path, ecn }, rest.rest()),
                    stride => endpoint.handle_packets(now, Meta { path, ecn }, rest.rest(), stride),
                }
            }
            kind::TIMEOUT => endpoint.handle_timeout(now),
            kind::TRANSMIT => {
                let (max, sent, sum) = get::<(usize, usize, u32)>(bytes)?;
                buf.clear();
                packets.clear();
                let is_same = endpoint.poll_packets(now, max, buf, packets) == sent;
                same(is_same && checksum(packets, buf) == sum, "other packets are sent than were recorded")?;
            }
            kind::EVENTS => {
                // Asking on, when there is none, changes nothing.
                (0..get::<u64>(bytes)?).find(|_| endpoint.poll_event().is_none());
            }
            kind::LINK_UP => {
                let (path, link, vouched) = get::<(u32, Link, Credentials)>(bytes)?;
                let Some(path) = path_of(path) else { return Ok(()) };
                endpoint.link_up_from(now, path, link, vouched);
            }
            kind::LINK_DOWN => endpoint.link_down(now, get(bytes)?),
            kind::LINK_BROKEN => {
                let (id, why) = get::<(LinkId, String)>(bytes)?;
                // A replay is a short process.
                endpoint.link_broken(now, id, Box::leak(why.into_boxed_str()));
            }
            kind::LINK_REFUSED => endpoint.link_refused(now, get(bytes)?),
            kind::RELEASE_LINK => {
                let (id, recorded) = get(bytes)?;
                same(endpoint.release_link(id) == recorded, "another stream is handed over")?;
            }
            kind::RECORD => {
                let id = LinkId::get(&mut rest)?;
                endpoint.handle_record(now, id, rest.rest());
            }
            kind::POLL_LINK => {
                let link = endpoint.poll_link();
                same(link == get(bytes)?, "another stream wants to write")?;
            }
            kind::POLL_RECORD => {
                let (id, recorded) = get::<(LinkId, (usize, u32))>(bytes)?;
                buf.clear();
                let output = endpoint.poll_record(now, id, buf);
                same(said(output, buf) == recorded, "another record is written than was recorded")?;
            }
            kind::POLL_DIAL => {
                let dial = asked(endpoint.poll_dial());
                same(dial == get(bytes)?, "another stream is to be opened")?;
            }
            kind::DIALED => {
                let (id, link) = get::<(DialId, Link)>(bytes)?;
                endpoint.dialed(now, id, link);
            }
            kind::DIAL_FAILED => {
                let (id, error) = get::<(DialId, DialError)>(bytes)?;
                endpoint.dial_failed(now, id, error);
            }
            kind::CONNECT => {
                let (paths, credentials, recorded) = get::<(Vec<u32>, Bytes, Option<ConnectionId>)>(bytes)?;
                let paths: Vec<Path> = paths.into_iter().filter_map(path_of).collect();
                let id = endpoint.connect_any_with(now, &paths, &credentials).ok();
                same(id == recorded, "a connection has another id")?;
            }
            kind::CLOSE_ALL => endpoint.close_all(now, &get::<Close>(bytes)?),
            kind::DRAIN => endpoint.drain(now, get::<Drain>(bytes)?),
            kind::TURN_AWAY => _ = endpoint.turn_away(),
            kind::ADMIT => _ = endpoint.admit(now, get(bytes)?),
            kind::REFUSE => {
                let (id, close) = get::<(ConnectionId, Close)>(bytes)?;
                endpoint.refuse(now, id, close);
            }
            _ => {
                let id = ConnectionId::get(&mut rest)?;
                let Some(mut conn) = endpoint.connection(id) else { return Ok(()) };
                tell(&mut conn, now, kind, rest.rest())?;
            }
        }
        Ok(())
    }

    fn bear(&mut self, now: Timestamp, bytes: &[u8]) -> Result<(), Wrong> {
        type Born = ([u8; 32], Option<[u8; 32]>, u32, u8, bool, Duration, String);
        let (seed, server_key, generation, shard, accept, wall_epoch, recorded) = get::<Born>(bytes)?;
        let mut builder = ConfigBuilder { shard, accept, wall_epoch, ..self.config.clone() };
        if let Some(key) = server_key {
            builder.server_key = Some(key.into());
        }
        if let Some((one, other)) = difference(&recorded, &settings(&builder)) {
            let what = format!("it was recorded with other settings: {one}, here {other}");
            return Err(Wrong::Said(what));
        }
        let settings = config(builder).build().map_err(|error| Wrong::Said(error.to_string()))?;
        self.endpoint = Some(Endpoint::new(settings, LINK, seed, now).reborn(seed, now, generation));
        self.paths.clear();
        Ok(())
    }
}

/// Tells a connection something.
fn tell(conn: &mut Connection, now: Timestamp, kind: u8, bytes: &[u8]) -> Result<(), Wrong> {
    match kind {
        kind::CLOSE => conn.close(now, get(bytes)?),
        kind::OPEN_CHANNEL => _ = conn.open_channel(now, &get::<ChannelOptions>(bytes)?),
        kind::LIMIT_SENDING => conn.limit_sending(now, get(bytes)?),
        kind::LIMIT_RECEIVING => conn.limit_receiving(now, get(bytes)?),
        kind::ACK => _ = conn.ack(now, get(bytes)?),
        kind::REJECT => {
            let (receipt, reason) = get::<(ReceiptId, u64)>(bytes)?;
            conn.reject(now, receipt, reason);
        }
        kind::REPLY => {
            let (request, how, payload) = get(bytes)?;
            reply(conn, now, request, how, payload);
        }
        kind::REPLY_REFUSED => {
            let (request, how, len) = get(bytes)?;
            reply(conn, now, request, how, zeros(len));
        }
        kind::CANCEL_REQUEST => _ = conn.cancel_request(now, get(bytes)?),
        kind::TAKE_REPLY => _ = conn.take_reply(now, get(bytes)?),
        kind::LOOK => {}
        _ => {
            let mut rest = Reader::new(bytes);
            let channel = ChannelId::get(&mut rest)?;
            tell_channel(conn.channel(channel), now, kind, rest.rest())?;
        }
    }
    Ok(())
}

/// When an input came, its sort, and what came with it.
pub(super) fn in_time(at: u64, kind: u8, bytes: &[u8]) -> Result<(Timestamp, u8, &[u8]), DecodeError> {
    let mut rest = Reader::new(bytes);
    let late = if kind & kind::LATE == 0 { 0 } else { rest.vi64()? };
    Ok((Timestamp::from_nanos(at.saturating_sub(late)), kind & !kind::LATE, rest.rest()))
}

fn reply(conn: &mut Connection, now: Timestamp, request: RequestId, how: ReplyKind, payload: Bytes) {
    _ = match how {
        ReplyKind::Reply => conn.reply(now, request, payload),
        ReplyKind::Part => conn.reply_part(now, request, payload),
        ReplyKind::Error { code } => conn.reply_error(now, request, code, payload),
    };
}

/// Tells one of its channels something.
fn tell_channel(
    mut channel: proto_core::Channel<'_>,
    now: Timestamp,
    kind: u8,
    bytes: &[u8],
) -> Result<(), Wrong> {
    match kind {
        kind::SEND => _ = channel.send(now, get::<Message>(bytes)?),
        kind::SEND_REFUSED => {
            let Hollow(message) = get(bytes)?;
            _ = channel.send(now, message);
        }
        kind::REQUEST_REFUSED => {
            let (Hollow(message), timeout) = get::<(Hollow, Duration)>(bytes)?;
            _ = channel.request(now, message, timeout);
        }
        kind::REQUEST => {
            let (message, timeout) = get::<(Message, Duration)>(bytes)?;
            _ = channel.request(now, message, timeout);
        }
        kind::RECV => _ = channel.recv(now),
        kind::RECV_MANY => _ = channel.recv_all(now).take(get(bytes)?).count(),
        kind::CANCEL => _ = channel.cancel(now, get::<MessageId>(bytes)?),
        kind::LIMIT_QUEUE => _ = channel.limit_queue(&get::<SendLimits>(bytes)?),
        kind::SET_PRIORITY => {
            let (priority, weight) = get::<(u8, u8)>(bytes)?;
            _ = channel.set_priority(now, priority, weight);
        }
        kind::LIMIT_SENDING_ON => _ = channel.limit_sending(now, get::<Option<Rate>>(bytes)?),
        kind::LIMIT_RECEIVING_ON => _ = channel.limit_receiving(now, get::<Option<Rate>>(bytes)?),
        _ => return Err(Wrong::Said(format!("kind {kind} is unknown"))),
    }
    Ok(())
}

/// What is wrong with an input.
#[derive(Debug)]
enum Wrong {
    Bytes(DecodeError),
    Said(String),
}

impl From<DecodeError> for Wrong {
    fn from(error: DecodeError) -> Self {
        Self::Bytes(error)
    }
}
