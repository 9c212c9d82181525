//! Credit: room for reliable messages, promised by their receiver as absolute counters (docs/spec/channels.md, section 3).
//!
//! A message is charged once, when its first piece is first sent: its length, and [`MESSAGE_COST`] for being a message.

use alloc::boxed::Box;

use super::rate::{Buckets, Shared};
use crate::wire::Rate;
use crate::{MESSAGE_COST, Timestamp};

/// What a message of `len` bytes is charged.
pub(crate) const fn cost(len: u64) -> u64 {
    len + MESSAGE_COST as u64
}

/// What this side may send.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendCredit {
    bytes: u64,
    messages: u64,
    used_bytes: u64,
    used_messages: u64,
}

impl SendCredit {
    pub(crate) const fn new(bytes: u64, messages: u64) -> Self {
        Self { bytes, messages, used_bytes: 0, used_messages: 0 }
    }

    /// Takes over the peer's counters where they have grown; `false` when they have not.
    pub(crate) fn raise(&mut self, bytes: u64, messages: u64) -> bool {
        let grew = bytes > self.bytes || messages > self.messages;
        self.bytes = self.bytes.max(bytes);
        self.messages = self.messages.max(messages);
        grew
    }

    /// Bytes and messages that may have been charged in all.
    pub(crate) const fn limit(&self) -> (u64, u64) {
        (self.bytes, self.messages)
    }

    pub(crate) const fn allows(&self, cost: u64) -> bool {
        self.used_messages < self.messages && self.used_bytes.saturating_add(cost) <= self.bytes
    }

    /// Messages, and what they may cost, that may still go.
    #[inline]
    pub(crate) const fn left(&self) -> (u64, u64) {
        (self.messages.saturating_sub(self.used_messages), self.bytes.saturating_sub(self.used_bytes))
    }

    pub(crate) const fn charge(&mut self, cost: u64) {
        self.charge_many(1, cost);
    }

    /// So many messages go out, which cost `cost` together.
    pub(crate) const fn charge_many(&mut self, messages: u64, cost: u64) {
        self.used_messages += messages;
        self.used_bytes += cost;
    }
}

/// What the peer may send.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveCredit {
    bytes: Window,
    messages: Window,
    /// What may come in by rate, whatever room there is.
    limit: Option<Box<Buckets>>,
}

/// One of the two counters.
#[derive(Clone, Copy, Debug)]
struct Window {
    size: u64,
    /// The most that one message needs.
    largest: u64,
    charged: u64,
    released: u64,
    granted: u64,
}

impl Window {
    const fn new(size: u64, largest: u64) -> Self {
        Self { size, largest, charged: 0, released: 0, granted: size }
    }

    const fn outstanding(&self) -> u64 {
        self.granted.saturating_sub(self.charged)
    }

    /// What may be granted in all, of which `available` may come in at present.
    fn target(&self, available: u64) -> u64 {
        let by_rate = self.charged.saturating_add(available);
        (self.released + self.size).min(by_rate).max(self.granted)
    }

    /// The least gain that is worth a CREDIT frame: a quarter of the window, or what the largest message lacks.
    fn step(&self, burst: u64) -> u64 {
        let quarter = (self.size.min(burst) / 4).max(1);
        match self.largest.saturating_sub(self.outstanding()) {
            0 => quarter,
            lacks => quarter.min(lacks),
        }
    }

    /// The same as [`Self::is_due`] where no rate limits anything.
    #[inline]
    fn is_due_unlimited(&self) -> bool {
        self.released + self.size >= self.granted + (self.size / 4).max(1)
            || self.outstanding() < self.largest && self.is_due_largest()
    }

    #[inline(never)]
    fn is_due_largest(&self) -> bool {
        self.is_due(u64::MAX, u64::MAX)
    }

    fn is_due(&self, available: u64, burst: u64) -> bool {
        self.target(available) - self.granted >= self.step(burst)
    }

