//! The vectors and the frame table of `docs/spec/wire.md`, and what they must decode to.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::array;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::model::{Model, ModelAccept, ModelMsg, ModelRecord};
use super::{CLIENT, SERVER, guard, rewrite, rewrite_packet};
use crate::framing::{Deframer, MAX_RECORD};
use crate::wire::checksum::crc32c;
use crate::wire::frame::code;
use crate::wire::packet::{LongKind, MAX_PACKET_NUMBER, Packet};
use crate::wire::params::{self, Params};
use crate::wire::{
    AckRange, Advice, Attach, Cid, Claim, Credit, DecodeError, EcnCounts, FragAbort, Fragment, Frame, Kind,
    NewCid, Rate, RateLimit, RateScope, Record, Reported, Skipped, StateLine, Status, TimeSample, WireId,
    varint,
};

const SPEC: &str = include_str!("../../../../docs/spec/wire.md");

/// One line of a `vectors` block.
pub(super) struct Vector {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    description: String,
}

impl Vector {
    /// What kind of bytes these are: the name up to its slash.
    pub(super) fn prefix(&self) -> &str {
        self.name.split_once('/').expect("a vector's name has a slash").0
    }

    fn short_name(&self) -> &str {
        self.name.split_once('/').expect("a vector's name has a slash").1
    }
}

/// Every vector of the specification.
pub(super) fn all() -> Vec<Vector> {
    let mut vectors = Vec::new();
    let mut inside = false;
    for line in SPEC.lines() {
        if line.starts_with("```") {
            inside = line == "```vectors";
        } else if inside {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let [name, hex, description] = fields[..] else { panic!("not a vector: {line}") };
            let description = description.to_string();
            vectors.push(Vector { name: name.to_string(), bytes: from_hex(hex), description });
        }
    }
    vectors
}

fn with_prefix(prefix: &str) -> Vec<Vector> {
    let vectors: Vec<_> = all().into_iter().filter(|vector| vector.prefix() == prefix).collect();
    assert!(!vectors.is_empty(), "the specification has no vectors of {prefix}/");
    vectors
}

fn from_hex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "odd number of hex digits: {hex}");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two hex digits"))
        .collect()
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The number of a `packet/` vector; 0 where it has none.
pub(super) fn packet_number(name: &str) -> u64 {
    match name {
        "packet/short-1" => 0x12,
        "packet/short-2" => 0x1234,
        "packet/short-3" => 0x0012_3456,
        "packet/short-4" => 0x3123_4567_89AB_CDEF,
        _ => 0,
    }
}

fn sequence<const N: usize>(first: u8) -> [u8; N] {
    array::from_fn(|i| first + i as u8)
}

const GREASE: [u8; 3] = [0x82, 0x1A, 0];

fn init() -> Model {
    let params = GREASE.to_vec();
    Model::Init { versions: vec![1], client_random: sequence(0), token: vec![], attach: Attach::New, params }
}

fn init_with_token() -> Model {
    let mut params = Vec::new();
    chat_params().encode(&mut params);
    let token = sequence::<16>(0xA0).to_vec();
    let versions = vec![2, 1];
    Model::Init { versions, client_random: sequence(0), token, attach: Attach::New, params }
}

/// The secret of the session is that of [`accept`].
fn init_claims(or_new: bool, incarnation: u32) -> Model {
    let init = |proof| {
        let claim = Claim { session_id: sequence(0x50), incarnation, proof };
        let attach = if or_new { Attach::ResumeOrNew(claim) } else { Attach::Resume(claim) };
        let params = GREASE.to_vec();
        Model::Init { versions: vec![1], client_random: sequence(0), token: vec![], attach, params }
    };
    let frame = ModelRecord(vec![init([0; 32])]).encode();
    let claimed = &frame[..frame.len() - Claim::PROOF];
    init(*blake3::keyed_hash(&sequence(0x60), claimed).as_bytes())
}

/// Channel, class, sent, next, ranges.
type Line<'a> = (u32, u8, u64, u64, &'a [RangeInclusive<u64>]);

