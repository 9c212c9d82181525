//! The channels of a connection and what they share: the credit of the session and the order of turns.

use alloc::vec::Vec;
use core::mem;

use super::inbox::RECEIVE_WINDOW;
use super::scheduler::Scheduler;
use super::{Announce, Candidate, Channel, Piece, ReceiveCredit, SendCredit};
use crate::wire::params::Params;
use crate::{ChannelId, Class, Config, Timestamp};

const CLASSES: u8 = Class::ALL.len() as u8;

/// All channels, ascending by id.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    list: Vec<Channel>,
    scheduler: Scheduler,
    pub(crate) session_send: SendCredit,
    pub(crate) session_receive: ReceiveCredit,
    pub(crate) session_credit_due: bool,
    /// What the peer grants to the channels that it opens or knows by default.
    pub(crate) peer: Params,
    /// Channels that each side has opened.
    pub(crate) opened_here: u32,
    pub(crate) opened_there: u32,
}

impl Channels {
    pub(crate) fn new(config: &Config) -> Self {
        let default = Channel::new(ChannelId::DEFAULT, config, SendCredit::default(), Announce::Known);
        Self {
            list: Vec::from([default]),
            scheduler: Scheduler::default(),
            session_send: SendCredit::default(),
            session_receive: ReceiveCredit::new(config.session_bytes as u64, config.session_messages as u64),
            session_credit_due: false,
            peer: Params::default(),
            opened_here: 0,
            opened_there: 0,
        }
    }

    /// The peer's parameters are known: it has room for this much.
    pub(crate) fn set_peer(&mut self, params: Params) {
        self.peer = params;
        self.session_send = SendCredit::new(params.session_bytes, params.session_messages);
        self.list[0].send_credit = SendCredit::new(params.channel_bytes, params.channel_messages);
        self.activate(ChannelId::DEFAULT);
    }

    fn position(&self, id: ChannelId) -> Result<usize, usize> {
        self.list.binary_search_by_key(&id, |channel| channel.id)
    }

    pub(crate) fn get(&self, id: ChannelId) -> Option<&Channel> {
        self.position(id).ok().map(|index| &self.list[index])
    }

    pub(crate) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.position(id).ok().map(|index| &mut self.list[index])
    }

    /// The channel and the session's receive credit, both of which an arrival touches.
    pub(crate) fn for_arrival(&mut self, id: ChannelId) -> Option<(&mut Channel, &mut ReceiveCredit)> {
        let index = self.position(id).ok()?;
        Some((&mut self.list[index], &mut self.session_receive))
    }

    /// What the unreliable messages cost that it holds, whole or not, over all channels.
    pub(crate) fn unreliable_cost(&self) -> usize {
        self.list.iter().map(|channel| channel.inbox.unreliable_cost()).sum()
    }

    /// Adds a channel whose id is not in use.
    pub(crate) fn insert(&mut self, channel: Channel) {
        if let Err(index) = self.position(channel.id) {
            let id = channel.id;
            self.list.insert(index, channel);
            self.activate(id);
        }
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Channel> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Channel> {
        self.list.iter_mut()
    }

    /// The channel may have something to send now.
    pub(crate) fn activate(&mut self, id: ChannelId) {
        if let Ok(index) = self.position(id)
            && !mem::replace(&mut self.list[index].has_turn, true)
        {
            self.scheduler.push(id);
        }
    }

    /// When the next lifetime of a message ends.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.list.iter().filter_map(Channel::next_deadline).min()
    }

    /// Credit of the whole session has grown: whoever waited for it gets a turn.
    pub(crate) fn activate_all(&mut self) {
        for channel in &mut self.list {
            let waits = channel.outboxes.iter().any(|outbox| !outbox.is_empty());
            if waits && !mem::replace(&mut channel.has_turn, true) {
                self.scheduler.push(channel.id);
            }
        }
    }

    /// What to write next, and where it is from. Channels that cannot send lose their turn until something changes.
    pub(crate) fn candidate(&mut self, now: Timestamp) -> Option<(ChannelId, Class, Candidate)> {
        while let Some(id) = self.scheduler.current() {
            let session = self.session_send;
            let channel = self.get_mut(id)?;
            for step in 0..CLASSES {
                let class = Class::ALL[usize::from((channel.turn + step) % CLASSES)];
                let window = if class.is_reliable() { RECEIVE_WINDOW } else { u64::MAX };
                let outbox = channel.outboxes.get_mut(class);
                let Some(candidate) = outbox.and_then(|outbox| outbox.candidate(now, window)) else {
                    continue;
                };
                let cost = super::cost(candidate.total.into());
                let is_charged = class.is_reliable() && candidate.is_first;
                if is_charged && !(channel.send_credit.allows(cost) && session.allows(cost)) {
                    continue;
                }
                return Some((id, class, candidate));
            }
            channel.has_turn = false;
            self.scheduler.retire();
        }
        None
    }

    /// Writes `len` bytes of what [`Self::candidate`] gave, charging for them, and passes the turn on.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        id: ChannelId,
        class: Class,
        candidate: &Candidate,
        len: u32,
    ) -> Option<(Piece, bytes::Bytes)> {
        let index = self.position(id).ok()?;
        let channel = &mut self.list[index];
        if class.is_reliable() && candidate.is_first {
            let cost = super::cost(candidate.total.into());
            channel.send_credit.charge(cost);
            self.session_send.charge(cost);
        }
        let keep = channel.repeats(class);
        let unsent = channel.outboxes[class as usize].unsent();
        let bytes = channel.outboxes[class as usize].take(candidate, len, keep)?;
        if unsent > channel.outboxes[class as usize].unsent() {
            channel.on_written(now, len as usize);
        }
        channel.turn = (class as u8 + 1) % CLASSES;
        self.scheduler.rotate();
        Some((Piece::new(id, class, candidate, len), bytes))
    }
}