    /// What must be available before a grant is due, when nothing else is missing.
    fn awaited(&self, burst: u64) -> u64 {
        let step = self.step(burst);
        if self.target(u64::MAX) - self.granted < step { 0 } else { self.outstanding().saturating_add(step) }
    }
}

impl ReceiveCredit {
    /// Room for this much, where no message costs more than `largest` bytes.
    pub(crate) const fn new(bytes: u64, messages: u64, largest: u64) -> Self {
        Self { bytes: Window::new(bytes, largest), messages: Window::new(messages, 1), limit: None }
    }

    /// Lets in no more than `rate`, from now on. What has been granted stays granted.
    pub(crate) fn limit(&mut self, now: Timestamp, rate: Option<Rate>) {
        if rate.is_some() || self.limit.is_some() {
            self.limit.get_or_insert_default().set_own(now, rate);
        }
    }

    /// Limits what is granted at first as well: nothing has been told to the peer yet.
    pub(crate) fn limited(mut self, now: Timestamp, rate: Option<Rate>) -> Self {
        self.limit(now, rate);
        self.limit_grants(self.available());
        self
    }

    /// Has granted no more than this; nothing has been told to the peer yet.
    pub(crate) fn limit_grants(&mut self, (messages, bytes): (u64, u64)) {
        self.bytes.granted = self.bytes.granted.min(bytes);
        self.messages.granted = self.messages.granted.min(messages);
    }

    /// Others' use of what it shares with them counts from here on.
    pub(crate) fn lend(&mut self, shared: Shared) {
        if shared.iter().any(Option::is_some) {
            self.limit.get_or_insert_default().set_shared(shared);
        }
    }

    /// Ends that; returns what is left.
    pub(crate) fn take_shared(&mut self) -> Shared {
        self.limit.as_mut().map(|limit| limit.take_shared()).unwrap_or_default()
    }

    /// Holds this many messages from now on, or what has been granted if that is more; whether that is another number.
    pub(crate) const fn hold_messages(&mut self, size: u64) -> bool {
        let is_other = self.messages.size != size;
        self.messages.size = size;
        is_other
    }

    /// The same of bytes, and not less than the largest message needs.
    pub(crate) fn hold_bytes(&mut self, size: u64) -> bool {
        let size = size.max(self.bytes.largest);
        core::mem::replace(&mut self.bytes.size, size) != size
    }

    /// Bytes that were charged and whose room is not free again.
    pub(crate) const fn unreleased_bytes(&self) -> u64 {
        self.bytes.charged.saturating_sub(self.bytes.released)
    }

    /// Messages that have been granted, less those whose room is free again.
    pub(crate) const fn unreleased_messages(&self) -> u64 {
        self.messages.granted.saturating_sub(self.messages.released)
    }

    /// Brings the limit up to the present.
    pub(crate) fn fill(&mut self, now: Timestamp) {
        if let Some(limit) = &mut self.limit {
            limit.fill(now);
        }
    }

    /// Whether an unreliable message or piece that costs this much may come in.
    pub(crate) fn lets_in(&self, messages: u64, bytes: u64) -> bool {
        self.limit.as_ref().is_none_or(|limit| {
            let (have_messages, have_bytes) = limit.available();
            let (message_burst, byte_burst) = limit.burst();
            messages.min(message_burst) <= have_messages && bytes.min(byte_burst) <= have_bytes
        })
    }

    /// When an unreliable message that costs `bytes` may come in, as of the last [`Self::fill`].
    pub(crate) fn lets_in_at(&self, now: Timestamp, bytes: u64) -> Timestamp {
        self.limit.as_ref().map_or(now, |limit| limit.ready_at(1, bytes))
    }

    /// It came in.
    pub(crate) fn charge_unreliable(&mut self, messages: u64, bytes: u64) {
        if let Some(limit) = &mut self.limit {
            limit.charge(messages, bytes);
        }
    }