fn resume_state(part: u64, last: bool, lines: &[Line<'_>]) -> Model {
    let lines = lines.iter().map(|&(channel, class, sent, next, ranges)| StateLine {
        channel,
        class,
        sent,
        next,
        ranges: ranges.to_vec(),
    });
    Model::ResumeState { part, last, lines: lines.collect() }
}

fn accept() -> Model {
    Model::Accept(ModelAccept {
        version: 1,
        server_random: sequence(0x20),
        session_id: sequence(0x50),
        incarnation: 1,
        secret: sequence(0x60),
        reset_token: sequence(0x80),
        transcript: sequence(0x90),
        params: GREASE.to_vec(),
    })
}

fn chat_params() -> Params {
    Params {
        max_message: 256 << 10,
        session_bytes: 4 << 20,
        session_messages: 4096,
        channel_bytes: 1 << 20,
        channel_messages: 1024,
        max_channels: 64,
        heartbeat: Duration::from_secs(3),
        dead: Duration::from_secs(10),
        ..Params::default()
    }
}

fn close(code: u64, advice: Advice, retry_after_ms: u64, reason: &str) -> Model {
    Model::Close { code, advice, retry_after_ms, reason: reason.to_string() }
}

fn credit(channel: Option<u32>, bytes: u64, messages: u64) -> Model {
    Model::Credit(Credit { channel, bytes, messages })
}

fn open(channel: u32, classes: u8, priority: u8, bytes: u64, messages: u64, name: &str) -> Model {
    let (reliable_sequenced, name) = (name == "state", name.to_string());
    Model::OpenChannel { channel, classes, priority, reliable_sequenced, bytes, messages, name }
}

fn msg(class: u8, channel: u32, id: WireId, payload: &str) -> Model {
    let payload = payload.as_bytes().to_vec();
    Model::Msg(ModelMsg { class, channel, id, payload, ..ModelMsg::default() })
}

fn msg_of_kind(id: u16, kind: Kind, payload: &str) -> Model {
    let payload = payload.as_bytes().to_vec();
    Model::Msg(ModelMsg { id: WireId::Low16(id), kind, payload, ..ModelMsg::default() })
}

fn msg_that_says(ttl: Option<u32>, receipt: bool, options: &[u8], payload: &str) -> Model {
    let (options, payload) = (options.to_vec(), payload.as_bytes().to_vec());
    Model::Msg(ModelMsg { id: WireId::Low16(1), ttl, receipt, options, payload, ..ModelMsg::default() })
}

fn receipts(status: Status, ranges: Vec<AckRange>) -> Model {
    Model::MsgAck { channel: 3, class: 0, status, ranges }
}

fn blocked(channel: Option<u32>, bytes: u64, messages: u64) -> Model {
    Model::Blocked(Credit { channel, bytes, messages })
}

fn extension(code: u8, id: u64, body: &[u8]) -> Model {
    Model::Extension { code, id, body: body.to_vec() }
}

fn expected_record(name: &str) -> Vec<Model> {
    use WireId::{Low8, Low16, Low32, Next};

    vec![match name {
        "ack-one" => Model::Ack { delay: 0, ranges: vec![0..=0], ecn: None },
        "ack-run" => Model::Ack { delay: 125, ranges: vec![990..=1000], ecn: None },
        "ack-gaps" => Model::Ack { delay: 3, ranges: vec![40..=42, 38..=38, 10..=35, 0..=7], ecn: None },
        "ack-largest" => {
            let largest = MAX_PACKET_NUMBER;
            Model::Ack { delay: 0, ranges: vec![largest..=largest, 0..=largest - 2], ecn: None }
        }
        "ack-ecn" => {
            let ecn = Some(EcnCounts { ect0: 300, ect1: 0, ce: 7 });
            Model::Ack { delay: 3, ranges: vec![40..=42, 38..=38], ecn }
        }
        "blocked-connection" => blocked(None, 4 << 20, 4096),
        "blocked-channel" => blocked(Some(3), 1000, 16),
        "padding" => return vec![Model::Padding, Model::Padding, Model::Padding],
        "ping" => Model::Ping,
        "pong" => Model::Pong(300),
        "close-ack" => Model::CloseAck,
        "credit-connection" => credit(None, 4 << 20, 4096),
        "credit-channel" => credit(Some(300), 1 << 20, 1024),
        "open-channel" => open(1, 0b101, 2, 64 << 10, 100, "chat"),
        "open-channel-nameless" => open(u32::MAX, 15, 0, 0, 0, ""),
        "open-channel-newest" => open(4, 0b1000, 0, 1000, 10, "state"),
        "close" => close(6, Advice::After, 2000, "busy"),
        "close-plain" => close(0, Advice::Never, 0, ""),
        "close-application" => close(0x1000, Advice::Elsewhere, 0, "zu später Stunde"),
        "init" => init(),
        "init-token" => init_with_token(),
        "init-resume" => init_claims(false, 2),
        "init-resume-or-new" => init_claims(true, 300),
        "resume-state-silent" => resume_state(
            0,
            true,
            &[(0, 0, 0, 0, &[]), (0, 1, 0, 0, &[]), (0, 2, 0, 0, &[]), (0, 3, 0, 0, &[])],
        ),
        "resume-state" => resume_state(1, false, &[(0, 0, 300, 1000, &[]), (3, 1, 7, 5, &[7..=9, 11..=11])]),
        "retry" => Model::Retry(sequence::<16>(0xA0).to_vec()),
        "version" => Model::Version(vec![3, 1]),
        "accept" => accept(),
        "confirm" => Model::Confirm(sequence(0xB0)),
        "sealed" => Model::Sealed(sequence::<16>(0xA0).to_vec()),
        "key" => Model::Key(sequence(0xC0), sequence::<16>(0xA0).to_vec()),
        "extension" => extension(0x40, 0, b""),
        "extension-body" => extension(0x7E, 0, b"abc"),
        "ext" => extension(0x7F, 1000, b"abc"),
        "msg" => msg(0, 0, Low16(0x0102), "hi"),
        "msg-empty" => msg(2, 0, Low8(0xFF), ""),
        "msg-channel" => msg(1, 3, Low32(0xDEAD_BEEF), "hi"),
        "msg-sequenced" => msg(3, 128, Low16(0), "hi"),
        "msg-request" => msg_of_kind(1, Kind::Request(300), "who?"),
        "msg-reply" => msg_of_kind(2, Kind::Reply(300), "me"),
        "msg-reply-error" => msg_of_kind(2, Kind::ReplyError { request: 300, code: 0x80, index: None }, "no"),
        "msg-piece" => Model::Msg(ModelMsg {
            id: Low16(7),
            fragment: Some(Fragment { total: 100_000, offset: 1150 }),
            payload: b"piece".to_vec(),
            ..ModelMsg::default()
        }),
        "msg-request-piece" => Model::Msg(ModelMsg {
            class: 1,
            channel: 5,
            id: Low32(8),
            fragment: Some(Fragment { total: 5004, offset: 5000 }),
            kind: Kind::Request(9),
            payload: b"tail".to_vec(),
            ..ModelMsg::default()
        }),
        "msg-ttl" => msg_that_says(Some(2000), false, &[], "hi"),
        "msg-receipt" => msg_that_says(None, true, &[], "hi"),
        "msg-batch" => msg_that_says(None, true, &[1, 2, 7, 1], "hi"),
        "msg-options-unknown" => msg_that_says(None, false, &[0, 0, 9, 2, 0xAA, 0xBB], "hi"),
        "msg-everything" => Model::Msg(ModelMsg {
            class: 1,
            channel: 5,
            id: Low16(8),
            fragment: Some(Fragment { total: 5004, offset: 5000 }),
            kind: Kind::Request(9),
            ttl: Some(86_400_000),
            receipt: true,
            options: vec![1, 3, 0x81, 0x2C, 0],
            payload: b"tail".to_vec(),
        }),
        "skip-one" => {
            Model::Skip { channel: 0, class: 0, messages: vec![Skipped { number: 1000, total: 300 }] }
        }
        "skip-more" => Model::Skip {
            channel: 300,
            class: 1,
            messages: vec![
                Skipped { number: 7, total: 0 },
                Skipped { number: 8, total: 64 },
                Skipped { number: 10, total: 20_000 },
            ],
        },
        "frag-abort" => Model::FragAbort(FragAbort { channel: 3, class: 3, number: 200 }),
        "msg-ack-one" => receipts(Status::Processed, vec![5..=5]),
        "msg-ack-all" => receipts(Status::Processed, vec![0..=999]),
        "msg-ack-rejected" => receipts(Status::Rejected(300), vec![40..=42, 38..=38]),
        "msg-ack-refused" => receipts(Status::Refused(2), vec![7..=7]),
        "report" => Model::Report(vec![
            Reported { channel: 0, reason: 6, count: 3, first: 17, last: 290 },
            Reported { channel: 3, reason: 1, count: 1, first: 4, last: 4 },
        ]),
        "msg-length" => return vec![msg(0, 0, Low16(0x0102), "hi"), Model::Ping],
        "msg-next" => {
            return vec![msg(0, 0, Low16(10), "one"), msg(0, 0, Next, "two"), msg(0, 0, Next, "three")];
        }
        "msg-two-classes" => {
            return vec![msg(0, 3, Low16(10), "a"), msg(2, 3, Low16(4), "b"), msg(2, 0, Low16(5), "c")];
        }
        "path-challenge" => Model::PathChallenge(sequence(0xC0)),
        "path-response" => Model::PathResponse(sequence(0xC0)),
        "new-cid" => Model::NewCid(NewCid { number: 1, cid: Cid(sequence(0xC0)), token: sequence(0x10) }),
        "retire-cid" => Model::RetireCid(300),
        "goaway" => Model::GoAway {
            timeout_ms: 10_000,
            advice: Advice::After,
            retry_after_ms: 700,
            uri: String::new(),
        },
        "goaway-elsewhere" => Model::GoAway {
            timeout_ms: 0,
            advice: Advice::Elsewhere,
            retry_after_ms: 0,
            uri: "udp://b".to_string(),
        },
        "cancel" => Model::Cancel(300),
        "time-ask" => Model::Time(TimeSample { ask: true, sent: 1_700_000_000_000_000, origin: 0, held: 0 }),
        "time-answer" => {
            let (sent, origin) = (1_700_000_000_020_000, 1_700_000_000_000_000);
            Model::Time(TimeSample { ask: false, sent, origin, held: 500 })
        }
        "msg-reply-part" => msg_of_kind(2, Kind::ReplyPart { request: 300, index: 4, last: false }, "me"),
        "msg-reply-last" => Model::Msg(ModelMsg {
            class: 1,
            id: Low16(3),
            kind: Kind::ReplyPart { request: 300, index: 5, last: true },
            ..ModelMsg::default()
        }),
        "msg-reply-part-error" => Model::Msg(ModelMsg {
            class: 1,
            id: Low16(3),
            kind: Kind::ReplyError { request: 300, code: 0x40, index: core::num::NonZeroU32::new(5) },
            ..ModelMsg::default()
        }),
        "rate-connection" => rate(RateScope::Connection, [50, 75, 131_072, 196_608]),
        "rate-channel" => rate(RateScope::Channel(300), [10, 5, 0, 0]),
        "rate-each" => rate(RateScope::EachChannel, [0; 4]),
        "mixed" => {
            return vec![
                Model::Ack { delay: 3, ranges: vec![0..=8], ecn: None },
                credit(None, 2000, 40),
                open(1, 1, 0, 1000, 10, "a"),
                msg(0, 1, Low16(0), "hi"),
                extension(0x40, 0, &[0xFF]),
                Model::Padding,
                Model::Padding,
            ];
        }
        _ => panic!("record/{name} is in the specification, and its meaning is not in this table"),
    }]
}

fn rate(scope: RateScope, [messages, message_burst, bytes, byte_burst]: [u64; 4]) -> Model {
    Model::Rate(RateLimit { scope, rate: Rate { messages, message_burst, bytes, byte_burst } })
}

/// Lists variants once, for a match that the compiler keeps complete and for a test that wants to see each of them.
macro_rules! variants {
    ($list:ident, $name:ident, $enum:ident $(<$life:lifetime>)?: $($variant:ident),*) => {
        const $list: &[&str] = &[$(stringify!($variant)),*];

        fn $name(value: $enum $(<$life>)?) -> &'static str {
            match value {
                $($enum::$variant { .. } => stringify!($variant)),*
            }
        }
    };
}

