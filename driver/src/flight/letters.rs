//! What the shards of a server and its services say to each other, as bytes.

use proto_core::server::{Order, Report, Told};
use proto_core::wire::{DecodeError, Reader};
use proto_core::{CloseReason, Closed, Received};

use super::code::{Get, Put, fields};

fields! {
    Received { payload, class, number, gap, request, cancelled, receipt, batch }
    Closed { reason, advice, retry_after, unsent, unacked, next }
}

/// Its place among the reasons, and what comes with it.
impl Put for CloseReason {
    fn put(&self, buf: &mut Vec<u8>) {
        match self {
            Self::Local { code } => (0_u8, code).put(buf),
            Self::Peer { code, reason } => (1_u8, code, reason).put(buf),
            Self::TimedOut => 2_u8.put(buf),
            Self::Reset => 3_u8.put(buf),
            Self::PeerMisbehaved(how) => (4_u8, how.as_bytes()).put(buf),
            Self::VersionMismatch => 5_u8.put(buf),
            Self::NotEncrypted => 6_u8.put(buf),
            Self::LinkLost => 7_u8.put(buf),
            Self::Dial(error) => (8_u8, error).put(buf),
            Self::Ended { panicked } => (9_u8, panicked).put(buf),
            // One that this does not know yet cannot be replayed.
            _ => u8::MAX.put(buf),
        }
    }
}

impl Get for CloseReason {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::get(from)? {
            0 => Self::Local { code: Get::get(from)? },
            1 => Self::Peer { code: Get::get(from)?, reason: Get::get(from)? },
            2 => Self::TimedOut,
            3 => Self::Reset,
            // A replay is a short process.
            4 => Self::PeerMisbehaved(Box::leak(Box::<str>::get(from)?)),
            5 => Self::VersionMismatch,
            6 => Self::NotEncrypted,
            7 => Self::LinkLost,
            8 => Self::Dial(Get::get(from)?),
            9 => Self::Ended { panicked: Get::get(from)? },
            _ => return Err(DecodeError::Invalid("a reason is unknown")),
        })
    }
}

impl<A: Put> Put for Report<A> {
    fn put(&self, buf: &mut Vec<u8>) {
        self.shard.put(buf);
        match &self.what {
            Told::Connected(id, address) => (0_u8, id, address).put(buf),
            Told::Opened(id, channel, name) => (1_u8, id, channel, name).put(buf),
            Told::Message(id, channel, message) => (2_u8, id, channel, message).put(buf),
            Told::Queued(id, channel, cost) => (3_u8, id, channel, cost).put(buf),
            Told::Closed(id, closed) => (4_u8, id, closed).put(buf),
            Told::Drained => 5_u8.put(buf),
        }
    }
}

impl<A: Get> Get for Report<A> {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let shard = Get::get(from)?;
        let what = match u8::get(from)? {
            0 => Told::Connected(Get::get(from)?, Get::get(from)?),
            1 => Told::Opened(Get::get(from)?, Get::get(from)?, Get::get(from)?),
            2 => Told::Message(Get::get(from)?, Get::get(from)?, Get::get(from)?),
            3 => Told::Queued(Get::get(from)?, Get::get(from)?, Get::get(from)?),
            4 => Told::Closed(Get::get(from)?, Get::get(from)?),
            5 => Told::Drained,
            _ => return Err(DecodeError::Invalid("a report is unknown")),
        };
        Ok(Self { shard, what })
    }
}

impl Put for Order {
    fn put(&self, buf: &mut Vec<u8>) {
        match self {
            Self::Send(id, channel, message) => (0_u8, id, channel, message).put(buf),
            Self::Taken(id, channel, cost) => (1_u8, id, channel, cost).put(buf),
            Self::Refuse(id, request, code) => (2_u8, id, request, code).put(buf),
            Self::Close(id, close) => (3_u8, id, close).put(buf),
            Self::Drain(how) => (4_u8, how).put(buf),
        }
    }
}

impl Get for Order {
    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::get(from)? {
            0 => Self::Send(Get::get(from)?, Get::get(from)?, Get::get(from)?),
            1 => Self::Taken(Get::get(from)?, Get::get(from)?, Get::get(from)?),
            2 => Self::Refuse(Get::get(from)?, Get::get(from)?, Get::get(from)?),
            3 => Self::Close(Get::get(from)?, Get::get(from)?),
            4 => Self::Drain(Get::get(from)?),
            _ => return Err(DecodeError::Invalid("an order is unknown")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proto_core::{
        Advice, ChannelId, Class, Close, ConnectionId, DialError, Distrust, Drain, RequestId, Shard,
    };

    use super::super::code::get;
    use super::*;

    fn bytes(what: &impl Put) -> Vec<u8> {
        let mut buf = Vec::new();
        what.put(&mut buf);
        buf
    }

    #[test]
    fn letters_are_read_as_they_were_written() {
        let (id, channel) = (ConnectionId::from_number(7 << 32 | 3), ChannelId(5));
        let received = Received {
            payload: Bytes::from_static(b"words"),
            class: Class::ReliableOrdered,
            number: 300,
            gap: 2,
            request: Some(RequestId(9)),
            cancelled: true,
            receipt: None,
            batch: None,
        };
        let reasons = [
            CloseReason::Local { code: 300 },
            CloseReason::Peer { code: 1, reason: "words".into() },
            CloseReason::TimedOut,
            CloseReason::Reset,
            CloseReason::PeerMisbehaved("how"),
            CloseReason::VersionMismatch,
            CloseReason::NotEncrypted,
            CloseReason::LinkLost,
            CloseReason::Dial(DialError::Untrusted(Distrust::Expired)),
            CloseReason::Ended { panicked: true },
        ];
        let closed = reasons.map(|reason| Closed {
            reason,
            advice: Advice::After,
            retry_after: Some(Duration::from_millis(1_500)),
            unsent: 1,
            unacked: 2,
            next: Some(id),
        });
        let told = [
            Told::Connected(id, 4711_u64),
            Told::Opened(id, channel, "room".into()),
            Told::Message(id, channel, received),
            Told::Queued(id, channel, 1 << 20),
            Told::Drained,
        ];
        for what in told.into_iter().chain(closed.map(|closed| Told::Closed(id, closed))) {
            let report = Report { shard: Shard(200), what };
            assert_eq!(get(&bytes(&report)), Ok(report));
        }
        let orders = [
            Order::Send(id, channel, proto_core::Message::new("words")),
            Order::Taken(id, channel, 77),
            Order::Refuse(id, RequestId(3), 4),
            Order::Close(id, Close { reason: "why".into(), ..Close::default() }),
            Order::Drain(Drain { uri: "elsewhere".into(), ..Drain::default() }),
        ];
        for order in orders {
            assert_eq!(get(&bytes(&order)), Ok(order));
        }
    }
}