    pub(crate) fn available(&self) -> (u64, u64) {
        self.limit.as_ref().map_or((u64::MAX, u64::MAX), |limit| limit.available())
    }

    fn burst(&self) -> (u64, u64) {
        self.limit.as_ref().map_or((u64::MAX, u64::MAX), |limit| limit.burst())
    }

    /// Whether so many messages that cost this much together were granted.
    #[inline]
    pub(crate) const fn allows(&self, messages: u64, cost: u64) -> bool {
        self.messages.charged.saturating_add(messages) <= self.messages.granted
            && self.bytes.charged.saturating_add(cost) <= self.bytes.granted
    }

    /// The first pieces of so many messages arrived; `false` when the peer had no credit for them.
    #[inline]
    pub(crate) fn charge(&mut self, messages: u64, cost: u64) -> bool {
        self.messages.charged += messages;
        self.bytes.charged = self.bytes.charged.saturating_add(cost);
        if let Some(limit) = &mut self.limit {
            limit.charge(messages, cost);
        }
        self.messages.charged <= self.messages.granted && self.bytes.charged <= self.bytes.granted
    }

    /// The application took so many messages; `true` when CREDIT is to go out.
    #[inline]
    pub(crate) fn release(&mut self, messages: u64, cost: u64) -> bool {
        self.messages.released += messages;
        self.bytes.released += cost;
        self.is_due()
    }

    /// Whether enough has gathered to be granted.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        if self.limit.is_none() {
            return self.bytes.is_due_unlimited() || self.messages.is_due_unlimited();
        }
        self.is_due_limited()
    }

    /// Whether the largest message might be shut out by what is left: nothing else than charging makes it so.
    #[inline]
    pub(crate) const fn is_tight(&self) -> bool {
        self.bytes.outstanding() < self.bytes.largest || self.messages.outstanding() < self.messages.largest
    }

    #[inline(never)]
    fn is_due_limited(&self) -> bool {
        let ((messages, bytes), (message_burst, byte_burst)) = (self.available(), self.burst());
        self.bytes.is_due(bytes, byte_burst) || self.messages.is_due(messages, message_burst)
    }

    /// When enough will have gathered, if all that is missing is time.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        let limit = self.limit.as_ref()?;
        let (message_burst, byte_burst) = limit.burst();
        let (messages, bytes) = (self.messages.awaited(message_burst), self.bytes.awaited(byte_burst));
        let by_messages = (messages > 0 && messages <= message_burst).then(|| limit.ready_at(messages, 0));
        let by_bytes = (bytes > 0 && bytes <= byte_burst).then(|| limit.ready_at(0, bytes));
        by_messages.into_iter().chain(by_bytes).min()
    }

    /// What the peer may have charged in all, in bytes and messages.
    pub(crate) fn grant(&mut self) -> (u64, u64) {
        let (messages, bytes) = self.available();
        self.bytes.granted = self.bytes.target(bytes);
        self.messages.granted = self.messages.target(messages);
        (self.bytes.granted, self.messages.granted)
    }

    /// What has been granted, in bytes and messages.
    pub(crate) const fn granted(&self) -> (u64, u64) {
        (self.bytes.granted, self.messages.granted)
    }
}

crate::sleep::saved!(SendCredit { bytes, messages, used_bytes, used_messages });

crate::sleep::saved!(ReceiveCredit { bytes, messages, limit });

crate::sleep::saved!(Window { size, largest, charged, released, granted });

#[cfg(test)]
mod tests {
    use super::{ReceiveCredit, SendCredit, Window};
    use crate::Timestamp;
    use crate::wire::Rate;