variants!(FRAMES, frame_name, Frame<'_>: Padding, Ping, Pong, Ack, Credit, Blocked, Skip, FragAbort, MsgAck, Report,
    OpenChannel, PathChallenge, PathResponse, NewCid, RetireCid, ResumeState, GoAway, Close, CloseAck, Rate, Time, Cancel, Init, Retry, Version,
    Accept, Confirm, Sealed, Key, Msg, Extension);
variants!(IDS, id_name, WireId: Next, Low8, Low16, Low32);
variants!(KINDS, kind_name, Kind: OneWay, Request, Reply, ReplyPart, ReplyError);

#[test]
fn names_are_unique() {
    let vectors = all();
    let names: BTreeSet<&str> = vectors.iter().map(|vector| &*vector.name).collect();
    assert_eq!(names.len(), vectors.len());
}

#[test]
fn integers() {
    for vector in with_prefix("vi64") {
        let value = vector.short_name().parse().expect("the name of a vi64 is its value");
        assert_eq!(varint::decode(&vector.bytes), Ok((value, vector.bytes.len())), "{}", vector.name);
        let mut again = Vec::new();
        varint::encode(value, &mut again);
        assert_eq!(again, vector.bytes, "{}", vector.name);
    }
    for vector in with_prefix("refused-vi64") {
        let error = varint::decode(&vector.bytes).unwrap_err();
        assert_eq!(error.to_string(), vector.description, "{}", vector.name);
    }
}

