//! MSG: one message or a piece of one (spec: wire.md, section 5).

use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::options::{Extras, MAX_TTL_MS, Options};
use super::{DecodeError, Reader, varint};

/// How a message's number was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireId {
    /// One more than the previous MSG of this record.
    Next,
    /// The low 8 bits.
    Low8(u8),
    /// The low 16 bits.
    Low16(u16),
    /// The low 32 bits.
    Low32(u32),
}

/// Where a piece belongs in its message, by bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Length of the whole message.
    pub total: u64,
    /// Where this piece starts.
    pub offset: u64,
}

impl Fragment {
    /// Succeeds when a piece of `len` bytes lies within its message, and is empty only if the message is.
    fn check(self, len: u64) -> Result<(), DecodeError> {
        if self.total.checked_sub(self.offset).is_none_or(|room| len > room) {
            return Err(DecodeError::Invalid("MSG: a piece reaches past the end of its message"));
        }
        if len == 0 && self.total > 0 {
            return Err(DecodeError::Invalid("MSG: an empty piece of a message that is not"));
        }
        Ok(())
    }
}

/// What a message is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A message that nobody answers.
    #[default]
    OneWay,
    /// A request; the number is the requester's.
    Request(u64),
    /// The answer to the receiver's request of that number.
    Reply(u64),
    /// A part of an answer that comes in parts.
    ReplyPart {
        /// The request.
        request: u64,
        /// How many parts come before it.
        index: u32,
        /// Whether it is the last one, which ends the request.
        last: bool,
    },
    /// The receiver's request of that number failed.
    ReplyError {
        /// The request.
        request: u64,
        /// Why: below 0x100 the transport's, where bit 7 says that it was surely not processed; above, the application's.
        code: u64,
        /// How many parts of an answer come before it; `None` where none do.
        index: Option<NonZeroU32>,
    },
}

/// ```text
/// 1qqciile | channel vi64 (c) | id 1, 2 or 4 (ii) | ext 1 (e) | total, offset vi64 (f) | request vi64, code vi64, place vi64 (kk, m)
///          | ttl vi64 (t) | options: vi64 length, bytes (x) | length vi64 (l) | payload
/// ext: fkktax0m
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msg<'a> {
    /// Class code, 0 to 3.
    pub class: u8,
    /// The channel.
    pub channel: u32,
    /// The message's number in (channel, class).
    pub id: WireId,
    /// Set for a piece of a larger message.
    pub fragment: Option<Fragment>,
    /// What it is for.
    pub kind: Kind,
    /// What else it says.
    pub extras: Extras<'a>,
    /// The bytes.
    pub payload: &'a [u8],
}

/// A whole message that says nothing beside its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'a> {
    pub(crate) class: u8,
    pub(crate) channel: u32,
    pub(crate) id: WireId,
    pub(crate) payload: &'a [u8],
}

impl<'a> Plain<'a> {
    /// Reads on behind the type byte `ty` of a MSG; `None` when it says more, and then nothing was read.
    #[inline]
    pub(super) fn decode(
        ty: u8,
        context: &mut Context,
        reader: &mut Reader<'a>,
    ) -> Option<Result<Self, DecodeError>> {
        (ty & HAS_EXT == 0).then(|| {
            let (class, channel, id) = Msg::decode_head(ty, context, reader)?;
            let payload = Msg::decode_payload(ty, reader)?;
            context.previous = Some((class, channel));
            Ok(Self { class, channel, id, payload })
        })
    }

