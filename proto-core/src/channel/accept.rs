//! Messages that come whole, in their turn, and say nothing beside their payloads: the short way in.

use super::table::Channels;
use crate::arena::Arena;
use crate::wire::PlainRun;
use crate::{ChannelId, Class};

/// Messages that were taken in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    /// The number of the last.
    pub(crate) number: u64,
    /// The application had nothing to take before.
    pub(crate) is_first: bool,
}

impl Channels {
    /// Takes in messages of a reliable class, the ones that everything waits for. `before` is the number of the message before them
    /// in the record. `None` where that takes more, and then nothing has happened.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        run: &PlainRun<'_>,
        before: u64,
        max_message: usize,
        arena: &mut Arena,
    ) -> Option<Accepted> {
        let &class = Class::ALL.get(usize::from(run.class)).filter(|class| class.is_reliable())?;
        let index = self.position(ChannelId(run.channel)).ok()?;
        let Self { list, session_receive, throttles: None, .. } = self else { return None };
        let channel = &mut list[index];
        let first = channel.inbox.expand(class, run.id, before);
        let messages = u64::from(run.count);
        let cost = run.bytes as u64 + messages * super::cost(0);
        let is_usual = channel.allows(class)
            && channel.inbox.awaits(class, first)
            && run.longest <= max_message
            && channel.receive_credit.allows(messages, cost)
            && session_receive.allows(messages, cost);
        if !is_usual {
            return None;
        }
        channel.receive_credit.charge(messages, cost);
        session_receive.charge(messages, cost);
        let number = first + messages - 1;
        channel.inbox.note(class, number);
        let is_first = channel.inbox.accept(class, first, run, arena);
        self.owe_due_credit(index);
        Some(Accepted { number, is_first })
    }
}
