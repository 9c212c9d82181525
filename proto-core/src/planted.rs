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
    /// What waits for the rate of a channel whose newest must arrive is dropped.
    RateLosesNewest,
    /// An older sequenced message is delivered after a newer one.
    AnySequence,
    /// What arrives is delivered however old it is.
    Immortal,
    /// A SKIP that is lost is not repeated.
    SkipOnce,
    /// A MSG_ACK that is lost is not repeated.
    ReceiptOnce,
    /// A message that is replaced while it waits has no fate.
    SilentlySuperseded,
    /// The credit of what was skipped is not given back.
    SkipLeak,
    /// A client is let in before the application has decided.
    AdmitsAnyone,
}
