//! Rate limits where they apply: what waits for a sending limit, what is let in, and what the peer is told.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::answers::reliable_receipts;
use super::held::Held;
use super::rate::{SendRates, Throttle};
use super::table::Channels;
use super::{Limits, ReceiveCredit, cost};
use crate::wire::{Rate, RateScope};
use crate::{Blocked, ChannelId, Class, Config, Timestamp};

/// What a connection's limits need beside the channels' own. There is none while nobody has set any.
#[derive(Clone, Debug)]
pub(super) struct Throttles {
    send: SendRates,
    /// Channels that wait for a sending limit, and until when the first of them does.
    throttled: Vec<ChannelId>,
    throttled_until: Option<Timestamp>,
    /// Receiving limits of the connection and of each channel, unless it has one of its own.
    receive: Option<Rate>,
    receive_each: Option<Rate>,
    /// Receive credit that waits for time to pass: channels, and the session.
    metered: Vec<ChannelId>,
    metered_until: Option<Timestamp>,
    pub(super) held: Held,
    /// What the peer is to be told.
    due: Vec<RateScope>,
    pub(super) granularity: Duration,
}

impl Throttles {
    pub(super) fn new(config: &Config, has_sent: bool) -> Self {
        Self {
            send: SendRates::new(config.send_rate, config.send_rate_per_channel, has_sent),
            throttled: Vec::new(),
            throttled_until: None,
            receive: config.receive_rate,
            receive_each: config.receive_rate_per_channel,
            metered: Vec::new(),
            metered_until: None,
            held: Held::default(),
            due: Vec::new(),
            granularity: config.timer_granularity,
        }
    }

    /// Bytes of messages that wait for their tokens.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    fn owe(&mut self, scope: RateScope) {
        if !self.due.contains(&scope) {
            self.due.push(scope);
        }
    }
}

/// What the peer is told of a receiving limit: a quarter of the burst is kept for what the network pushes together.
fn told(rate: Option<Rate>) -> Rate {
    let Some(Rate { messages, message_burst, bytes, byte_burst }) = rate else { return Rate::default() };
    let most = |burst: u64| (burst - burst / 4).max(1);
    Rate { messages, message_burst: most(message_burst), bytes, byte_burst: most(byte_burst) }
}

impl Channels {
    fn throttles(&mut self, config: &Config) -> &mut Throttles {
        let list = &self.list;
        self.throttles.get_or_insert_with(|| {
            let has_sent = list.iter().any(|channel| channel.has_sent);
            Throttles::new(config, has_sent).into()
        })
    }

    /// The connection is established: the peer is told what this side was configured to take.
    pub(crate) fn announce_rates(&mut self) {
        let Some(throttles) = &mut self.throttles else { return };
        if throttles.receive.is_some() {
            throttles.owe(RateScope::Connection);
        }
        if throttles.receive_each.is_some() {
            throttles.owe(RateScope::EachChannel);
        }
    }

    /// Limits what this side sends; `false` when there is no such channel.
    pub(crate) fn limit_sending(
        &mut self,
        now: Timestamp,
        config: &Config,
        id: Option<ChannelId>,
        rate: Option<Rate>,
    ) -> bool {
        let throttles = self.throttles(config);
        match id {
            None => throttles.send.limit(now, rate),
            Some(id) => {
                let Some(channel) = self.get_mut(id) else { return false };
                channel.throttle.get_or_insert_default().limit(rate);
            }
        }
        self.wake_throttled();
        true
    }

    /// Limits what this side takes in, which the peer is told; `false` when there is no such channel.
    pub(crate) fn limit_receiving(
        &mut self,
        now: Timestamp,
        config: &Config,
        id: Option<ChannelId>,
        rate: Option<Rate>,
    ) -> bool {
        let scope = id.map_or(RateScope::Connection, |id| RateScope::Channel(id.0));
        let throttles = self.throttles(config);
        if id.is_none() {
            throttles.receive = rate;
            self.session_receive.limit(now, rate);
        } else {
            let Some(channel) = id.and_then(|id| self.get_mut(id)) else { return false };
            channel.receive_rate = rate.map(Box::new);
            channel.receive_credit.limit(now, rate);
        }
        self.throttles(config).owe(scope);
        true
    }