    /// The same as any other message.
    pub(crate) fn to_msg(self) -> Msg<'a> {
        let Self { class, channel, id, payload } = self;
        let (fragment, kind, extras) = Extension::default();
        Msg { class, channel, id, fragment, kind, extras, payload }
    }

    /// Appends it behind another one of its class and channel, of which it is the next, and before a further one.
    #[inline]
    pub(super) fn encode_between(class: u8, payload: &[u8], buf: &mut Vec<u8>) {
        let ty = MSG | class << 5 | HAS_LENGTH;
        let [high, low] = (payload.len() as u16).to_be_bytes();
        match payload.len() {
            0..0x80 => buf.extend_from_slice(&[ty, low]),
            0x80..0x4000 => buf.extend_from_slice(&[ty, high | 0x80, low]),
            len => {
                buf.push(ty);
                varint::encode(len as u64, buf);
            }
        }
        buf.extend_from_slice(payload);
    }

    /// Appends this frame; `last` says that nothing follows it in the record.
    #[inline]
    pub(super) fn encode(&self, last: bool, context: &mut Context, buf: &mut Vec<u8>) {
        let Self { class, channel, id, payload } = *self;
        let ty = MSG | class << 5 | if last { 0 } else { HAS_LENGTH };
        match id {
            WireId::Next if channel == context.channel() => buf.push(ty),
            WireId::Low16(low) if channel == context.channel() => {
                let [high, low] = low.to_be_bytes();
                buf.extend_from_slice(&[ty | LOW16, high, low]);
                context.previous = Some((class, channel));
            }
            _ => encode_head(class, channel, id, ty & HAS_LENGTH, context, buf),
        }
        if !last {
            varint::encode(payload.len() as u64, buf);
        }
        buf.extend_from_slice(payload);
    }
}

/// Appends the type byte with `flags`, the channel where it is another one, and the number.
#[inline]
fn encode_head(class: u8, channel: u32, id: WireId, flags: u8, context: &mut Context, buf: &mut Vec<u8>) {
    let has_channel = channel != context.channel();
    let code = match id {
        WireId::Next => 0,
        WireId::Low8(_) => 1,
        WireId::Low16(_) => 2,
        WireId::Low32(_) => 3,
    };
    let named = if has_channel { HAS_CHANNEL } else { 0 };
    buf.push(MSG | class << 5 | named | code << 2 | flags);
    if has_channel {
        varint::encode(channel.into(), buf);
    }
    match id {
        WireId::Next => {}
        WireId::Low8(low) => buf.push(low),
        WireId::Low16(low) => buf.extend_from_slice(&low.to_be_bytes()),
        WireId::Low32(low) => buf.extend_from_slice(&low.to_be_bytes()),
    }
    context.previous = Some((class, channel));
}

/// What the previous MSG of a record leaves for the next one to refer to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    previous: Option<(u8, u32)>,
}

impl Context {
    /// Whether no MSG came before.
    pub(super) const fn is_new(&self) -> bool {
        self.previous.is_none()
    }

    const fn channel(self) -> u32 {
        match self.previous {
            Some((_, channel)) => channel,
            None => 0,
        }
    }

    /// Whether a MSG of this class and channel may refer to the previous one's number.
    pub(super) fn continues(self, class: u8, channel: u32) -> bool {
        self.previous == Some((class, channel))
    }
}

pub(super) const MSG: u8 = 0x80;
pub(super) const HAS_CHANNEL: u8 = 0x10;
pub(super) const HAS_LENGTH: u8 = 0x02;
pub(super) const HAS_EXT: u8 = 0x01;
/// How many bits the number has.
pub(super) const NUMBER: u8 = 0x0C;
/// 16 bits.
pub(super) const LOW16: u8 = 0x08;
const EXT_FRAGMENT: u8 = 0x80;
const EXT_TTL: u8 = 0x10;
const EXT_RECEIPT: u8 = 0x08;
const EXT_OPTIONS: u8 = 0x04;
const EXT_RESERVED: u8 = 0x02;
const EXT_MORE: u8 = 0x01;

/// What the extension byte announces.
type Extension<'a> = (Option<Fragment>, Kind, Extras<'a>);

impl WireId {
    /// Bytes that it takes.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Next => 0,
            Self::Low8(_) => 1,
            Self::Low16(_) => 2,
            Self::Low32(_) => 4,
        }
    }
}

impl<'a> Msg<'a> {
    #[inline]
    pub(super) fn decode(
        ty: u8,
        context: &mut Context,
        reader: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let (class, channel, id) = Self::decode_head(ty, context, reader)?;
        let (fragment, kind, extras) =
            if ty & HAS_EXT == 0 { Extension::default() } else { Self::decode_ext(reader)? };
        let payload = Self::decode_payload(ty, reader)?;
        if let Some(fragment) = fragment {
            fragment.check(payload.len() as u64)?;
        }
        context.previous = Some((class, channel));
        Ok(Self { class, channel, id, fragment, kind, extras, payload })
    }

