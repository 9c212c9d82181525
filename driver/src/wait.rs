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
    /// The same, and others are to have a turn now.
    BegunYield(Topic),
    /// Not before something happens on the topic, or the time has passed.
    Wait(Topic, Option<Timestamp>),
    /// Once others have had a turn.
    Yield,
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

/// Tries each shard again whenever what it waits for happens there.
#[derive(Debug)]
pub(crate) struct Any<'a, F> {
    shards: &'a [Shared<Node>],
    first: usize,
    attempt: F,
    /// Where it waits, in each shard.
    tickets: Vec<Option<Ticket>>,
    /// Shards that will never have anything.
    ended: Vec<bool>,
}

/// The future of whatever comes first in any of `shards`, beginning with number `first`, and the shard; `None` when nothing will come
/// in any.
pub(crate) fn any<T, F>(shards: &[Shared<Node>], first: usize, attempt: F) -> Any<'_, F>
where
    F: FnMut(&mut Node, Now) -> Attempt<Option<T>> + Unpin,
{
    let tickets = shards.iter().map(|_| None).collect();
    Any { shards, first, attempt, tickets, ended: vec![false; shards.len()] }
}

impl<T, F: FnMut(&mut Node, Now) -> Attempt<Option<T>> + Unpin> Future for Any<'_, F> {
    type Output = Option<(Shared<Node>, T)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shards, first, attempt, tickets, ended } = self.get_mut();
        for number in (*first..shards.len()).chain(0..*first) {
            if ended[number] {
                continue;
            }
            match poll(&shards[number], cx, &mut tickets[number], &mut *attempt) {
                Poll::Ready(Some(result)) => return Poll::Ready(Some((shards[number].clone(), result))),
                Poll::Ready(None) => ended[number] = true,
                Poll::Pending => {}
            }
        }
        if ended.iter().all(|ended| *ended) { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl<F> Drop for Any<'_, F> {
    fn drop(&mut self) {
        for (shard, ticket) in self.shards.iter().zip(&mut self.tickets) {
            leave(shard, ticket);
        }
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
            Attempt::Yield => {
                wakes.wake(cx.waker().clone());
                return (Poll::Pending, true);
            }
            Attempt::Begun(topic) => {
                node.waiters().wait(ticket, topic, None, cx.waker(), wakes);
                return (Poll::Pending, true);
            }
            Attempt::BegunYield(topic) => {
                node.waiters().wait(ticket, topic, None, cx.waker(), wakes);
                wakes.wake(cx.waker().clone());
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
