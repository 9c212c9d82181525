//! Bytes to frames and back; no state. `docs/spec/wire.md` is the specification.
//!
//! A datagram is a header, a record and a tag ([`packet`]); a record is a sequence of frames ([`frame`]). Everything has
//! exactly one legal encoding, so decoding and encoding again gives the same bytes.

mod ack;
pub mod checksum;
mod cid;
mod control;
mod delivery;
pub mod frame;
mod handshake;
mod message;
mod options;
pub mod packet;
pub mod params;
mod rate;
mod reader;
mod resume;
mod run;
pub(crate) mod sealed;
mod time;
pub mod varint;

pub(crate) use ack::MAX_RANGES;
pub use ack::{Ack, AckRange, EcnCounts};
pub use cid::NewCid;
pub use control::{Advice, Close, Credit, GoAway, OpenChannel};
pub(crate) use control::{MAX_NAME, MAX_REASON, MAX_URI};
pub use delivery::{FragAbort, MsgAck, Report, Reported, Skip, Skipped, Status};
pub(crate) use delivery::{MAX_RECEIPT_RANGES, MAX_REPORTS, MAX_SKIPS};
pub use frame::{Frame, Record, RecordWriter};
pub use handshake::{Accept, Init, MAX_MESSAGE, MAX_TOKEN, MAX_VERSIONS, Version};
pub(crate) use message::Plain;
pub use message::{Fragment, Kind, Msg, WireId};
pub(crate) use options::MAX_TTL_MS;
pub use options::{Batch, Extras, Options};
pub use packet::{Cid, Long, LongKind, Packet, Short};
pub use rate::{Rate, RateLimit, RateScope};
pub use reader::{DecodeError, Reader};
#[cfg(test)]
pub(crate) use resume::MAX_STATE_PARTS;
pub use resume::{Attach, Claim, ResumeState, StateLine};
pub(crate) use resume::{MAX_STATE_LINES, MAX_STATE_RANGES};
pub(crate) use run::PlainRun;
pub use time::TimeSample;

#[cfg(test)]
mod tests;
