//! The channels of a connection and what they share: the credit of the session and the order of turns.

mod memory;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;

use super::outbox::{Begins, Outbox};
use super::scheduler::{Scheduler, Turn};
use super::throttle::{Throttles, are_configured, session_credit};
use super::window::RECEIVE_WINDOW;
use super::{Announce, Candidate, Channel, Ends, Inbox, Piece, ReceiveCredit, Says, SendCredit};
use crate::wire::Kind;
use crate::wire::params::Params;
use crate::{ChannelId, Class, Config, Timestamp};

pub(super) const CLASSES: u8 = Class::ALL.len() as u8;

/// All channels, ascending by id, and lists of those with something due: a silent channel costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    pub(super) list: Vec<Channel>,
    pub(super) scheduler: Scheduler,
    /// The largest packet: what a share is counted in.
    pub(super) packet: u16,
    pub(crate) session_send: SendCredit,
    pub(crate) session_receive: ReceiveCredit,
    pub(crate) session_credit_due: bool,
    /// Those with credit to grant.
    credit_due: Vec<ChannelId>,
    /// Those to be announced; some may have been since.
    announce_due: Vec<ChannelId>,
    /// Those that wait for credit of the session.
    starved: Vec<ChannelId>,
    /// The last that could send nothing new for want of credit.
    pub(crate) held_up: Option<ChannelId>,
    /// Those with incomplete messages that are given up one day, and when the first of them is.
    assembling: BTreeSet<(Timestamp, ChannelId)>,
    /// Those with messages that have lifetimes, and when the first of them ends or did end, if it is settled by now.
    lapsing: BTreeSet<(Timestamp, ChannelId)>,
    /// Those with SKIP, FRAG_ABORT or MSG_ACK to write; some may have written it since.
    control_due: Vec<ChannelId>,
    /// What the unreliable messages cost that are held, whole or not.
    pub(super) unreliable_cost: usize,
    /// Receipts that are kept, and unreliable messages that ask for one and wait for the application.
    pub(super) receipts: usize,
    pub(super) asking: usize,
    pub(super) throttles: Option<Box<Throttles>>,
    /// What the peer grants to the channels that it opens or knows by default.
    pub(crate) peer: Params,
    /// The session outlives its link: the newest sequenced message is kept until it arrives.
    pub(crate) keeps_newest: bool,
    /// The channel that [`Self::are_flushed`] found last.
    unflushed: usize,
    /// Channels that each side has opened.
    pub(crate) opened_here: u32,
    pub(crate) opened_there: u32,
}

impl Channels {
    pub(crate) fn new(now: Timestamp, config: &Config, packet: u16) -> Self {
        let default = Channel::new(now, ChannelId::DEFAULT, config, SendCredit::default(), Announce::Known);
        Self {
            list: Vec::from([default]),
            scheduler: Scheduler::default(),
            packet,
            session_send: SendCredit::default(),
            session_receive: session_credit(now, config),
            session_credit_due: false,
            credit_due: Vec::new(),
            announce_due: Vec::new(),
            starved: Vec::new(),
            held_up: None,
            assembling: BTreeSet::new(),
            lapsing: BTreeSet::new(),
            control_due: Vec::new(),
            unreliable_cost: 0,
            receipts: 0,
            asking: 0,
            throttles: are_configured(config).then(|| Box::new(Throttles::new(config, false))),
            peer: Params::default(),
            keeps_newest: false,
            unflushed: 0,
            opened_here: 0,
            opened_there: 0,
        }
    }

    /// Packets have another size from now on.
    pub(crate) const fn set_packet(&mut self, packet: u16) {
        self.packet = packet;
    }

    /// The peer's parameters are known: it has room for this much.
    pub(crate) fn set_peer(&mut self, params: Params) {
        self.peer = params;
        self.session_send = SendCredit::new(params.session_bytes, params.session_messages);
        for channel in &mut self.list {
            channel.send_credit = SendCredit::new(params.channel_bytes, params.channel_messages);
        }
        self.announce_rates();
        for index in 0..self.list.len() {
            self.activate(self.list[index].id);
        }
    }

