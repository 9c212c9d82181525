//! What inputs hold, as bytes.

use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use bytes::Bytes;
use proto_core::wire::{DecodeError, Reader, varint};
use proto_core::{
    Advice, Batch, ChannelId, ChannelOptions, Class, Close, ConnectionId, Credentials, DialError, DialId,
    Distrust, Drain, Ecn, Link, LinkId, Message, MessageId, Policy, Rate, ReceiptId, ReceiptKind,
    ReceiveLimits, RequestId, SendLimits, Shard, UnixPeer,
};

use crate::node::ReplyKind;
use crate::{Path, Peer, Scheme, UnixCredentials};

/// Has a form as bytes.
pub trait Put {
    /// Appends it to `buf`.
    fn put(&self, buf: &mut Vec<u8>);
}

/// Is read as [`Put`] wrote it.
pub trait Get: Sized {
    /// Takes it off the front.
    ///
    /// # Errors
    /// If that is none.
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// All of `bytes`, as it was written.
///
/// # Errors
/// If it is something else, or there is more.
pub fn get<T: Get>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = T::get(&mut reader)?;
    if reader.is_empty() { Ok(value) } else { Err(DecodeError::Trailing) }
}

impl<T: Put + ?Sized> Put for &T {
    fn put(&self, buf: &mut Vec<u8>) {
        (**self).put(buf);
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Put for $type {
            fn put(&self, buf: &mut Vec<u8>) {
                varint::encode(u64::from(*self), buf);
            }
        }

        impl Get for $type {
            fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.vi64()?.try_into().map_err(|_| DecodeError::Invalid("a number is too large"))
            }
        }
    )*};
}

number!(u8, u16, u32, u64);

impl Put for usize {
    fn put(&self, buf: &mut Vec<u8>) {
        (*self as u64).put(buf);
    }
}

impl Get for usize {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.vi64()?.try_into().map_err(|_| DecodeError::Invalid("a number is too large"))
    }
}

macro_rules! named {
    ($($type:ty: $number:ident, $from:expr);* $(;)?) => {$(
        impl Put for $type {
            fn put(&self, buf: &mut Vec<u8>) {
                self.$number().put(buf);
            }
        }

        impl Get for $type {
            fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.vi64().map($from)
            }
        }
    )*};
}

named! {
    ConnectionId: number, Self::from_number;
    LinkId: number, Self::from_number;
    DialId: number, Self::from_number;
}

/// Values without data, by their place in a list.
macro_rules! words {
    ($($type:ty: [$($word:ident),*]);* $(;)?) => {$(
        impl Put for $type {
            fn put(&self, buf: &mut Vec<u8>) {
                let place = [$(Self::$word),*].iter().position(|word| word == self);
                place.unwrap_or_default().put(buf);
            }
        }

        impl Get for $type {
            fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let place = usize::get(from)?;
                [$(Self::$word),*].get(place).copied().ok_or(DecodeError::Invalid("a word is unknown"))
            }
        }
    )*};
}

words! {
    Class: [ReliableOrdered, ReliableUnordered, Unreliable, Sequenced];
    ReceiptKind: [None, Arrival, Processing];
    Policy: [FailFast, DropNew, DropOld, Replace];
    Advice: [Never, Now, After, Elsewhere];
    Ecn: [Ect0, Ect1, Ce];
    Distrust: [UnknownIssuer, WrongName, Expired, NotYetValid, Authority, Other];
}

impl Put for DialError {
    fn put(&self, buf: &mut Vec<u8>) {
        let (place, status): (u8, u16) = match *self {
            Self::Refused => (0, 0),
            Self::Unreachable => (1, 0),
            Self::TimedOut => (2, 0),
            Self::Untrusted(why) => return (3_u8, why).put(buf),
            Self::NotAllowed => (4, 0),
            Self::NoAddress => (6, 0),
            Self::Http(status) => (7, status),
            Self::Unauthenticated => (8, 0),
            Self::Foreign => (9, 0),
            Self::HungUp => (10, 0),
            _ => (5, 0),
        };
        (place, status).put(buf);
    }
}

impl Get for DialError {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let place = u8::get(from)?;
        if place == 3 {
            return Get::get(from).map(Self::Untrusted);
        }
        Ok(match (place, u16::get(from)?) {
            (0, _) => Self::Refused,
            (1, _) => Self::Unreachable,
            (2, _) => Self::TimedOut,
            (4, _) => Self::NotAllowed,
            (5, _) => Self::Unsupported,
            (6, _) => Self::NoAddress,
            (7, status) => Self::Http(status),
            (8, _) => Self::Unauthenticated,
            (9, _) => Self::Foreign,
            (10, _) => Self::HungUp,
            _ => return Err(DecodeError::Invalid("a word is unknown")),
        })
    }
}