#[test]
fn records() {
    for vector in with_prefix("record") {
        let expected = ModelRecord(expected_record(vector.short_name()));
        assert_eq!(ModelRecord::decode(&vector.bytes).as_ref(), Ok(&expected), "{}", vector.name);
        assert_eq!(to_hex(&expected.encode()), to_hex(&vector.bytes), "{}", vector.name);
        assert_eq!(rewrite(&vector.bytes).as_ref(), Ok(&vector.bytes), "{}", vector.name);
    }
}

#[test]
fn every_frame_has_a_vector() {
    let vectors = with_prefix("record");
    let frames =
        || vectors.iter().flat_map(|vector| Record::new(&vector.bytes)).map(|frame| frame.expect("legal"));
    let messages = || {
        frames().filter_map(|frame| match frame {
            Frame::Msg(msg) => Some(msg),
            _ => None,
        })
    };
    let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(frames().map(|frame| frame_name(frame)).collect::<BTreeSet<_>>(), set(FRAMES));
    assert_eq!(messages().map(|msg| id_name(msg.id)).collect::<BTreeSet<_>>(), set(IDS));
    assert_eq!(messages().map(|msg| kind_name(msg.kind)).collect::<BTreeSet<_>>(), set(KINDS));
    assert_eq!(messages().map(|msg| msg.class).collect::<BTreeSet<_>>(), (0..4).collect());
    assert_eq!(messages().map(|msg| msg.fragment.is_some()).collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn refused_records() {
    for vector in with_prefix("refused") {
        let error = ModelRecord::decode(&vector.bytes).unwrap_err();
        assert_eq!(error.to_string(), vector.description, "{}", vector.name);
    }
}

#[test]
fn parameters() {
    let chat = chat_params();
    let slow = Params { max_ack_delay: Duration::from_millis(100), ..Params::default() };
    let expected = BTreeMap::from([
        ("params/defaults", Params::default()),
        ("params/chat", chat),
        ("params/ack-delay", slow),
        ("ignored-params/unknown", slow),
        ("ignored-params/empty", Params::default()),
    ]);
    for vector in with_prefix("params").into_iter().chain(with_prefix("ignored-params")) {
        let expected = expected[&*vector.name];
        assert_eq!(Params::decode(&vector.bytes), Ok(expected), "{}", vector.name);
        let mut again = Vec::new();
        expected.encode(&mut again);
        assert_eq!(again == vector.bytes, vector.prefix() == "params", "{}", vector.name);
    }
    for vector in with_prefix("credentials") {
        let mut again = Vec::new();
        Params::default().encode_with(b"open sesame", &mut again);
        assert_eq!(
            (params::credentials(&vector.bytes), again),
            (Ok(&b"open sesame"[..]), vector.bytes.clone())
        );
        assert_eq!(Params::decode(&vector.bytes), Ok(Params::default()));
    }
    assert_eq!(params::credentials(&with_prefix("params")[1].bytes), Ok(&[][..]));
    let longest = [&[16, 0x84, 0x00][..], &[7; 1024]].concat();
    assert_eq!(params::credentials(&longest), Ok(&[7; 1024][..]));
    for vector in with_prefix("refused-credentials") {
        let error = params::credentials(&vector.bytes).unwrap_err();
        assert_eq!(error.to_string(), vector.description, "{}", vector.name);
    }
    let longer = [&[16, 0x84, 0x01][..], &[7; 1025]].concat();
    assert_eq!(params::credentials(&longer).unwrap_err().to_string(), "credentials over 1024 bytes");
    for vector in with_prefix("refused-params") {
        let error = Params::decode(&vector.bytes).unwrap_err();
        assert_eq!(error.to_string(), vector.description, "{}", vector.name);
    }
}

#[test]
fn streams() {
    let ping = || vec![0x01];
    let expected = BTreeMap::from([
        ("stream/ping", (vec![ping()], true)),
        ("stream/two", (vec![ping(), vec![0x02, 0x05]], true)),
        ("stream/long", (vec![], false)),
    ]);
    for vector in with_prefix("stream") {
        let (mut deframer, mut input, mut records) = (Deframer::default(), &*vector.bytes, Vec::new());
        while let Some(record) = deframer.next(&mut input, MAX_RECORD).expect("legal") {
            records.push(record.to_vec());
        }
        assert_eq!((records, deframer.is_idle()), expected[&*vector.name], "{}", vector.name);
    }
    for vector in with_prefix("refused-stream") {
        let (mut deframer, last) = (Deframer::default(), vector.bytes.len() - 1);
        assert_eq!(deframer.next(&mut &vector.bytes[..last], MAX_RECORD), Ok(None), "{}", vector.name);
        let error = deframer.next(&mut &vector.bytes[last..], MAX_RECORD).unwrap_err();
        assert_eq!(error.to_string(), vector.description, "{}", vector.name);
    }
}

#[test]
fn long_packets() {
    let retry = || Model::Retry(sequence::<16>(0xA0).to_vec());
    let mut padded = vec![init()];
    padded.resize(6, Model::Padding);
    let (client, server) = (CLIENT.0.to_vec(), SERVER.0.to_vec());
    let expected = BTreeMap::from([
        ("long-init", (LongKind::Init, 1, server.clone(), client.clone(), padded)),
        ("long-retry", (LongKind::Retry, 1, client.clone(), server.clone(), vec![retry()])),
        ("long-accept", (LongKind::Accept, 1, client.clone(), server.clone(), vec![accept()])),
        ("long-version", (LongKind::Refuse, 1, client.clone(), vec![], vec![Model::Version(vec![1])])),
        ("long-close", (LongKind::Refuse, 1, client, server, vec![close(6, Advice::After, 2000, "busy")])),
        ("long-other", (LongKind::Init, 0xFACE, sequence::<20>(0).to_vec(), vec![], vec![Model::Ping])),
    ]);
    let mut seen = 0;
    for vector in with_prefix("packet") {
        let Ok(Packet::Long(long)) = Packet::decode(&vector.bytes, crc32c) else { continue };
        let record = ModelRecord::decode(long.payload).expect("the record is legal").0;
        let found = (long.kind, long.version, long.dcid.to_vec(), long.scid.to_vec(), record);
        assert_eq!(found, expected[vector.short_name()], "{}", vector.name);
        assert_eq!(rewrite_packet(&vector.bytes, 0), Ok(vector.bytes), "{}", vector.name);
        seen += 1;
    }
    assert_eq!(seen, expected.len());
}

#[test]
fn short_packets() {
    let hello = msg(0, 0, WireId::Low16(0x0102), "hi");
    let run = Model::Ack { delay: 125, ranges: vec![990..=1000], ecn: None };
    let expected = BTreeMap::from([
        ("packet/short-1", (SERVER, 1, Model::Ping)),
        ("packet/short-2", (SERVER, 2, hello)),
        ("packet/short-3", (CLIENT, 3, run)),
        ("packet/short-4", (CLIENT, 4, Model::Ping)),
    ]);
    let mut seen = 0;
    for vector in with_prefix("packet") {
        let Ok(Packet::Short(short)) = Packet::decode(&vector.bytes, crc32c) else { continue };
        let number = packet_number(&vector.name);
        let (dcid, len, frame) = &expected[&*vector.name];
        assert_eq!((short.dcid, short.number_len), (*dcid, *len), "{}", vector.name);
        assert!(short.verify(guard(), number, crc32c), "{}", vector.name);
        assert_eq!(
            ModelRecord::decode(short.payload),
            Ok(ModelRecord(vec![frame.clone()])),
            "{}",
            vector.name
        );
        assert_eq!(rewrite_packet(&vector.bytes, number), Ok(vector.bytes), "{}", vector.name);
        seen += 1;
    }
    assert_eq!(seen, expected.len());
}

#[test]
fn refused_packets() {
    for vector in with_prefix("refused-packet") {
        let error = Packet::decode(&vector.bytes, crc32c).unwrap_err();
        assert_eq!(error.to_string(), vector.description, "{}", vector.name);
    }
}

/// Lists constants of [`code`] with their names.
macro_rules! codes {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), code::$name)),*] };
}