    /// The same for who only wants to know whether it is right.
    #[inline]
    pub(super) fn check(ty: u8, context: &mut Context, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        if ty & HAS_EXT != 0 {
            return Self::check_ext(ty, context, reader);
        }
        let (class, channel, _) = Self::decode_head(ty, context, reader)?;
        Self::decode_payload(ty, reader)?;
        context.previous = Some((class, channel));
        Ok(())
    }

    #[inline(never)]
    fn check_ext(ty: u8, context: &mut Context, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        Self::decode(ty, context, reader).map(|_| ())
    }

    #[expect(clippy::inline_always, reason = "every packet comes through here, and the parts are small")]
    #[inline(always)]
    pub(super) fn decode_head(
        ty: u8,
        context: &Context,
        reader: &mut Reader<'a>,
    ) -> Result<(u8, u32, WireId), DecodeError> {
        let class = ty >> 5 & 3;
        let channel = if ty & HAS_CHANNEL == 0 {
            context.channel()
        } else {
            let channel = reader.vi64_upto(u32::MAX.into(), "channel id over 2^32 - 1")? as u32;
            if channel == context.channel() {
                return Err(DecodeError::Invalid("MSG: the channel of the previous one is repeated"));
            }
            channel
        };
        let id = match ty >> 2 & 3 {
            0 if !context.continues(class, channel) => {
                return Err(DecodeError::Invalid("MSG: no previous message of this channel and class"));
            }
            0 => WireId::Next,
            1 => WireId::Low8(reader.u8()?),
            2 => WireId::Low16(reader.u16()?),
            _ => WireId::Low32(reader.u32()?),
        };
        Ok((class, channel, id))
    }

    #[expect(clippy::inline_always, reason = "every packet comes through here, and the parts are small")]
    #[inline(always)]
    fn decode_payload(ty: u8, reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
        if ty & HAS_LENGTH == 0 {
            return reader.take(reader.rest().len());
        }
        let len = reader.vi64()?;
        let payload = reader.take(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)?;
        if reader.is_empty() {
            return Err(DecodeError::Invalid("MSG: the last frame of a record has a length"));
        }
        Ok(payload)
    }