macro_rules! fields {
    ($($type:ident { $($field:ident),* })*) => {$(
        impl Put for $type {
            fn put(&self, buf: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(buf);)*
            }
        }

        impl Get for $type {
            fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Get::get(from)?),* })
            }
        }
    )*};
}

pub(super) use fields;

fields! {
    MessageId { channel, class, number }
    ReceiptId { channel, class, number }
    Batch { number, is_last }
    Message { payload, class, receipt, lifetime, key, max_retransmits, batch }
    Rate { messages, message_burst, bytes, byte_burst }
    SendLimits { messages, bytes, low_water, policy }
    ReceiveLimits { messages, bytes }
    ChannelOptions { name, classes, priority, weight, reliable_sequenced, send, receive }
    Close { code, reason, advice, retry_after, linger }
    Drain { timeout, advice, retry_after, spread, uri }
    Path { socket, peer }
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        impl<$($name: Put),*> Put for ($($name,)*) {
            #[allow(non_snake_case, reason = "a value is called as its type is")]
            fn put(&self, buf: &mut Vec<u8>) {
                let ($($name,)*) = self;
                $($name.put(buf);)*
            }
        }

        impl<$($name: Get),*> Get for ($($name,)*) {
            fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::get(from)?,)*))
            }
        }
    )*};
}

tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

impl Put for () {
    fn put(&self, _: &mut Vec<u8>) {}
}

impl Put for Shard {
    fn put(&self, buf: &mut Vec<u8>) {
        self.0.put(buf);
    }
}

impl Get for Shard {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u8::get(from).map(Self)
    }
}

impl Put for ChannelId {
    fn put(&self, buf: &mut Vec<u8>) {
        self.0.put(buf);
    }
}

impl Get for ChannelId {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::get(from).map(Self)
    }
}

impl Put for RequestId {
    fn put(&self, buf: &mut Vec<u8>) {
        self.0.put(buf);
    }
}

impl Get for RequestId {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u64::get(from).map(Self)
    }
}

/// A message of which only the length is there; it is read as so many zeros.
pub(super) struct Hollow(pub(super) Message);

impl Put for Hollow {
    fn put(&self, buf: &mut Vec<u8>) {
        let Self(message) = self;
        let hollow = Message { payload: Bytes::new(), ..message.clone() };
        (message.payload.len(), hollow).put(buf);
    }
}

impl Get for Hollow {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (len, message) = <(usize, Message)>::get(from)?;
        Ok(Self(Message { payload: zeros(len), ..message }))
    }
}

/// More is refused as this is.
const MOST: usize = 1 << 28;

pub(super) fn zeros(len: usize) -> Bytes {
    vec![0; len.min(MOST)].into()
}

impl Put for ReplyKind {
    fn put(&self, buf: &mut Vec<u8>) {
        match self {
            Self::Reply => 0_u8.put(buf),
            Self::Part => 1_u8.put(buf),
            Self::Error { code } => (2_u8, code).put(buf),
        }
    }
}

impl Get for ReplyKind {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::get(from)? {
            0 => Self::Reply,
            1 => Self::Part,
            _ => Self::Error { code: u64::get(from)? },
        })
    }
}

impl Put for bool {
    fn put(&self, buf: &mut Vec<u8>) {
        buf.push(u8::from(*self));
    }
}

impl Get for bool {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.u8().map(|byte| byte != 0)
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, buf: &mut Vec<u8>) {
        self.is_some().put(buf);
        if let Some(value) = self {
            value.put(buf);
        }
    }
}

impl<T: Get> Get for Option<T> {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bool::get(from)?.then(|| T::get(from)).transpose()
    }
}

impl Put for Duration {
    fn put(&self, buf: &mut Vec<u8>) {
        (self.as_secs(), self.subsec_nanos()).put(buf);
    }
}

impl Get for Duration {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (seconds, nanos) = <(u64, u32)>::get(from)?;
        if nanos < 1_000_000_000 {
            Ok(Self::new(seconds, nanos))
        } else {
            Err(DecodeError::Invalid("a duration"))
        }
    }
}

impl Put for [u8] {
    fn put(&self, buf: &mut Vec<u8>) {
        self.len().put(buf);
        buf.extend_from_slice(self);
    }
}

