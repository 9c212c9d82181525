//! Owned twins of the frames, so that they can be generated, shrunk and compared.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::array;

use quickcheck::{Arbitrary, Gen};

use crate::wire::handshake::{MAX_TOKEN, MAX_VERSIONS};
use crate::wire::packet::MAX_PACKET_NUMBER;
use crate::wire::{
    Accept, AckRange, Advice, Attach, Batch, Cid, Claim, Close, Credit, DecodeError, EcnCounts, Extras,
    FragAbort, Fragment, Frame, GoAway, Init, Kind, MAX_NAME, MAX_RANGES, MAX_REASON, MAX_REPORTS, MAX_SKIPS,
    MAX_STATE_LINES, MAX_STATE_PARTS, MAX_STATE_RANGES, MAX_TTL_MS, MAX_URI, Msg, NewCid, OpenChannel,
    Options, Rate, RateLimit, RateScope, Record, RecordWriter, Reported, Skipped, StateLine, Status,
    TimeSample, Version, WireId, varint,
};

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Model {
    Padding,
    Ping,
    Pong(u64),
    Ack {
        delay: u64,
        ranges: Vec<AckRange>,
        ecn: Option<EcnCounts>,
    },
    Credit(Credit),
    Blocked(Credit),
    Skip {
        channel: u32,
        class: u8,
        messages: Vec<Skipped>,
    },
    FragAbort(FragAbort),
    MsgAck {
        channel: u32,
        class: u8,
        status: Status,
        ranges: Vec<AckRange>,
    },
    Report(Vec<Reported>),
    OpenChannel {
        channel: u32,
        classes: u8,
        priority: u8,
        reliable_sequenced: bool,
        bytes: u64,
        messages: u64,
        name: String,
    },
    PathChallenge([u8; 8]),
    PathResponse([u8; 8]),
    NewCid(NewCid),
    RetireCid(u64),
    GoAway {
        timeout_ms: u64,
        advice: Advice,
        retry_after_ms: u64,
        uri: String,
    },
    Close {
        code: u64,
        advice: Advice,
        retry_after_ms: u64,
        reason: String,
    },
    CloseAck,
    Rate(RateLimit),
    Cancel(u64),
    Time(TimeSample),
    Init {
        versions: Vec<u32>,
        client_random: [u8; 32],
        token: Vec<u8>,
        attach: Attach,
        params: Vec<u8>,
    },
    ResumeState {
        part: u64,
        last: bool,
        lines: Vec<StateLine>,
    },
    Retry(Vec<u8>),
    Version(Vec<u32>),
    Accept(ModelAccept),
    Confirm([u8; 16]),
    Sealed(Vec<u8>),
    Key([u8; 32], Vec<u8>),
    Msg(ModelMsg),
    Extension {
        code: u8,
        id: u64,
        body: Vec<u8>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelMsg {
    pub(super) class: u8,
    pub(super) channel: u32,
    pub(super) id: WireId,
    pub(super) fragment: Option<Fragment>,
    pub(super) kind: Kind,
    pub(super) ttl: Option<u32>,
    pub(super) receipt: bool,
    pub(super) options: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Default for ModelMsg {
    fn default() -> Self {
        Self {
            class: 0,
            channel: 0,
            id: WireId::Low16(0),
            fragment: None,
            kind: Kind::OneWay,
            ttl: None,
            receipt: false,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelAccept {
    pub(super) version: u32,
    pub(super) server_random: [u8; 32],
    pub(super) session_id: [u8; 16],
    pub(super) incarnation: u32,
    pub(super) secret: [u8; 32],
    pub(super) reset_token: [u8; 16],
    pub(super) transcript: [u8; 16],
    pub(super) params: Vec<u8>,
}

/// The frames of a record that can be written: each `WireId::Next` has a MSG to refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelRecord(pub(super) Vec<Model>);

impl ModelRecord {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Record::new(bytes).map(|frame| frame.map(Model::from)).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut buf = Vec::new();
        let mut writer = RecordWriter::new(&mut buf);
        for (index, model) in self.0.iter().enumerate() {
            model.write(&mut writer, index + 1 == self.0.len());
        }
        buf
    }

    /// Gives every MSG that cannot say `Next` a number of its own.
    fn repaired(mut frames: Vec<Model>) -> Self {
        let mut previous = None;
        for model in &mut frames {
            if let Model::Msg(ModelMsg { class, channel, id, .. }) = model {
                let space = Some((*class, *channel));
                if *id == WireId::Next && previous != space {
                    *id = WireId::Low8(7);
                }
                previous = space;
            }
        }
        Self(frames)
    }
}

fn version_bytes(versions: &[u32]) -> Vec<u8> {
    versions.iter().flat_map(|version| version.to_be_bytes()).collect()
}

impl Model {
    fn write(&self, writer: &mut RecordWriter<'_>, last: bool) {
        let frame = match self {
            Self::Ack { delay, ranges, ecn } => {
                return writer.write_ack_ecn(*delay, ranges.iter().cloned(), *ecn);
            }
            Self::Init { versions, client_random, token, attach, params } => {
                let versions = version_bytes(versions);
                let versions = Version::from_bytes(&versions).expect("1 to 16 versions");
                let init = Init { versions, client_random: *client_random, token, attach: *attach, params };
                return writer.write(&Frame::Init(init), last);
            }
            Self::Version(versions) => {
                let versions = version_bytes(versions);
                let versions = Version::from_bytes(&versions).expect("1 to 16 versions");
                return writer.write(&Frame::Version(versions), last);
            }
            Self::Padding => Frame::Padding,
            Self::Ping => Frame::Ping,
            Self::Pong(echo) => Frame::Pong(*echo),
            Self::PathChallenge(data) => Frame::PathChallenge(*data),
            Self::PathResponse(data) => Frame::PathResponse(*data),
            Self::NewCid(new) => Frame::NewCid(*new),
            &Self::RetireCid(number) => Frame::RetireCid(number),
            &Self::GoAway { timeout_ms, advice, retry_after_ms, ref uri } => {
                Frame::GoAway(GoAway { timeout_ms, advice, retry_after_ms, uri })
            }
            Self::CloseAck => Frame::CloseAck,
            Self::Rate(limit) => Frame::Rate(*limit),
            Self::Cancel(request) => Frame::Cancel(*request),
            Self::Time(sample) => Frame::Time(*sample),
            Self::Credit(credit) => Frame::Credit(*credit),
            Self::Blocked(credit) => Frame::Blocked(*credit),
            Self::Retry(token) => Frame::Retry(token),
            Self::Confirm(hash) => Frame::Confirm(*hash),
            Self::Sealed(message) => Frame::Sealed(message),
            Self::Key(key, token) => Frame::Key { key: *key, token },
            &Self::Skip { channel, class, ref messages } => {
                return writer.write_skip(channel, class, messages);
            }
            Self::FragAbort(abort) => Frame::FragAbort(*abort),
            &Self::MsgAck { channel, class, status, ref ranges } => {
                return writer.write_msg_ack(channel, class, status, ranges);
            }
            Self::Report(lines) => return writer.write_report(lines),
            Self::ResumeState { part, last, lines } => {
                return writer.write_resume_state(*part, *last, lines);
            }
            &Self::OpenChannel {
                channel,
                classes,
                priority,
                reliable_sequenced,
                bytes,
                messages,
                ref name,
            } => Frame::OpenChannel(OpenChannel {
                channel,
                classes,
                priority,
                reliable_sequenced,
                bytes,
                messages,
                name,
            }),
            &Self::Close { code, advice, retry_after_ms, ref reason } => {
                Frame::Close(Close { code, advice, retry_after_ms, reason })
            }
            Self::Accept(accept) => Frame::Accept(Accept {
                version: accept.version,
                server_random: accept.server_random,
                session_id: accept.session_id,
                incarnation: accept.incarnation.into(),
                secret: accept.secret,
                reset_token: accept.reset_token,
                transcript: accept.transcript,
                params: &accept.params,
            }),
            Self::Msg(msg) => {
                let &ModelMsg { class, channel, id, fragment, kind, ttl, receipt, .. } = msg;
                let options = Options::new(&msg.options).expect("sound options");
                let extras = Extras { ttl, receipt, options };
                Frame::Msg(Msg { class, channel, id, fragment, kind, extras, payload: &msg.payload })
            }
            &Self::Extension { code, id, ref body } => Frame::Extension { code, id, body },
        };
        writer.write(&frame, last);
    }
}

impl From<Frame<'_>> for Model {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Padding => Self::Padding,
            Frame::Ping => Self::Ping,
            Frame::Pong(echo) => Self::Pong(echo),
            Frame::Ack(ack) => Self::Ack { delay: ack.delay, ranges: ack.ranges().collect(), ecn: ack.ecn },
            Frame::Credit(credit) => Self::Credit(credit),
            Frame::Blocked(credit) => Self::Blocked(credit),
            Frame::Skip(skip) => {
                Self::Skip { channel: skip.channel, class: skip.class, messages: skip.messages().collect() }
            }
            Frame::FragAbort(abort) => Self::FragAbort(abort),
            Frame::MsgAck(receipts) => Self::MsgAck {
                channel: receipts.channel,
                class: receipts.class,
                status: receipts.status,
                ranges: receipts.ranges().collect(),
            },
            Frame::Report(report) => Self::Report(report.lines().collect()),
            Frame::OpenChannel(OpenChannel {
                channel,
                classes,
                priority,
                reliable_sequenced,
                bytes,
                messages,
                name,
            }) => Self::OpenChannel {
                channel,
                classes,
                priority,
                reliable_sequenced,
                bytes,
                messages,
                name: name.to_string(),
            },
            Frame::Close(Close { code, advice, retry_after_ms, reason }) => {
                Self::Close { code, advice, retry_after_ms, reason: reason.to_string() }
            }
            Frame::CloseAck => Self::CloseAck,
            Frame::Rate(limit) => Self::Rate(limit),
            Frame::Cancel(request) => Self::Cancel(request),
            Frame::PathChallenge(data) => Self::PathChallenge(data),
            Frame::PathResponse(data) => Self::PathResponse(data),
            Frame::NewCid(new) => Self::NewCid(new),
            Frame::RetireCid(number) => Self::RetireCid(number),
            Frame::GoAway(GoAway { timeout_ms, advice, retry_after_ms, uri }) => {
                Self::GoAway { timeout_ms, advice, retry_after_ms, uri: uri.to_string() }
            }
            Frame::Time(sample) => Self::Time(sample),
            Frame::ResumeState(state) => {
                Self::ResumeState { part: state.part, last: state.last, lines: state.lines().collect() }
            }
            Frame::Init(Init { versions, client_random, token, attach, params }) => Self::Init {
                versions: versions.iter().collect(),
                client_random,
                token: token.to_vec(),
                attach,
                params: params.to_vec(),
            },
            Frame::Retry(token) => Self::Retry(token.to_vec()),
            Frame::Version(versions) => Self::Version(versions.iter().collect()),
            Frame::Accept(accept) => Self::Accept(ModelAccept {
                version: accept.version,
                server_random: accept.server_random,
                session_id: accept.session_id,
                incarnation: accept
                    .incarnation
                    .try_into()
                    .expect("the decoder refuses incarnations over 2^32 - 1"),
                secret: accept.secret,
                reset_token: accept.reset_token,
                transcript: accept.transcript,
                params: accept.params.to_vec(),
            }),
            Frame::Confirm(hash) => Self::Confirm(hash),
            Frame::Sealed(message) => Self::Sealed(message.to_vec()),
            Frame::Key { key, token } => Self::Key(key, token.to_vec()),
            Frame::Msg(Msg { class, channel, id, fragment, kind, extras, payload }) => Self::Msg(ModelMsg {
                class,
                channel,
                id,
                fragment,
                kind,
                ttl: extras.ttl,
                receipt: extras.receipt,
                options: extras.options.bytes().to_vec(),
                payload: payload.to_vec(),
            }),
            Frame::Extension { code, id, body } => Self::Extension { code, id, body: body.to_vec() },
        }
    }
}

/// A number of any length: every size of a vi64 is as likely as the others.
pub(super) fn number(g: &mut Gen) -> u64 {
    u64::arbitrary(g) >> (u32::arbitrary(g) % 64)
}

pub(super) fn below(g: &mut Gen, bound: usize) -> usize {
    usize::arbitrary(g) % bound
}

fn random<const N: usize>(g: &mut Gen) -> [u8; N] {
    array::from_fn(|_| u8::arbitrary(g))
}

fn bytes_upto(g: &mut Gen, max: usize) -> Vec<u8> {
    let len = below(g, max + 1);
    (0..len).map(|_| u8::arbitrary(g)).collect()
}

fn text_upto(g: &mut Gen, max: usize) -> String {
    let mut text = String::arbitrary(g);
    while text.len() > max {
        text.pop();
    }
    text
}

fn versions(g: &mut Gen) -> Vec<u32> {
    (0..=below(g, MAX_VERSIONS)).map(|_| u32::arbitrary(g)).collect()
}

fn params(g: &mut Gen) -> Vec<u8> {
    let (mut block, mut id) = (Vec::new(), 0);
    for _ in 0..below(g, 5) {
        id += 1 + (number(g) >> 4);
        let value = bytes_upto(g, 20);
        varint::encode(id, &mut block);
        varint::encode(value.len() as u64, &mut block);
        block.extend(value);
    }
    block
}

fn ack_ranges(g: &mut Gen) -> Vec<AckRange> {
    let mut ranges = Vec::new();
    let mut end = Some(number(g).min(MAX_PACKET_NUMBER));
    let most = 1 + below(g, MAX_RANGES);
    let narrow = bool::arbitrary(g);
    while let Some(high) = end.filter(|_| ranges.len() < most) {
        let mut step = || if narrow { number(g) % 8 } else { number(g) };
        let low = high.saturating_sub(step());
        ranges.push(low..=high);
        end = low.checked_sub(2).and_then(|high| high.checked_sub(step()));
    }
    ranges
}

fn msg(g: &mut Gen) -> Model {
    let id = match below(g, 4) {
        0 => WireId::Next,
        1 => WireId::Low8(u8::arbitrary(g)),
        2 => WireId::Low16(u16::arbitrary(g)),
        _ => WireId::Low32(u32::arbitrary(g)),
    };
    let kind = match below(g, 5) {
        0 => Kind::OneWay,
        1 => Kind::Request(number(g)),
        2 => Kind::Reply(number(g)),
        3 => {
            let (index, last) = (number(g) as u32, bool::arbitrary(g));
            Kind::ReplyPart { request: number(g), index, last }
        }
        _ => {
            let index = core::num::NonZeroU32::new(u32::arbitrary(g) >> below(g, 33).min(31));
            Kind::ReplyError { request: number(g), code: number(g), index }
        }
    };
    let mut payload = bytes_upto(g, 40);
    let fragment = bool::arbitrary(g).then(|| {
        let total = number(g);
        payload.truncate(total.min(40) as usize);
        if payload.is_empty() && total > 0 {
            payload.push(0);
        }
        Fragment { total, offset: number(g).min(total - payload.len() as u64) }
    });
    let mut options = Vec::new();
    if bool::arbitrary(g) && bool::arbitrary(g) {
        Batch { number: number(g), is_last: bool::arbitrary(g) }.encode(&mut options);
    }
    Model::Msg(ModelMsg {
        class: below(g, 4) as u8,
        channel: *g.choose(&[0, 0, 1, 300, u32::MAX]).unwrap_or(&0),
        id,
        fragment,
        kind,
        ttl: bool::arbitrary(g).then(|| below(g, MAX_TTL_MS as usize + 1) as u32),
        receipt: bool::arbitrary(g),
        options,
        payload,
    })
}

fn skip(g: &mut Gen) -> Model {
    let (mut messages, mut next) = (Vec::new(), number(g) >> 3);
    for _ in 0..=below(g, MAX_SKIPS - 1) {
        next += number(g) % 1000;
        messages.push(Skipped { number: next, total: number(g) });
        next += 1;
    }
    Model::Skip { channel: u32::arbitrary(g), class: below(g, 2) as u8, messages }
}

fn receipts(g: &mut Gen) -> Model {
    let status = match below(g, 3) {
        0 => Status::Processed,
        1 => Status::Rejected(number(g)),
        _ => Status::Refused(number(g)),
    };
    Model::MsgAck { channel: u32::arbitrary(g), class: below(g, 4) as u8, status, ranges: ack_ranges(g) }
}

fn report(g: &mut Gen) -> Model {
    let lines = (0..=below(g, MAX_REPORTS)).map(|_| Reported {
        channel: u32::arbitrary(g),
        reason: u8::arbitrary(g),
        count: number(g).max(1),
        first: number(g) >> 2,
        last: number(g) >> 2,
    });
    Model::Report(lines.take(MAX_REPORTS).collect())
}

fn attach(g: &mut Gen) -> Attach {
    let claim = Claim { session_id: random(g), incarnation: u32::arbitrary(g).max(2), proof: random(g) };
    match below(g, 3) {
        0 => Attach::New,
        1 => Attach::Resume(claim),
        _ => Attach::ResumeOrNew(claim),
    }
}

fn resume_state(g: &mut Gen) -> Model {
    let mut lines: Vec<_> = (0..below(g, MAX_STATE_LINES + 1)).map(|_| state_line(g)).collect();
    lines.sort_by_key(|line| (line.channel, line.class));
    lines.dedup_by_key(|line| (line.channel, line.class));
    Model::ResumeState { part: number(g) % MAX_STATE_PARTS, last: bool::arbitrary(g), lines }
}

fn state_line(g: &mut Gen) -> StateLine {
    let next = number(g) >> 4;
    let mut missing = next;
    let ranges = (0..below(g, MAX_STATE_RANGES + 1))
        .map(|_| {
            let start = missing + 1 + (number(g) >> 10);
            let end = start + (number(g) >> 10);
            missing = end + 1;
            start..=end
        })
        .collect();
    StateLine { channel: u32::arbitrary(g), class: below(g, 4) as u8, sent: number(g) >> 2, next, ranges }
}

fn any_credit(g: &mut Gen) -> Credit {
    Credit { channel: bool::arbitrary(g).then(|| u32::arbitrary(g)), bytes: number(g), messages: number(g) }
}

fn any_advice(g: &mut Gen) -> Advice {
    let all = [Advice::Never, Advice::Now, Advice::After, Advice::Elsewhere];
    *g.choose(&all).unwrap_or(&Advice::Now)
}

impl Arbitrary for Model {
    fn arbitrary(g: &mut Gen) -> Self {
        match below(g, 35) {
            33 => Self::NewCid(NewCid { number: number(g).max(1), cid: Cid(random(g)), token: random(g) }),
            34 => Self::RetireCid(number(g)),
            31 => Self::Sealed(bytes_upto(g, 200)),
            32 => Self::Key(random(g), bytes_upto(g, MAX_TOKEN)),
            29 => Self::PathChallenge(random(g)),
            30 => Self::PathResponse(random(g)),
            27 => Self::GoAway {
                timeout_ms: number(g),
                advice: any_advice(g),
                retry_after_ms: number(g),
                uri: text_upto(g, MAX_URI),
            },
            28 => resume_state(g),
            0 => Self::Padding,
            1 => Self::Ping,
            2 => Self::Ack { delay: number(g), ranges: ack_ranges(g), ecn: None },
            3 => {
                let ecn = EcnCounts { ect0: number(g), ect1: number(g), ce: number(g) };
                Self::Ack { delay: number(g), ranges: ack_ranges(g), ecn: Some(ecn) }
            }
            4 => Self::Credit(any_credit(g)),
            17 => Self::Blocked(any_credit(g)),
            5 => Self::OpenChannel {
                channel: u32::arbitrary(g),
                classes: 1 + below(g, 15) as u8,
                priority: below(g, 8) as u8,
                reliable_sequenced: bool::arbitrary(g),
                bytes: number(g),
                messages: number(g),
                name: text_upto(g, MAX_NAME),
            },
            6 => Self::Close {
                code: number(g),
                advice: any_advice(g),
                retry_after_ms: number(g),
                reason: text_upto(g, MAX_REASON),
            },
            7 => Self::CloseAck,
            8 => Self::Init {
                versions: versions(g),
                client_random: random(g),
                token: bytes_upto(g, MAX_TOKEN),
                attach: attach(g),
                params: params(g),
            },
            9 => Self::Retry(bytes_upto(g, MAX_TOKEN)),
            10 => Self::Version(versions(g)),
            11 => Self::Accept(ModelAccept {
                version: u32::arbitrary(g),
                server_random: random(g),
                session_id: random(g),
                incarnation: u32::arbitrary(g),
                secret: random(g),
                reset_token: random(g),
                transcript: random(g),
                params: params(g),
            }),
            12 => Self::Confirm(random(g)),
            13 => {
                let code = 0x40 + below(g, 0x40) as u8;
                let id = if code == 0x7F { number(g) } else { 0 };
                Self::Extension { code, id, body: bytes_upto(g, 40) }
            }
            14 => Self::Rate(RateLimit {
                scope: match below(g, 3) {
                    0 => RateScope::Connection,
                    1 => RateScope::Channel(u32::arbitrary(g)),
                    _ => RateScope::EachChannel,
                },
                rate: Rate {
                    messages: number(g),
                    message_burst: number(g),
                    bytes: number(g),
                    byte_burst: number(g),
                },
            }),
            15 => Self::Cancel(number(g)),
            26 => Self::Pong(number(g)),
            16 => Self::Time(TimeSample {
                ask: bool::arbitrary(g),
                sent: number(g),
                origin: number(g),
                held: number(g),
            }),
            18 => skip(g),
            19 => Self::FragAbort(FragAbort {
                channel: u32::arbitrary(g),
                class: 2 + below(g, 2) as u8,
                number: number(g) >> 2,
            }),
            20 => receipts(g),
            21 => report(g),
            _ => msg(g),
        }
    }
}

impl Arbitrary for ModelRecord {
    fn arbitrary(g: &mut Gen) -> Self {
        Self::repaired((0..below(g, 20)).map(|_| Model::arbitrary(g)).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self::repaired))
    }
}