    #[inline(never)]
    fn decode_ext(reader: &mut Reader<'a>) -> Result<Extension<'a>, DecodeError> {
        let ext = reader.u8()?;
        if ext == 0 {
            return Err(DecodeError::Invalid("MSG: an empty extension byte"));
        }
        if ext & EXT_RESERVED != 0 {
            return Err(DecodeError::Invalid("MSG: an extension that was not negotiated"));
        }
        let fragment = if ext & EXT_FRAGMENT == 0 {
            None
        } else {
            Some(Fragment { total: reader.vi64()?, offset: reader.vi64()? })
        };
        let more = ext & EXT_MORE != 0;
        let kind = match ext >> 5 & 3 {
            0 | 1 if more => return Err(DecodeError::Invalid("MSG: parts of what is no reply")),
            2 if more => {
                let request = reader.vi64()?;
                let place =
                    reader.vi64_upto(2 * u64::from(u32::MAX) + 1, "MSG: over 2^32 parts of a reply")?;
                Kind::ReplyPart { request, index: (place >> 1) as u32, last: place & 1 != 0 }
            }
            0 => Kind::OneWay,
            1 => Kind::Request(reader.vi64()?),
            2 => Kind::Reply(reader.vi64()?),
            _ => {
                let (request, code) = (reader.vi64()?, reader.vi64()?);
                let index = if more {
                    reader.vi64_upto(u32::MAX.into(), "MSG: over 2^32 parts of a reply")?
                } else {
                    0
                };
                let index = NonZeroU32::new(index as u32);
                if more && index.is_none() {
                    return Err(DecodeError::Invalid("MSG: an error behind no part of a reply"));
                }
                Kind::ReplyError { request, code, index }
            }
        };
        let ttl = if ext & EXT_TTL == 0 {
            None
        } else {
            Some(reader.vi64_upto(MAX_TTL_MS.into(), "MSG: time to live over 24 h")? as u32)
        };
        let options = if ext & EXT_OPTIONS == 0 { Options::default() } else { Options::decode(reader)? };
        Ok((fragment, kind, Extras { ttl, receipt: ext & EXT_RECEIPT != 0, options }))
    }

    /// Appends this frame; `last` says that nothing follows it in the record.
    #[inline]
    pub(super) fn encode(&self, last: bool, context: &mut Context, buf: &mut Vec<u8>) {
        let has_ext = self.has_ext();
        let flags = if last { 0 } else { HAS_LENGTH } | if has_ext { HAS_EXT } else { 0 };
        encode_head(self.class, self.channel, self.id, flags, context, buf);
        if has_ext {
            self.encode_ext(buf);
        }
        if !last {
            varint::encode(self.payload.len() as u64, buf);
        }
        buf.extend_from_slice(self.payload);
    }

    #[inline]
    fn has_ext(&self) -> bool {
        let Extras { ttl, receipt, options } = self.extras;
        self.fragment.is_some()
            || self.kind.code() != 0
            || ttl.is_some()
            || receipt
            || !options.bytes().is_empty()
    }

    #[inline(never)]
    fn encode_ext(&self, buf: &mut Vec<u8>) {
        let Extras { ttl, receipt, options } = self.extras;
        let (fragmented, kind) = (self.fragment.is_some(), self.kind.code());
        let has_options = !options.bytes().is_empty();
        let flag = |set, bit| if set { bit } else { 0 };
        let more = matches!(self.kind, Kind::ReplyPart { .. } | Kind::ReplyError { index: Some(_), .. });
        buf.push(
            flag(fragmented, EXT_FRAGMENT)
                | kind << 5
                | flag(ttl.is_some(), EXT_TTL)
                | flag(receipt, EXT_RECEIPT)
                | flag(has_options, EXT_OPTIONS)
                | flag(more, EXT_MORE),
        );
        if let Some(Fragment { total, offset }) = self.fragment {
            varint::encode(total, buf);
            varint::encode(offset, buf);
        }
        match self.kind {
            Kind::OneWay => {}
            Kind::Request(request) | Kind::Reply(request) => varint::encode(request, buf),
            Kind::ReplyPart { request, index, last } => {
                varint::encode(request, buf);
                varint::encode(place(index, last), buf);
            }
            Kind::ReplyError { request, code, index } => {
                varint::encode(request, buf);
                varint::encode(code, buf);
                if let Some(index) = index {
                    varint::encode(index.get().into(), buf);
                }
            }
        }
        if let Some(ttl) = ttl {
            varint::encode(ttl.into(), buf);
        }
        if has_options {
            varint::encode(options.bytes().len() as u64, buf);
            buf.extend_from_slice(options.bytes());
        }
    }
}

impl Kind {
    /// Whether it is an answer to a request, or a part of one.
    pub(crate) const fn is_answer(self) -> bool {
        !matches!(self, Self::OneWay | Self::Request(_))
    }

    const fn code(self) -> u8 {
        match self {
            Self::OneWay => 0,
            Self::Request(_) => 1,
            Self::Reply(_) | Self::ReplyPart { .. } => 2,
            Self::ReplyError { .. } => 3,
        }
    }

    /// Bytes that this kind adds to a MSG, the extension byte not counted.
    pub(crate) const fn encoded_len(self) -> usize {
        match self {
            Self::OneWay => 0,
            Self::Request(request) | Self::Reply(request) => varint::len(request),
            Self::ReplyPart { request, index, last } => {
                varint::len(request) + varint::len(place(index, last))
            }
            Self::ReplyError { request, code, index } => {
                let index = match index {
                    Some(index) => varint::len(index.get() as u64),
                    None => 0,
                };
                varint::len(request) + varint::len(code) + index
            }
        }
    }
}

/// A part's place among the others: twice the number of those before it, and 1 for the last.
const fn place(index: u32, last: bool) -> u64 {
    index as u64 * 2 + last as u64
}
