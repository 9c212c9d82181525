//! Messages that come whole, in their turn, and say nothing beside their payload: the short way in.

use super::table::Channels;
use crate::arena::Arena;
use crate::wire::Plain;
use crate::{ChannelId, Class};

/// A message that was taken in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) number: u64,
    /// The application had nothing to take before.
    pub(crate) is_first: bool,
}

impl Channels {
    /// Takes in a whole message of a reliable class, the one that everything waits for. `before` is the number of the message before
    /// it in the record. `None` where that takes more, and then nothing has happened.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        plain: &Plain<'_>,
        before: u64,
        max_message: usize,
        arena: &mut Arena,
    ) -> Option<Accepted> {
        let &class = Class::ALL.get(usize::from(plain.class)).filter(|class| class.is_reliable())?;
        let index = self.position(ChannelId(plain.channel)).ok()?;
        let Self { list, session_receive, throttles: None, .. } = self else { return None };
        let channel = &mut list[index];
        let number = channel.inbox.expand(class, plain.id, before);
        let cost = super::cost(plain.payload.len() as u64);
        let is_usual = channel.allows(class)
            && channel.inbox.awaits(class, number)
            && plain.payload.len() <= max_message
            && channel.receive_credit.allows(cost)
            && session_receive.allows(cost);
        if !is_usual {
            return None;
        }
        channel.receive_credit.charge(cost);
        session_receive.charge(cost);
        channel.inbox.note(class, number);
        let is_first = channel.inbox.accept(class, number, arena.copy(plain.payload));
        Some(Accepted { number, is_first })
    }
}