    /// Another link's parameters: what concerns credit was said over the first one.
    pub(crate) const fn set_peer_again(&mut self, params: Params) {
        self.peer = params;
    }

    /// What is granted at first on channel 0 and on those that the peer opens, in bytes and messages.
    pub(crate) fn first_credit(&self) -> (u64, u64) {
        self.list[0].receive_credit.granted()
    }

    pub(super) fn position(&self, id: ChannelId) -> Result<usize, usize> {
        if id == ChannelId::DEFAULT {
            return Ok(0);
        }
        self.list.binary_search_by_key(&id, |channel| channel.id)
    }

    pub(crate) fn get(&self, id: ChannelId) -> Option<&Channel> {
        self.position(id).ok().map(|index| &self.list[index])
    }

    pub(crate) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.position(id).ok().map(|index| &mut self.list[index])
    }

    /// Lets `change` touch what a channel has received; the session's receive credit and what its unreliable messages cost go
    /// along.
    pub(crate) fn receive<T>(
        &mut self,
        config: &Config,
        id: ChannelId,
        change: impl FnOnce(&mut Inbox, [&mut ReceiveCredit; 2]) -> T,
    ) -> Option<T> {
        let index = self.position(id).ok()?;
        let channel = &mut self.list[index];
        let before = channel.inbox.unreliable_cost();
        let asking = channel.inbox.asking();
        let due_before = channel.inbox.reassembly_deadline(config);
        let credit = [&mut channel.receive_credit, &mut self.session_receive];
        let result = change(&mut channel.inbox, credit);
        self.unreliable_cost = self.unreliable_cost + channel.inbox.unreliable_cost() - before;
        let due = channel.inbox.reassembly_deadline(config);
        if due != due_before {
            if let Some(at) = due_before {
                self.assembling.remove(&(at, id));
            }
            self.assembling.extend(due.map(|at| (at, id)));
        }
        let asking_now = channel.inbox.asking();
        if asking != asking_now {
            self.asking = self.asking + asking_now - asking;
            self.reserve_receipts(config);
        }
        Some(result)
    }

    /// What the unreliable messages cost that it holds, whole or not, over all channels.
    pub(crate) const fn unreliable_cost(&self) -> usize {
        self.unreliable_cost
    }

    /// When the next incomplete message must be given up.
    pub(crate) fn reassembly_deadline(&self) -> Option<Timestamp> {
        self.assembling.first().map(|&(at, _)| at)
    }

    /// The next channel with incomplete messages whose time has passed, which must be given to [`Self::receive`].
    pub(crate) fn next_assembling(&self, now: Timestamp) -> Option<ChannelId> {
        self.assembling.first().filter(|&&(at, _)| at <= now).map(|&(_, id)| id)
    }

    /// Room for a reliable message of `len` bytes is free again.
    pub(crate) fn release(&mut self, id: ChannelId, len: usize) {
        if let Ok(index) = self.position(id) {
            self.release_at(index, 1, len as u64);
        }
    }

    /// What was charged on the channel there may leave less credit than the largest message needs, though there is room.
    #[inline]
    pub(super) fn owe_due_credit(&mut self, index: usize) {
        let channel = &mut self.list[index];
        if channel.receive_credit.is_tight() && channel.receive_credit.is_due() {
            let id = channel.id;
            self.owe_credit(id);
        }
        if self.session_receive.is_tight() {
            self.session_credit_due |= self.session_receive.is_due();
        }
    }

    /// CREDIT for the channel is to go out.
    pub(crate) fn owe_credit(&mut self, id: ChannelId) {
        if let Some(channel) = self.get_mut(id)
            && !mem::replace(&mut channel.listed.credit_due, true)
        {
            self.credit_due.push(id);
        }
    }

    /// Whether there is credit to grant.
    pub(crate) fn owes_credit(&self) -> bool {
        self.session_credit_due || !self.credit_due.is_empty()
    }

    /// The next channel with credit to grant, which is then taken to be granted.
    pub(crate) fn take_credit_due(&mut self) -> Option<&mut Channel> {
        let id = self.credit_due.pop()?;
        let channel = self.get_mut(id)?;
        channel.listed.credit_due = false;
        Some(channel)
    }

    /// The packet that announced the channel is lost.
    pub(crate) fn announce_again(&mut self, id: ChannelId) {
        if let Some(channel) = self.get_mut(id)
            && channel.announce == Announce::InFlight
        {
            channel.announce = Announce::Due;
            self.announce_due.push(id);
        }
    }

    /// The next channel to be announced.
    pub(crate) fn next_announcement(&mut self) -> Option<&mut Channel> {
        while let Some(&id) = self.announce_due.last() {
            if self.get(id).is_some_and(|channel| channel.announce == Announce::Due) {
                return self.get_mut(id);
            }
            self.announce_due.pop();
        }
        None
    }

    /// Whether there is credit to grant, a channel to announce or something else to say about one.
    pub(crate) fn has_news(&mut self) -> bool {
        self.owes_credit()
            || self.next_announcement().is_some()
            || self.next_control().is_some()
            || self.next_rate().is_some()
    }

    /// Whether [`Self::has_news`] is worth asking.
    #[inline]
    pub(crate) fn may_have_news(&self) -> bool {
        self.session_credit_due
            || !self.credit_due.is_empty()
            || !self.announce_due.is_empty()
            || !self.control_due.is_empty()
            || self.throttles.is_some()
    }

    /// Adds a channel whose id is not in use.
    pub(crate) fn insert(&mut self, channel: Channel) {
        if let Err(index) = self.position(channel.id) {
            let (id, is_due) = (channel.id, channel.announce == Announce::Due);
            self.list.insert(index, channel);
            if is_due {
                self.announce_due.push(id);
            }
        }
    }

    /// Forgets the last channel that this side opened, of which the peer does not know and which has nothing to send.
    pub(crate) fn forget_last(&mut self, id: ChannelId) {
        let Ok(index) = self.position(id) else { return };
        let channel = self.list.remove(index);
        self.scheduler.remove(id, &channel.share);
        for list in [&mut self.announce_due, &mut self.credit_due, &mut self.starved, &mut self.control_due] {
            list.retain(|&other| other != id);
        }
        self.lapsing.retain(|&(_, other)| other != id);
        self.opened_here -= 1;
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Channel> {
        self.list.iter_mut()
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Channel> {
        self.list.iter()
    }

    /// Whether every channel is flushed. Begins with the one that was not the last time, so that asking again and again while they
    /// become so looks at each of them once.
    pub(crate) fn are_flushed(&mut self) -> bool {
        let count = self.list.len();
        let mut indices = (0..count).map(|step| (self.unflushed + step) % count);
        let unflushed = indices.find(|&index| !self.list[index].is_flushed());
        self.unflushed = unflushed.unwrap_or(0);
        unflushed.is_none()
    }

    /// The channel may have something to send now.
    pub(crate) fn activate(&mut self, id: ChannelId) {
        if let Ok(index) = self.position(id) {
            self.scheduler.push(id, &mut self.list[index].share, self.packet);
        }
    }

    /// A message of the channel is settled, which may have held up those behind it.
    pub(crate) fn activate_waiting(&mut self, id: ChannelId, class: Class) {
        if let Ok(index) = self.position(id)
            && self.list[index].outboxes[class as usize].unwritten().next().is_some()
        {
            self.scheduler.push(id, &mut self.list[index].share, self.packet);
        }
    }

    /// Messages of the channel may have lifetimes.
    pub(crate) fn note_lifetime(&mut self, id: ChannelId) {
        let Ok(index) = self.position(id) else { return };
        let channel = &mut self.list[index];
        let Some(at) = channel.next_deadline() else { return };
        if channel.lapses_at.is_some_and(|filed| filed <= at) {
            return;
        }
        if let Some(filed) = channel.lapses_at.replace(at) {
            self.lapsing.remove(&(filed, id));
        }
        self.lapsing.insert((at, id));
    }

    /// When the next lifetime of a message ends, or when one would have that is settled.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.lapsing.first().map(|&(at, _)| at)
    }

    /// The next channel with lifetimes that may be over, which must be noted again.
    pub(crate) fn take_lapsed(&mut self, now: Timestamp) -> Option<ChannelId> {
        let &(_, id) = self.lapsing.first().filter(|&&(at, _)| at <= now)?;
        self.lapsing.pop_first();
        if let Some(channel) = self.get_mut(id) {
            channel.lapses_at = None;
        }
        Some(id)
    }

    /// SKIP, FRAG_ABORT or MSG_ACK may be due on the channel.
    pub(crate) fn owe_control(&mut self, id: ChannelId) {
        if let Some(channel) = self.get_mut(id)
            && channel.is_control_due()
            && !mem::replace(&mut channel.listed.control_due, true)
        {
            self.control_due.push(id);
        }
    }

    /// The next channel with SKIP, FRAG_ABORT or MSG_ACK to write.
    pub(crate) fn next_control(&mut self) -> Option<&mut Channel> {
        while let Some(&id) = self.control_due.last() {
            let index = self.position(id).ok()?;
            if self.list[index].is_control_due() {
                return Some(&mut self.list[index]);
            }
            self.list[index].listed.control_due = false;
            self.control_due.pop();
        }
        None
    }

    /// Credit of the whole session has grown: whoever waited for it gets a turn.
    pub(crate) fn activate_starved(&mut self) {
        for id in mem::take(&mut self.starved) {
            if let Some(channel) = self.get_mut(id) {
                channel.listed.starved = false;
                self.activate(id);
            }
        }
    }

    /// `piece` is lost: it is written again, unless its message has no future.
    pub(crate) fn on_lost(&mut self, now: Timestamp, piece: &Piece, ends: &mut Ends) {
        let Ok(index) = self.position(piece.channel) else { return };
        let channel = &mut self.list[index];
        match channel.verdict(now, piece) {
            Some(fate) => {
                channel.give_up(now, piece.class, piece.id, fate, ends);
                self.activate(piece.channel);
            }
            None => self.requeue(*piece),
        }
    }

    /// `piece` must be written again.
    pub(crate) fn requeue(&mut self, piece: Piece) {
        if let Ok(index) = self.position(piece.channel) {
            let channel = &mut self.list[index];
            let outbox = &mut channel.outboxes[piece.class as usize];
            outbox.requeue(piece);
            if outbox.has_lost() {
                self.scheduler.push_repeat(piece.channel, &mut channel.share);
            }
        }
    }

    /// Gives the channel another part of the sending.
    pub(crate) fn prioritize(&mut self, id: ChannelId, priority: u8, weight: u8) {
        if let Ok(index) = self.position(id) {
            self.scheduler.change(id, &mut self.list[index].share, priority, weight);
        }
    }

    /// What to write next; with `urgent` only of priority 0. Channels that cannot send lose their turn until something changes.
    #[inline]
    pub(crate) fn candidate(&mut self, now: Timestamp, urgent: bool) -> Option<Next> {
        while let Some(turn) = self.scheduler.current(now, self.packet, urgent) {
            let position = self.position(turn.channel);
            if let Ok(index) = position {
                let class = if turn.is_repeat { self.list[index].repeat() } else { self.fresh(now, index) };
                if let Some(class) = class
                    && let Some(candidate) = self.list[index].outboxes[class as usize].candidate(now)
                {
                    return Some(Next { turn, index, class, candidate });
                }
            }
            self.scheduler.retire(turn, position.ok().map(|index| &mut self.list[index].share));
        }
        None
    }

    /// Which class the channel at `index` writes from next.
    #[inline]
    fn fresh(&mut self, now: Timestamp, index: usize) -> Option<Class> {
        for step in 0..CLASSES {
            let channel = &mut self.list[index];
            let class = Class::ALL[usize::from((channel.turn + step) % CLASSES)];
            let Some(outbox) = channel.outboxes.get_mut(class) else { continue };
            let window = if class.is_reliable() { RECEIVE_WINDOW } else { u64::MAX };
            let total = match outbox.peek(window) {
                None => continue,
                Some(Begins::Nothing) => return Some(class),
                Some(Begins::Message { total }) => total,
            };
            let cost = super::cost(total.into());
            if class.is_reliable() && !(channel.send_credit.allows(cost) && self.session_send.allows(cost)) {
                self.note_held_up(index, cost);
            } else if !self.is_throttled(now, index, cost) {
                return Some(class);
            }
        }
        None
    }

    /// The channel at `index` has no credit for a message that costs `cost`, or the session has not.
    #[inline(never)]
    fn note_held_up(&mut self, index: usize, cost: u64) {
        let channel = &mut self.list[index];
        self.held_up = Some(channel.id);
        if channel.send_credit.allows(cost) && !mem::replace(&mut channel.listed.starved, true) {
            self.starved.push(channel.id);
        }
    }

    /// Takes `len` bytes of what [`Self::candidate`] gave, charging for them, and passes the turn on.
    #[inline]
    pub(crate) fn take(&mut self, now: Timestamp, next: &Next, len: u32) -> Option<Piece> {
        let &Next { turn, index, class, ref candidate } = next;
        let channel = self.list.get_mut(index)?;
        if candidate.is_first {
            let cost = super::cost(candidate.total.into());
            if class.is_reliable() {
                channel.send_credit.charge(cost);
                self.session_send.charge(cost);
            }
            self.charge_rate(index, cost);
        }
        let channel = &mut self.list[index];
        channel.has_sent = true;
        let outbox = channel.outboxes.get_mut(class)?;
        let unsent = outbox.unsent();
        outbox.take(candidate, len)?;
        if unsent > outbox.unsent() {
            channel.on_written(now, len as usize);
        }
        channel.turn = (class as u8 + 1) % CLASSES;
        self.scheduler.on_sent(now, turn, &mut channel.share, len, self.packet);
        Some(Piece::new(turn.channel, class, candidate, len))
    }

    /// Lets `write` have what [`Self::take`] took.
    #[inline]
    pub(crate) fn write(
        &mut self,
        now: Timestamp,
        next: &Next,
        len: u32,
        write: impl FnOnce(Kind, Says, &[u8]),
    ) {
        if let Some(channel) = self.list.get_mut(next.index) {
            let keep = channel.repeats(next.class) || self.keeps_newest && next.class == Class::Sequenced;
            if let Some(outbox) = channel.outboxes.get_mut(next.class) {
                outbox.write(now, &next.candidate, len, keep, write);
            }
        }
    }
}

/// What is written next, and whose turn that is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    turn: Turn,
    /// Where the channel is.
    index: usize,
    pub(crate) class: Class,
    pub(crate) candidate: Candidate,
}

impl Next {
    pub(crate) const fn channel(&self) -> ChannelId {
        self.turn.channel
    }

    pub(crate) fn of<'c>(&self, channels: &'c mut Channels) -> Option<&'c mut Channel> {
        channels.list.get_mut(self.index)
    }
}

impl Channel {
    /// The first of its classes of which a piece is lost.
    #[inline(never)]
    fn repeat(&mut self) -> Option<Class> {
        let mut classes = Class::ALL.into_iter();
        classes.find(|&class| self.outboxes.get_mut(class).is_some_and(Outbox::has_wanted))
    }
}

crate::sleep::saved!(Channels {
    list,
    scheduler,
    packet,
    session_send,
    session_receive,
    session_credit_due,
    credit_due,
    announce_due,
    starved,
    held_up,
    assembling,
    lapsing,
    control_due,
    unreliable_cost,
    receipts,
    asking,
    throttles,
    peer,
    keeps_newest,
    unflushed,
    opened_here,
    opened_there
});