    /// All counters of a small window, and the same where they are about to wrap.
    #[test]
    fn a_window_grants_what_is_free_and_says_so_a_quarter_at_a_time() {
        for base in [0, u64::MAX - 40] {
            for (size, largest) in (1..=12).flat_map(|size| (0..=size).map(move |largest| (size, largest))) {
                for (released, used) in
                    (0..=12).flat_map(|used| (0..=used).map(move |released| (released, used)))
                {
                    for granted in used..=released + size {
                        let [charged, released, granted] =
                            [used, released, granted].map(|count| base + count);
                        let mut window = Window { size, largest, charged, released, granted };
                        let (free, left) = (released + size - granted, granted - charged);
                        let lacks = largest.saturating_sub(left);
                        let is_due = free >= (size / 4).max(1) || lacks > 0 && free >= lacks;
                        assert_eq!((window.outstanding(), window.target(u64::MAX)), (left, granted + free));
                        assert_eq!(window.is_due(u64::MAX, u64::MAX), is_due, "{window:?}");
                        assert_eq!(window.is_due_unlimited(), is_due, "{window:?}");
                        for available in 0..=size {
                            let by_rate = left.max(available.min(left + free));
                            assert_eq!(
                                window.target(available),
                                charged + by_rate,
                                "{window:?}, {available}"
                            );
                        }
                        if is_due {
                            window.granted = window.target(u64::MAX);
                            assert!(!window.is_due_unlimited(), "{window:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn credit_is_used_up_to_its_last_byte_and_message() {
        for (bytes, messages) in (0..=6).flat_map(|bytes| (0..=3).map(move |messages| (bytes, messages))) {
            for (costs, more) in (0..5_u64.pow(4)).map(|path| (path % 125, path / 125)) {
                let mut credit = SendCredit::new(bytes, messages);
                assert_eq!(credit.limit(), (bytes, messages));
                let (mut used_bytes, mut used_messages) = (0, 0);
                for cost in [costs % 5, costs / 5 % 5, costs / 25] {
                    let fits = used_bytes + cost <= bytes && used_messages < messages;
                    assert_eq!(credit.allows(cost), fits);
                    if fits {
                        credit.charge(cost);
                        (used_bytes, used_messages) = (used_bytes + cost, used_messages + 1);
                    }
                    assert_eq!(credit.left(), (messages - used_messages, bytes - used_bytes));
                }
                let (lower, higher) = (bytes.saturating_sub(more), messages + more);
                assert_eq!(credit.raise(lower, higher), more > 0);
                assert_eq!(credit.limit(), (bytes, higher));
                assert_eq!(credit.raise(bytes + more, 0), more > 0);
                assert_eq!(credit.limit(), (bytes + more, higher));
                assert!(!credit.allows(u64::MAX), "what nobody has is not lent");
            }
        }
    }

    quickcheck::quickcheck! {
        /// Whatever is sent and taken, the largest message fits sooner or later.
        fn the_largest_message_is_never_shut_out(sizes: alloc::vec::Vec<u16>, window: u16, is_limited: bool) -> bool {
            let (largest, mut now) = (1000, Timestamp::from_millis(1));
            let window = largest + u64::from(window) % 2000;
            let rate = Rate { messages: 10, message_burst: 2, bytes: 5000, byte_burst: largest };
            let mut credit = ReceiveCredit::new(window, 8, largest).limited(now, is_limited.then_some(rate));
            let mut granted = credit.granted();
            let (mut bytes, mut messages) = (0, 0);
            for cost in sizes.iter().map(|&size| u64::from(size) % largest + 1).chain([largest; 3]) {
                for _ in 0..100 {
                    if bytes + cost <= granted.0 && messages < granted.1 {
                        break;
                    }
                    let Some(at) = credit.due_at() else { break };
                    now = now.max(at);
                    credit.fill(now);
                    assert!(credit.is_due(), "what was awaited is there");
                    granted = credit.grant();
                }
                assert!(bytes + cost <= granted.0 && messages < granted.1, "{cost} is shut out");
                (bytes, messages) = (bytes + cost, messages + 1);
                credit.fill(now);
                assert!(credit.charge(1, cost));
                if credit.release(1, cost) {
                    granted = credit.grant();
                }
            }
            true
        }
    }
}
