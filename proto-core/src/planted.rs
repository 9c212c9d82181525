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
    /// What was handed to a stream is taken for delivered.
    WrittenIsAcked,
    /// The credit of what was skipped is not given back.
    SkipLeak,
    /// When a session goes on over another link, unordered messages that were under way are forgotten.
    ResumeForgets,
    /// What comes over a new link is told before it is told how the session goes on.
    GateOpen,
    /// More messages are announced as lost with a link than were.
    GapTwice,
    /// What has just arrived over the old link is asked for again over the new one.
    ResumeTwice,
    /// Packets of the old link are taken in while there is a new one.
    FenceOpen,
    /// A piece of a message that arrives again counts again.
    PiecesCountTwice,
    /// A retry token is good for everybody.
    TokenForAnyone,
    /// A client that was told that its server is going away begins new things.
    BeginsAnew,
    /// `Established` is told twice.
    EstablishedTwice,
    /// `Closed` is told twice.
    ClosedTwice,
    /// `Writable` is told twice.
    WritableTwice,
    /// Closing lingers for a minute longer than it may.
    LingersOn,
    /// Unreliable messages are kept however full their queue is.
    Hoards,
    /// The word that a message was rejected makes its sender panic.
    Panics,
    /// The next deadline is always now.
    BusyLoop,
    /// What is random differs from run to run.
    Unrepeatable,
    /// Some drops are not counted for their channel.
    Uncounted,
    /// A connection that was put away has forgotten how far its channels had come.
    SleepForgets,
    /// A client is let in before the application has decided.
    AdmitsAnyone,
    /// A client is followed to another address before it has proven to be there.
    MovesUnproven,
    /// Probing packets move a client.
    ProbesMove,
    /// A packet that was not proven to be the peer's is remembered as one that arrived.
    WindowBeforeTag,
    /// The peer's new key is taken, and its own is not replaced.
    UpdateForgetsSide,
}

/// A seed that no other run has, if that is the defect.
pub(crate) fn seed(config: &crate::Config, mut seed: [u8; 32]) -> [u8; 32] {
    static RUNS: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(1);
    if config.planted == Some(Planted::Unrepeatable) {
        seed[0] ^= RUNS.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    }
    seed
}