impl Put for Bytes {
    fn put(&self, buf: &mut Vec<u8>) {
        self[..].put(buf);
    }
}

impl Get for Bytes {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.bytes(usize::MAX, "bytes").map(Self::copy_from_slice)
    }
}

impl<const N: usize> Put for [u8; N] {
    fn put(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(self);
    }
}

impl<const N: usize> Get for [u8; N] {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.array()
    }
}

impl Put for String {
    fn put(&self, buf: &mut Vec<u8>) {
        self.as_bytes().put(buf);
    }
}

impl Get for String {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.str(usize::MAX, "a text").map(Self::from)
    }
}

impl Put for Box<str> {
    fn put(&self, buf: &mut Vec<u8>) {
        self.as_bytes().put(buf);
    }
}

impl Get for Box<str> {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        String::get(from).map(Into::into)
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, buf: &mut Vec<u8>) {
        self.len().put(buf);
        for one in self {
            one.put(buf);
        }
    }
}

impl<T: Get> Get for Vec<T> {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        (0..from.vi64()?).map(|_| T::get(from)).collect()
    }
}

impl Put for Box<[Class]> {
    fn put(&self, buf: &mut Vec<u8>) {
        self.to_vec().put(buf);
    }
}

impl Get for Box<[Class]> {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::get(from).map(Into::into)
    }
}

/// Of a stream; those of datagrams are all the same.
impl Put for Link {
    fn put(&self, buf: &mut Vec<u8>) {
        self.max_packet().put(buf);
    }
}

impl Get for Link {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u16::get(from).map(Self::stream)
    }
}

/// What a stream vouches for: neither a token nor a key.
impl Put for Credentials {
    fn put(&self, buf: &mut Vec<u8>) {
        let unix = |UnixPeer { pid, uid, gid }| (pid.map(i32::cast_unsigned), uid, gid);
        (self.unix.map(unix), &self.certificates).put(buf);
    }
}

impl Get for Credentials {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        type Unix = (Option<u32>, u32, u32);
        let (unix, certificates) = <(Option<Unix>, Vec<Bytes>)>::get(from)?;
        let unix = unix.map(|(pid, uid, gid)| UnixPeer { pid: pid.map(u32::cast_signed), uid, gid });
        let mut vouched = Self::default();
        (vouched.unix, vouched.certificates) = (unix, certificates);
        Ok(vouched)
    }
}

impl Put for SocketAddr {
    fn put(&self, buf: &mut Vec<u8>) {
        self.port().put(buf);
        match self {
            Self::V4(place) => (true, place.ip().octets()).put(buf),
            Self::V6(place) => {
                (false, place.ip().octets(), place.flowinfo(), place.scope_id()).put(buf);
            }
        }
    }
}

impl Get for SocketAddr {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (port, is_v4) = <(u16, bool)>::get(from)?;
        if is_v4 {
            return Ok(Self::new(<[u8; 4]>::get(from)?.into(), port));
        }
        let (ip, flow, zone) = <([u8; 16], u32, u32)>::get(from)?;
        Ok(SocketAddrV6::new(ip.into(), port, flow, zone).into())
    }
}

/// The place of its scheme among all, and what the link tells.
impl Put for Peer {
    fn put(&self, buf: &mut Vec<u8>) {
        let scheme = self.scheme();
        Scheme::ALL.iter().position(|one| *one == scheme).unwrap_or_default().put(buf);
        match self {
            Self::Udp(address) => address.put(buf),
            Self::Dialed(_, place) => (true, *place).put(buf),
            Self::Stream(_, address) => (false, address).put(buf),
            Self::Unix(credentials) => {
                let numbers = |UnixCredentials { pid, uid, gid }| (i32::cast_unsigned(pid), uid, gid);
                (false, credentials.map(numbers)).put(buf);
            }
        }
    }
}

impl Get for Peer {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let scheme = *Scheme::ALL.get(usize::get(from)?).ok_or(DecodeError::Invalid("a scheme"))?;
        if scheme == Scheme::Udp {
            return SocketAddr::get(from).map(Self::Udp);
        }
        if bool::get(from)? {
            return u32::get(from).map(|place| Self::Dialed(scheme, place));
        }
        if scheme != Scheme::Uds {
            return SocketAddr::get(from).map(|address| Self::Stream(scheme, address));
        }
        let numbers = Option::<(u32, u32, u32)>::get(from)?;
        Ok(Self::Unix(numbers.map(|(pid, uid, gid)| UnixCredentials { pid: pid.cast_signed(), uid, gid })))
    }
}
