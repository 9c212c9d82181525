//! Defects that the tests must find. Built only with `--cfg planted`.

/// One defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A message that arrives again is delivered again.
    DedupOff,
    /// An ordered message is delivered before the one missing in front of it.
    DeliverOverGap,
    /// The probe timeout never fires.
    PtoNeverFires,
    /// The credit of some messages is never given back.
    CreditLeak,
    /// Limits on unreliable messages are neither kept nor enforced.
    RateUnenforced,
    /// The parts of a reply travel without an order.
    ReplyPartsUnordered,
}
