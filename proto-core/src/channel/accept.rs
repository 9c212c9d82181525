//! Messages that come whole, in their turn, and say nothing beside their payloads: the short way in.

use super::table::Channels;
use crate::arena::Arena;
use crate::wire::PlainRun;
use crate::{ChannelId, Class, Config};

/// Messages that were taken in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    /// The number of the last.
    pub(crate) number: u64,
    /// The application had nothing to take before.
    pub(crate) is_first: bool,
}

/// Where messages go, and what they cost.
struct Place {
    index: usize,
    class: Class,
    /// The number of the first.
    first: u64,
    messages: u64,
    cost: u64,
}

impl Channels {
    /// Takes in messages of a reliable class that everything waits for, or unreliable ones behind all others; of the latter none may be
    /// longer than `max_unreliable`. `before` is the number of the message before them in the record. `None` where that takes more, and then
    /// nothing has happened.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        run: &PlainRun<'_>,
        before: u64,
        config: &Config,
        max_unreliable: usize,
        arena: &mut Arena,
    ) -> Option<Accepted> {
        let &class = Class::ALL.get(usize::from(run.class))?;
        let index = self.position(ChannelId(run.channel)).ok()?;
        let channel = self.list.get(index).filter(|_| self.throttles.is_none())?;
        if !channel.allows(class) || run.longest > config.max_message {
            return None;
        }
        let (first, messages) = (channel.inbox.expand(class, run.id, before), u64::from(run.count));
        let cost = run.bytes as u64 + messages * super::cost(0);
        let place = Place { index, class, first, messages, cost };
        let is_first = match class {
            Class::ReliableOrdered | Class::ReliableUnordered => self.accept_reliable(&place, run, arena),
            Class::Unreliable if run.longest <= max_unreliable => {
                self.accept_unreliable(&place, run, config.session_bytes, arena)
            }
            Class::Unreliable | Class::Sequenced => None,
        }?;
        let number = first + messages - 1;
        self.list[index].inbox.note(class, number);
        Some(Accepted { number, is_first })
    }

    #[inline]
    fn accept_reliable(&mut self, place: &Place, run: &PlainRun<'_>, arena: &mut Arena) -> Option<bool> {
        let Place { index, class, first, messages, cost } = *place;
        let Self { list, session_receive, .. } = self;
        let channel = &mut list[index];
        let is_usual = channel.inbox.awaits(class, first)
            && channel.receive_credit.allows(messages, cost)
            && session_receive.allows(messages, cost);
        if !is_usual {
            return None;
        }
        channel.receive_credit.charge(messages, cost);
        session_receive.charge(messages, cost);
        let is_first = channel.inbox.accept(class, first, run, arena);
        self.owe_due_credit(index);
        Some(is_first)
    }

    fn accept_unreliable(
        &mut self,
        place: &Place,
        run: &PlainRun<'_>,
        session_bytes: usize,
        arena: &mut Arena,
    ) -> Option<bool> {
        let cost = place.cost as usize;
        if self.unreliable_cost + cost > session_bytes {
            return None;
        }
        let channel = &mut self.list[place.index];
        let is_first = channel.inbox.accept_unreliable(place.first, run, cost, &channel.limits, arena)?;
        self.unreliable_cost += cost;
        Some(is_first)
    }
}