#[test]
fn the_frame_table_is_that_of_the_code() {
    let codes = codes![
        PADDING,
        PING,
        PONG,
        ACK,
        ACK_ECN,
        CREDIT,
        BLOCKED,
        SKIP,
        FRAG_ABORT,
        MSG_ACK,
        REPORT,
        OPEN_CHANNEL,
        CLOSE_CHANNEL,
        PATH_CHALLENGE,
        PATH_RESPONSE,
        NEW_CID,
        RETIRE_CID,
        NEW_TOKEN,
        RESUME_GRANT,
        RESUME_STATE,
        GOAWAY,
        CLOSE,
        CLOSE_ACK,
        RATE,
        KEY_UPDATE,
        TIME,
        CANCEL,
        INIT,
        RETRY,
        VERSION,
        ACCEPT,
        CONFIRM,
        SEALED,
        KEY,
        EXT,
    ];
    let vectors = with_prefix("record");
    let mut listed = Vec::new();
    for line in SPEC.lines().filter(|line| line.starts_with("| 0x") && line.matches('|').count() == 6) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, ty, name, state, eliciting, ..] = columns[..] else { panic!("not a row: {line}") };
        let first = u8::from_str_radix(&ty[2..4], 16).expect("a hex code");
        if !ty.contains('–') {
            listed.push((name, first));
        }
        let refused = Record::new(&[first]).next() == Some(Err(DecodeError::UnknownFrame(first)));
        assert_eq!(refused, state == "reserved", "{line}");
        let example = vectors
            .iter()
            .find(|vector| vector.bytes[0] == first || (name == "MSG" && vector.bytes[0] > 0x80));
        match example.and_then(|vector| Record::new(&vector.bytes).next()) {
            Some(frame) => assert_eq!(frame.expect("legal").is_ack_eliciting(), eliciting == "yes", "{line}"),
            None => assert_eq!((state, eliciting), ("reserved", ""), "{line}"),
        }
    }
    assert_eq!(listed, codes);
}
