//! The one future behind all others: it tries, and waits for what would make another try worth while.

use std::pin::Pin;
use std::task::{Context, Poll};

use proto_core::{Now, Timestamp};

use crate::node::{Node, Ticket, Topic};
use crate::{Shared, Wakes};

/// What a try came to.
#[derive(Debug)]
pub(crate) enum Attempt<T> {
    /// Done, and there may be something to send.
    Done(T),
    /// Done, with nothing to send.
    Look(T),
    /// A part of it is done, and there may be something to send; the rest not before something happens on the topic.
    Begun(Topic),
    /// Not before something happens on the topic, or the time has passed.
    Wait(Topic, Option<Timestamp>),
}

/// Tries again each time that what it waits for happens. Dropping it ends the waiting.
#[derive(Debug)]
pub(crate) struct Wait<'a, F> {
    shared: &'a Shared<Node>,
    attempt: F,
    ticket: Option<Ticket>,
}

/// The future that tries until `attempt` is done.
pub(crate) const fn until<T, F>(shared: &Shared<Node>, attempt: F) -> Wait<'_, F>
where
    F: FnMut(&mut Node, Now) -> Attempt<T> + Unpin,
{
    Wait { shared, attempt, ticket: None }
}

impl<T, F: FnMut(&mut Node, Now) -> Attempt<T> + Unpin> Future for Wait<'_, F> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { shared, attempt, ticket } = self.get_mut();
        poll(shared, cx, ticket, attempt)
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        leave(self.shared, &mut self.ticket);
    }
}

/// One try; `ticket` is where the future waits.
pub(crate) fn poll<T>(
    shared: &Shared<Node>,
    cx: &Context<'_>,
    ticket: &mut Option<Ticket>,
    attempt: impl FnOnce(&mut Node, Now) -> Attempt<T>,
) -> Poll<T> {
    shared.with(|node, now, wakes: &mut Wakes| {
        let (result, wants_io) = match attempt(node, now) {
            Attempt::Done(result) => (result, true),
            Attempt::Look(result) => (result, false),
            Attempt::Begun(topic) => {
                node.waiters().wait(ticket, topic, None, cx.waker(), wakes);
                return (Poll::Pending, true);
            }
            Attempt::Wait(topic, until) => {
                let before = node.waiters().deadline();
                node.waiters().wait(ticket, topic, until, cx.waker(), wakes);
                return (Poll::Pending, node.waiters().deadline() != before);
            }
        };
        if let Some(waker) = ticket.take().and_then(|ticket| node.waiters().leave(ticket)) {
            wakes.retire(waker);
        }
        (Poll::Ready(result), wants_io)
    })
}

/// Ends the waiting.
pub(crate) fn leave(shared: &Shared<Node>, ticket: &mut Option<Ticket>) {
    if let Some(ticket) = ticket.take() {
        shared.quietly(|node| node.waiters().leave(ticket));
    }
}