    /// The peer takes no more than this. `packet` is the number of the packet that says so.
    pub(crate) fn on_rate(
        &mut self,
        now: Timestamp,
        config: &Config,
        packet: u64,
        scope: RateScope,
        rate: Rate,
    ) -> bool {
        let throttles = self.throttles(config);
        match scope {
            RateScope::Connection => throttles.send.hear(now, packet, rate),
            RateScope::EachChannel => throttles.send.hear_each(packet, rate),
            RateScope::Channel(id) => {
                let Some(channel) = self.get_mut(ChannelId(id)) else { return false };
                channel.throttle.get_or_insert_default().hear(packet, rate);
            }
        }
        self.wake_throttled();
        true
    }

    /// A packet with a RATE frame is lost.
    pub(crate) fn owe_rate(&mut self, scope: RateScope) {
        if let Some(throttles) = &mut self.throttles {
            throttles.owe(scope);
        }
    }

    /// The next limit to tell the peer about.
    pub(crate) fn next_rate(&self) -> Option<(RateScope, Rate)> {
        let throttles = self.throttles.as_ref()?;
        let &scope = throttles.due.last()?;
        let rate = match scope {
            RateScope::Connection => throttles.receive,
            RateScope::EachChannel => throttles.receive_each,
            RateScope::Channel(id) => self
                .get(ChannelId(id))
                .and_then(|channel| channel.receive_rate.as_deref().copied())
                .or(throttles.receive_each),
        };
        Some((scope, told(rate)))
    }

    /// It was written.
    pub(crate) fn rate_told(&mut self) {
        if let Some(throttles) = &mut self.throttles {
            throttles.due.pop();
        }
    }

    /// Whether a limit holds back a new message of the channel at `index`, which then waits.
    #[inline]
    pub(super) fn is_throttled(&mut self, now: Timestamp, index: usize, cost: u64) -> bool {
        self.throttles.is_some() && self.is_over_limit(now, index, cost)
    }

    #[inline(never)]
    fn is_over_limit(&mut self, now: Timestamp, index: usize, cost: u64) -> bool {
        let Some(throttles) = &mut self.throttles else { return false };
        let channel = &mut self.list[index];
        let ready = throttles.send.ready_at(now, &mut channel.throttle, channel.has_sent, cost);
        if ready <= now {
            return false;
        }
        let until = ready.max(now + throttles.granularity);
        throttles.throttled_until = Some(throttles.throttled_until.map_or(until, |first| first.min(until)));
        if !mem::replace(&mut channel.listed.throttled, true) {
            throttles.throttled.push(channel.id);
        }
        true
    }

    /// A new message of the channel at `index` was begun.
    pub(super) fn charge_rate(&mut self, index: usize, cost: u64) {
        if let Some(throttles) = &mut self.throttles {
            throttles.send.charge(self.list[index].throttle.as_deref_mut(), cost);
        }
    }

    /// Gives those that waited for a limit their turns.
    fn wake_throttled(&mut self) {
        let Some(throttles) = &mut self.throttles else { return };
        throttles.throttled_until = None;
        for id in mem::take(&mut throttles.throttled) {
            if let Some(channel) = self.get_mut(id) {
                channel.listed.throttled = false;
                self.activate(id);
            }
        }
    }

    /// Whether an unreliable message or a piece of one may come in, which is charged.
    pub(crate) fn lets_in(&mut self, now: Timestamp, id: ChannelId, is_first: bool, len: usize) -> bool {
        if self.throttles.is_none() {
            return true;
        }
        let messages = u64::from(is_first);
        let bytes = if is_first { cost(len as u64) } else { len as u64 };
        self.fill_credit(now, id);
        let Ok(index) = self.position(id) else { return false };
        let credit = [&mut self.session_receive, &mut self.list[index].receive_credit];
        let lets_in = credit.iter().all(|credit| credit.lets_in(messages, bytes));
        if lets_in {
            for credit in credit {
                credit.charge_unreliable(messages, bytes);
            }
        }
        lets_in
    }

    /// Brings the limits of what comes in on the channel up to the present.
    pub(crate) fn fill_credit(&mut self, now: Timestamp, id: ChannelId) {
        if self.throttles.is_some() {
            self.session_receive.fill(now);
            if let Some(channel) = self.get_mut(id) {
                channel.receive_credit.fill(now);
            }
        }
    }

    /// What came in on the channel may have made credit due, now or once time has passed.
    pub(crate) fn note_charge(&mut self, now: Timestamp, id: ChannelId) {
        if self.throttles.is_some() {
            self.meter_credit(now, id);
        } else if let Ok(index) = self.position(id) {
            self.owe_due_credit(index);
        }
    }

    /// What came in, was taken or was granted on the channel may have made credit due once time has passed.
    pub(crate) fn meter_credit(&mut self, now: Timestamp, id: ChannelId) {
        if self.throttles.is_none() {
            return;
        }
        self.fill_credit(now, id);
        let until = self.due_credit(id);
        let Some(throttles) = &mut self.throttles else { return };
        let until = until.map(|until| until.max(now + throttles.granularity));
        throttles.metered_until = throttles.metered_until.into_iter().chain(until).min();
        if until.is_none() {
            return;
        }
        if let Some(channel) = self.get_mut(id)
            && !mem::replace(&mut channel.listed.metered, true)
            && let Some(throttles) = &mut self.throttles
        {
            throttles.metered.push(id);
        }
    }

    /// Marks the credit that is due, and says when more will be.
    fn due_credit(&mut self, id: ChannelId) -> Option<Timestamp> {
        self.session_credit_due |= self.session_receive.is_due();
        let session = if self.session_credit_due { None } else { self.session_receive.due_at() };
        let channel = self.get(id)?;
        let mut of_channel = None;
        if channel.receive_credit.is_due() {
            self.owe_credit(id);
        } else {
            of_channel = channel.receive_credit.due_at();
        }
        session.into_iter().chain(of_channel).min()
    }

    /// When [`Self::on_rate_timer`] has something to do.
    pub(crate) fn rate_deadline(&self) -> Option<Timestamp> {
        let throttles = self.throttles.as_ref()?;
        let held = throttles.held.until;
        throttles.throttled_until.into_iter().chain(throttles.metered_until).chain(held).min()
    }

    /// Time has passed: messages may be sent again, and credit granted.
    pub(crate) fn on_rate_timer(&mut self, now: Timestamp) {
        let Some(throttles) = &mut self.throttles else { return };
        if throttles.metered_until.is_some_and(|until| until <= now) {
            throttles.metered_until = None;
            for id in mem::take(&mut throttles.metered) {
                if let Some(channel) = self.get_mut(id) {
                    channel.listed.metered = false;
                }
                self.meter_credit(now, id);
            }
        }
        if self
            .throttles
            .as_ref()
            .is_some_and(|throttles| throttles.throttled_until.is_some_and(|until| until <= now))
        {
            self.wake_throttled();
        }
    }

    /// Why what waits on the channel does not go out.
    pub(crate) fn blocked(&self, id: ChannelId) -> Option<Blocked> {
        let channel = self.get(id)?;
        let (class, len) = Class::ALL.into_iter().find_map(|class| {
            let (_, len) = channel.outboxes[class as usize].unwritten().next()?;
            Some((class, cost(len as u64)))
        })?;
        let has_credit = channel.send_credit.allows(len) && self.session_send.allows(len);
        Some(if channel.listed.throttled {
            Blocked::Rate
        } else if class.is_reliable() && !has_credit {
            Blocked::Credit
        } else {
            Blocked::Congestion
        })
    }

    /// Gives back the memory of a busier time.
    pub(super) fn shrink_throttles(&mut self) {
        if let Some(throttles) = &mut self.throttles {
            throttles.throttled.shrink_to_fit();
            throttles.metered.shrink_to_fit();
            throttles.due.shrink_to_fit();
        }
    }
}

/// The receive credit of one channel with these limits.
pub(super) fn channel_credit(now: Timestamp, limits: &Limits, config: &Config) -> ReceiveCredit {
    let largest = cost(config.max_message as u64);
    ReceiveCredit::new(limits.receive_bytes as u64, limits.receive_messages as u64, largest)
        .limited(now, config.receive_rate_per_channel)
}

/// The receive credit of a connection as configured.
pub(crate) fn session_credit(now: Timestamp, config: &Config) -> ReceiveCredit {
    let largest = cost(config.max_message as u64);
    let messages = config.session_messages.min(reliable_receipts(config)) as u64;
    ReceiveCredit::new(config.session_bytes as u64, messages, largest).limited(now, config.receive_rate)
}

/// Whether the configuration limits anything.
pub(super) fn are_configured(config: &Config) -> bool {
    let sent = [config.send_rate, config.send_rate_per_channel];
    let received = [config.receive_rate, config.receive_rate_per_channel];
    let shared = [config.receive_rate_per_prefix, config.receive_rate_per_user];
    [sent, received, shared].iter().flatten().any(Option::is_some)
}

pub(super) type ChannelThrottle = Option<Box<Throttle>>;

crate::sleep::awake!(Throttles);
