//! The guarantees of `docs/spec/guarantees.md` that a connection keeps, checked event by event.

#[path = "oracles/fates.rs"]
mod fates;
#[path = "oracles/sessions.rs"]
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto_core::{
    ChannelId, Class, ConnectionId, Event, Fate, MessageId, ReceiptKind, RequestId, RequestOutcome, SessionId,
};
use simtest::{Check, Life, Node, NodeId, Now, Oracle, Time, View};

use crate::peer::{Ask, Ev, Peer};

/// A connection in one life of one node.
type Conn = (NodeId, u32, ConnectionId);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Asked,
    Established,
    /// Without a link.
    Suspended,
    Over,
}

#[derive(Clone, Debug)]
struct Closing {
    called: Time,
    paused: Duration,
    linger: Duration,
}

/// A message that waits to be delivered.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    at: Time,
    /// How long all nodes had stood still by then.
    paused: Duration,
    lifetime: Option<Duration>,
    expendable: bool,
}

/// The longest that a packet is on its way in these campaigns, which does not count against a lifetime.
const TRANSIT: Duration = Duration::from_millis(350);

/// A batch of a connection: its channel and number.
type BatchId = (ChannelId, u64);

/// Everything that was seen, and what must follow.
#[derive(Clone, Debug)]
pub(crate) struct Guarantees {
    /// Longest time from `connect` to its answer, when attempts are limited.
    connect_within: Option<Duration>,
    /// Longest time on the network.
    transit: Duration,
    lives: BTreeMap<NodeId, u32>,
    paused_since: BTreeMap<NodeId, Time>,
    paused: BTreeMap<NodeId, Duration>,
    phases: BTreeMap<Conn, Phase>,
    asked: BTreeMap<Conn, (Time, Duration)>,
    sessions: BTreeMap<SessionId, Vec<Conn>>,
    /// Messages with a hash that were accepted, less those delivered.
    accepted: BTreeMap<(Conn, ChannelId, Class, u64), Vec<Accepted>>,
    owed_fates: BTreeMap<(Conn, MessageId), bool>,
    /// Batches that have begun: whether their last message was accepted.
    batches: BTreeMap<(Conn, (ChannelId, u64)), bool>,
    hashes: BTreeMap<(Conn, MessageId), u64>,
    /// Messages that were accepted with leave to give them up.
    mortal: BTreeSet<(Conn, MessageId)>,
    /// Unordered messages without a lifetime, how many have arrived and are said to, less those that did.
    said_to_arrive: BTreeMap<(Conn, ChannelId, u64), i64>,
    /// What the receiving application said about messages of a session with a hash.
    answers: BTreeSet<(SessionId, u64, Option<u64>)>,
    /// Ordered messages that their sender may give up, less those that were announced as gaps.
    expendable: BTreeMap<(Conn, ChannelId), u64>,
    /// Channels whose newest sequenced message must arrive, by session.
    newest_arrives: BTreeSet<(Conn, ChannelId)>,
    last_sequenced: BTreeMap<(Conn, ChannelId), (u64, bool)>,
    blocked: BTreeMap<(Conn, ChannelId), bool>,
    received: BTreeMap<(Conn, ChannelId, Class), BTreeSet<u64>>,
    requests: BTreeMap<(Conn, RequestId), bool>,
    handled: BTreeSet<(SessionId, NodeId, RequestId)>,
    /// The index of the next part of a reply.
    parts: BTreeMap<(Conn, RequestId), u8>,
    /// What was asked, and what need not arrive because nobody waits for the reply.
    questions: BTreeMap<(Conn, RequestId), u64>,
    given_up: BTreeSet<(Conn, u64)>,
    closing: BTreeMap<Conn, Closing>,
    /// Messages of batches: their classes and hashes.
    members: BTreeMap<(Conn, BatchId), Vec<(Class, u64)>>,
    /// Batches that the connection which takes the place of this one is to deliver again, in part, on a channel there.
    moved_batches: BTreeMap<Conn, Vec<(BatchId, bool, ChannelId)>>,
    /// Clients that were told that their server is going away.
    sent_away: BTreeSet<Conn>,
    /// Messages that the connection which takes the place of this one is to deliver again, as what.
    moved: BTreeMap<Conn, Vec<(MessageId, MessageId)>>,
    /// The last link of each session that was told.
    incarnations: BTreeMap<Conn, u32>,
    /// Channels whose `Continued` is still to come.
    continuing: BTreeSet<(Conn, ChannelId)>,
    /// Messages sent without being repeated, less those that arrived or were announced as lost with a link.
    unrepeated: BTreeMap<(Conn, ChannelId), u64>,
}

impl Guarantees {
    pub(crate) fn new(connect_within: Option<Duration>) -> Self {
        Self {
            connect_within,
            transit: TRANSIT,
            lives: BTreeMap::new(),
            paused_since: BTreeMap::new(),
            paused: BTreeMap::new(),
            phases: BTreeMap::new(),
            asked: BTreeMap::new(),
            sessions: BTreeMap::new(),
            accepted: BTreeMap::new(),
            owed_fates: BTreeMap::new(),
            batches: BTreeMap::new(),
            hashes: BTreeMap::new(),
            mortal: BTreeSet::new(),
            said_to_arrive: BTreeMap::new(),
            answers: BTreeSet::new(),
            expendable: BTreeMap::new(),
            newest_arrives: BTreeSet::new(),
            last_sequenced: BTreeMap::new(),
            blocked: BTreeMap::new(),
            received: BTreeMap::new(),
            requests: BTreeMap::new(),
            handled: BTreeSet::new(),
            parts: BTreeMap::new(),
            questions: BTreeMap::new(),
            given_up: BTreeSet::new(),
            closing: BTreeMap::new(),
            sent_away: BTreeSet::new(),
            moved: BTreeMap::new(),
            members: BTreeMap::new(),
            moved_batches: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            continuing: BTreeSet::new(),
            unrepeated: BTreeMap::new(),
        }
    }

    /// The same where a record may wait for those before it, each of which stands still for a while.
    pub(crate) const fn over_streams(mut self) -> Self {
        self.transit = Duration::from_secs(30);
        self
    }

    fn conn(&self, node: NodeId, id: ConnectionId) -> Conn {
        (node, self.lives.get(&node).copied().unwrap_or(0), id)
    }

    fn paused(&self, node: NodeId, now: Time) -> Duration {
        let current = self.paused_since.get(&node).map_or(Duration::ZERO, |&since| now.since(since));
        self.paused.get(&node).copied().unwrap_or_default() + current
    }

    fn on_core(&mut self, now: Time, conn: Conn, session: SessionId, pto: Duration, event: &Event) -> Check {
        let phase = self.phases.get(&conn).copied();
        if phase == Some(Phase::Over) {
            return Err(format!("G2: {event:?} follows the last event of {conn:?}"));
        }
        if phase == Some(Phase::Suspended)
            && matches!(event, Event::Readable(_) | Event::Opened(_) | Event::PartialReply(_))
        {
            return Err(format!("G3: {event:?} while there is no link"));
        }
        match event {
            Event::Connecting { .. } | Event::RetryAt { .. } if phase == Some(Phase::Suspended) => Ok(()),
            Event::Suspended { .. } if phase == Some(Phase::Established) => {
                self.phases.insert(conn, Phase::Suspended);
                Ok(())
            }
            Event::Suspended { .. } => Err(format!("G3: {event:?} in phase {phase:?}")),
            Event::Resumed { session: resumed, incarnation } => {
                self.on_resumed(conn, session, *resumed, *incarnation, phase)
            }
            Event::Continued { channel, continuity } => {
                self.on_continued(conn, session, *channel, *continuity)
            }
            Event::Connecting { .. } | Event::RetryAt { .. } | Event::ConnectFailed(_)
                if phase != Some(Phase::Asked) =>
            {
                Err(format!("G1: {event:?} in phase {phase:?}"))
            }
            Event::Established { .. } => self.on_established(now, conn, session, phase),
            Event::Closed(_) if !matches!(phase, Some(Phase::Established | Phase::Suspended)) => {
                Err(format!("G2: {event:?} in phase {phase:?}"))
            }
            Event::ConnectFailed(closed) | Event::Closed(closed) => {
                self.phases.insert(conn, Phase::Over);
                let next = closed.next.map(|next| (conn.0, conn.1, next));
                if let Some(next) = next {
                    self.phases.insert(next, Phase::Asked);
                }
                self.move_messages(now, conn, next)?;
                self.on_over(now, conn, pto)
            }
            Event::GoingAway(_) => {
                self.sent_away.insert(conn);
                Ok(())
            }
            Event::Writable(channel) => {
                if self.blocked.insert((conn, *channel), false) == Some(true) {
                    Ok(())
                } else {
                    Err(format!("G6: Writable({channel:?}) that nobody waits for"))
                }
            }
            Event::Fate { message, fate } => match self.owed_fates.insert((conn, *message), false) {
                Some(true) => self.check_fate(conn, session, *message, *fate),
                _ => Err(format!("G5: a fate that is not owed: {event:?}")),
            },
            Event::Batch { channel, batch, fate: Fate::Moved(new) } => {
                self.on_batch_moved(conn, (*channel, *batch), new.channel)
            }
            Event::Batch { channel, batch, fate } => match self.batches.remove(&(conn, (*channel, *batch))) {
                Some(is_ended) if is_ended || *fate != Fate::Acked && *fate != Fate::Processed => Ok(()),
                _ => Err(format!("G5: a fate of a batch that is not owed: {event:?}")),
            },
            Event::RequestDone { request, outcome } => {
                self.on_request_done(conn, session, *request, *outcome)
            }
            _ => Ok(()),
        }
    }

    fn on_established(&mut self, now: Time, conn: Conn, session: SessionId, phase: Option<Phase>) -> Check {
        if !matches!(phase, None | Some(Phase::Asked)) {
            return Err(format!("G1: Established in phase {phase:?}"));
        }
        self.check_connect_time(now, conn)?;
        self.phases.insert(conn, Phase::Established);
        if session == SessionId([0; 16]) {
            return Ok(());
        }
        let ends = self.sessions.entry(session).or_default();
        ends.push(conn);
        if ends.len() > 2 { Err(format!("a session with more than two ends: {ends:?}")) } else { Ok(()) }
    }

    fn check_connect_time(&mut self, now: Time, conn: Conn) -> Check {
        let (Some(bound), Some((asked, paused))) = (self.connect_within, self.asked.remove(&conn)) else {
            return Ok(());
        };
        let took = now.since(asked).saturating_sub(self.paused(conn.0, now).saturating_sub(paused));
        if took > bound { Err(format!("G1: connect() took {took:?}, over {bound:?}")) } else { Ok(()) }
    }

    fn on_over(&mut self, now: Time, conn: Conn, pto: Duration) -> Check {
        self.check_connect_time(now, conn)?;
        if let Some(((_, message), _)) = of_conn(&self.owed_fates, conn).find(|&(_, &owed)| owed) {
            return Err(format!("G5: no fate for {message:?} at the end of its connection"));
        }
        if let Some((batch, _)) = of_conn(&self.batches, conn).next() {
            return Err(format!("G5: no fate for {batch:?} at the end of its connection"));
        }
        if let Some(((_, request), _)) = of_conn(&self.requests, conn).find(|&(_, &open)| open) {
            return Err(format!("G10: no outcome for {request:?} at the end of its connection"));
        }
        for (_, blocked) in self.blocked.iter_mut().filter(|((c, _), _)| *c == conn) {
            *blocked = false;
        }
        let Some(closing) = self.closing.remove(&conn) else { return Ok(()) };
        let paused = self.paused(conn.0, now).saturating_sub(closing.paused);
        let took = now.since(closing.called).saturating_sub(paused);
        let bound = closing.linger + pto * 3 + Duration::from_millis(2);
        if took > bound { Err(format!("G11: close() took {took:?}, over {bound:?}")) } else { Ok(()) }
    }

    fn all_paused(&self, now: Time) -> Duration {
        let nodes: BTreeSet<NodeId> = self.paused.keys().chain(self.paused_since.keys()).copied().collect();
        nodes.into_iter().map(|node| self.paused(node, now)).sum()
    }

    fn on_accepted(
        &mut self,
        now: Time,
        conn: Conn,
        message: MessageId,
        hash: u64,
        ask: &Ask,
        expendable: bool,
    ) {
        let MessageId { channel, class, .. } = message;
        let accepted = Accepted { at: now, paused: self.all_paused(now), lifetime: ask.lifetime, expendable };
        self.accepted.entry((conn, channel, class, hash)).or_default().push(accepted);
        self.hashes.insert((conn, message), hash);
        if expendable {
            self.mortal.insert((conn, message));
        }
        if expendable && class == Class::ReliableOrdered {
            *self.expendable.entry((conn, channel)).or_default() += 1;
        }
        if class == Class::Unreliable {
            *self.unrepeated.entry((conn, channel)).or_default() += 1;
        }
        if class == Class::Sequenced {
            self.last_sequenced.insert((conn, channel), (hash, expendable));
        }
        match ask.batch {
            Some(batch) => {
                let members = self.members.entry((conn, (channel, batch.number))).or_default();
                members.push((class, hash));
                *self.batches.entry((conn, (channel, batch.number))).or_default() |= batch.is_last;
            }
            None if ask.receipt != ReceiptKind::None => {
                self.owed_fates.insert((conn, message), true);
            }
            None => {}
        }
    }

    /// Whatever waits on channel 0 may be dropped from now on.
    fn on_limited(&mut self, conn: Conn) {
        let waiting = self
            .accepted
            .iter_mut()
            .filter(|((of, channel, ..), _)| (*of, *channel) == (conn, ChannelId::DEFAULT));
        for ((.., class, _), entries) in waiting {
            for entry in entries.iter_mut().filter(|entry| !entry.expendable) {
                entry.expendable = true;
                if *class == Class::ReliableOrdered {
                    *self.expendable.entry((conn, ChannelId::DEFAULT)).or_default() += 1;
                }
            }
        }
        if let Some((_, expendable)) = self.last_sequenced.get_mut(&(conn, ChannelId::DEFAULT)) {
            *expendable = true;
        }
    }

    fn on_cancel(&mut self, conn: Conn, message: MessageId) {
        let MessageId { channel, class, .. } = message;
        let Some(&hash) = self.hashes.get(&(conn, message)) else { return };
        let entries = self.accepted.get_mut(&(conn, channel, class, hash)).into_iter().flatten();
        for entry in entries.filter(|entry| !entry.expendable) {
            entry.expendable = true;
            if class == Class::ReliableOrdered {
                *self.expendable.entry((conn, channel)).or_default() += 1;
            }
        }
        if let Some((last, expendable)) = self.last_sequenced.get_mut(&(conn, channel))
            && class == Class::Sequenced
            && *last == hash
        {
            *expendable = true;
        }
    }

    fn on_request_done(
        &mut self,
        conn: Conn,
        session: SessionId,
        request: RequestId,
        outcome: RequestOutcome,
    ) -> Check {
        if self.requests.insert((conn, request), false) != Some(true) {
            return Err(format!("G10: a second outcome for {request:?}"));
        }
        if let RequestOutcome::Cancelled { .. } | RequestOutcome::TimedOut = outcome
            && let Some(&hash) = self.questions.get(&(conn, request))
        {
            self.given_up.insert((conn, hash));
        }
        let not_processed = matches!(
            outcome,
            RequestOutcome::NotSent
                | RequestOutcome::Failed { not_processed: true, .. }
                | RequestOutcome::Disconnected { not_processed: true }
                | RequestOutcome::Cancelled { not_processed: true }
        );
        let other = self.sessions.get(&session).and_then(|ends| ends.iter().find(|end| **end != conn));
        let handled = other.is_some_and(|&(node, ..)| self.handled.contains(&(session, node, request)));
        if not_processed && handled {
            return Err(format!("G10: {request:?} was handled, yet said not to be processed"));
        }
        Ok(())
    }

    fn on_received(&mut self, now: Time, conn: Conn, session: SessionId, got: &Got) -> Check {
        let &Got { channel, class, number, gap, hash } = got;
        if self.continuing.contains(&(conn, channel)) {
            return Err(format!("G7: a delivery on {channel:?} before it is told how that goes on"));
        }
        let seen = self.received.entry((conn, channel, class)).or_default();
        let last = seen.last().copied();
        if !seen.insert(number) {
            return Err(format!("G7: {class:?} {number} on {channel:?} was delivered twice"));
        }
        let expected = last.map_or(0, |last| last + 1) + u64::from(gap);
        if class == Class::ReliableOrdered && number != expected {
            return Err(format!("G7: ordered message {number} was delivered where {expected} was due"));
        }
        if class == Class::Sequenced && last.is_some_and(|last| number < last) {
            return Err(format!("G8: sequenced message {number} was delivered after {last:?}"));
        }
        let sender = self.sessions.get(&session).and_then(|ends| ends.iter().find(|end| **end != conn));
        let Some(&sender) = sender else {
            return Err(format!("G7: a message of a session that nobody else has: {session:?}"));
        };
        if class == Class::Unreliable {
            let left = self.unrepeated.entry((sender, channel)).or_default();
            *left = left.checked_sub(1).ok_or("G7: an unreliable message that was announced as lost")?;
        }
        if gap > 0 {
            let left = self.expendable.entry((sender, channel)).or_default();
            *left = left.checked_sub(u64::from(gap)).ok_or("G7: a gap where nothing was given up")?;
        }
        let paused = self.all_paused(now);
        let sent = self.accepted.get_mut(&(sender, channel, class, hash)).and_then(Vec::pop);
        let Some(sent) = sent else {
            return Err(format!("G7: {class:?} {number} is not what was sent, or was delivered twice"));
        };
        if class == Class::ReliableUnordered {
            *self.said_to_arrive.entry((sender, channel, hash)).or_default() -= 1;
        }
        let age = now.since(sent.at).saturating_sub(paused.saturating_sub(sent.paused));
        match sent.lifetime {
            Some(lifetime) if age > lifetime + self.transit => Err(format!(
                "G9: {class:?} {number} on {channel:?} was delivered {age:?} old, and may live {lifetime:?}"
            )),
            _ => Ok(()),
        }
    }
}

/// A message as it was delivered.
struct Got {
    channel: ChannelId,
    class: Class,
    number: u64,
    gap: u32,
    hash: u64,
}

fn of_conn<K: Ord + Copy, V>(
    map: &BTreeMap<(Conn, K), V>,
    conn: Conn,
) -> impl Iterator<Item = (&(Conn, K), &V)> {
    map.iter().filter(move |((c, _), _)| *c == conn)
}

/// A node some of whose events tell what its connections do.
pub(crate) trait Connects: Node {
    fn core(event: &Self::Event) -> Option<&Ev>;
}

impl Connects for Peer {
    fn core(event: &Ev) -> Option<&Ev> {
        Some(event)
    }
}

impl<N: Connects> Oracle<N> for Guarantees {
    fn event(&mut self, now: Now, node: NodeId, event: &N::Event) -> Check {
        let now = now.mono;
        let Some(event) = N::core(event) else { return Ok(()) };
        match event {
            Ev::Asked(id) => {
                let conn = self.conn(node, *id);
                let paused = self.paused(node, now);
                self.asked.insert(conn, (now, paused));
                self.phases.insert(conn, Phase::Asked);
            }
            Ev::Core { conn, session, pto, event } => {
                let conn = self.conn(node, *conn);
                return self.on_core(now, conn, *session, *pto, event);
            }
            Ev::Accepted { conn, message, hash, ask, expendable } => {
                let conn = self.conn(node, *conn);
                self.check_begins(conn)?;
                self.on_accepted(now, conn, *message, *hash, ask, *expendable);
            }
            Ev::CancelCalled { conn, message } => {
                let conn = self.conn(node, *conn);
                self.on_cancel(conn, *message);
            }
            Ev::Limited { conn } => {
                let conn = self.conn(node, *conn);
                self.on_limited(conn);
            }
            Ev::Opened { conn, channel, reliable_sequenced: true } => {
                let conn = self.conn(node, *conn);
                self.newest_arrives.insert((conn, *channel));
            }
            Ev::Opened { .. } => {}
            Ev::Judged { session, hash, rejected } => {
                self.answers.insert((*session, *hash, *rejected));
            }
            Ev::Refused { conn, channel } => {
                let conn = self.conn(node, *conn);
                self.blocked.insert((conn, *channel), true);
            }
            &Ev::Received { conn, session, channel, class, number, gap, hash } => {
                let conn = self.conn(node, conn);
                let got = Got { channel, class, number, gap, hash };
                return self.on_received(now, conn, session, &got);
            }
            Ev::RequestSent { conn, request, hash, expendable } => {
                let conn = self.conn(node, *conn);
                self.check_begins(conn)?;
                let class = Class::ReliableOrdered;
                let paused = self.all_paused(now);
                let accepted = Accepted { at: now, paused, lifetime: None, expendable: *expendable };
                if *expendable {
                    *self.expendable.entry((conn, ChannelId::DEFAULT)).or_default() += 1;
                }
                self.accepted.entry((conn, ChannelId::DEFAULT, class, *hash)).or_default().push(accepted);
                self.requests.insert((conn, *request), true);
                self.questions.insert((conn, *request), *hash);
            }
            Ev::Answered { conn, request, index, is_last } => {
                let conn = self.conn(node, *conn);
                let expected = self.parts.entry((conn, *request)).or_default();
                if *index != *expected {
                    return Err(format!("G10: part {index} of the reply to {request:?}, not {expected}"));
                }
                *expected = if *is_last { u8::MAX } else { *expected + 1 };
            }
            Ev::Handled { session, request } => {
                self.handled.insert((*session, node, *request));
            }
            Ev::CloseCalled { conn, linger } => {
                let conn = self.conn(node, *conn);
                if self.phases.get(&conn) == Some(&Phase::Established) {
                    let paused = self.paused(node, now);
                    let closing = Closing { called: now, paused, linger: *linger };
                    self.closing.entry(conn).or_insert(closing);
                }
            }
        }
        Ok(())
    }

    fn lifecycle(&mut self, now: Now, node: NodeId, life: Life) -> Check {
        let now = now.mono;
        match life {
            Life::Crashed => *self.lives.entry(node).or_default() += 1,
            Life::Paused => {
                self.paused_since.entry(node).or_insert(now);
            }
            Life::Resumed => {
                if let Some(since) = self.paused_since.remove(&node) {
                    *self.paused.entry(node).or_default() += now.since(since);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finally(&mut self, view: &View<'_, N>) -> Check {
        for (&(conn, channel), _) in self.blocked.iter().filter(|&(_, &blocked)| blocked) {
            let is_alive = self.lives.get(&conn.0).copied().unwrap_or(0) == conn.1;
            if is_alive && self.phases.get(&conn) == Some(&Phase::Established) {
                return Err(format!("G6: no Writable({channel:?}) for {conn:?}"));
            }
        }
        let is_up = |conn: &Conn| {
            let is_alive = self.lives.get(&conn.0).copied().unwrap_or(0) == conn.1;
            is_alive && self.phases.get(conn) == Some(&Phase::Established)
        };
        let is_whole = |ends: &&Vec<Conn>| ends.len() == 2 && ends.iter().all(is_up);
        let both = |conn: &Conn| self.sessions.values().find(|ends| ends.contains(conn)).filter(is_whole);
        for (&(sender, channel, class, hash), left) in &self.accepted {
            if self.given_up.contains(&(sender, hash)) {
                continue;
            }
            let is_missing = left.iter().any(|accepted| !accepted.expendable);
            if class.is_reliable() && is_missing && both(&sender).is_some() {
                return Err(format!("{sender:?}: a {class:?} message on {channel:?} never arrived"));
            }
        }
        for (&(sender, channel), &(hash, expendable)) in &self.last_sequenced {
            let left = self.accepted.get(&(sender, channel, Class::Sequenced, hash));
            if let Some(ends) = both(&sender)
                && ends.iter().any(|&end| self.newest_arrives.contains(&(end, channel)))
                && !expendable
                && left.is_some_and(|left| !left.is_empty())
            {
                return Err(format!("G8: {sender:?}: the newest message on {channel:?} never arrived"));
            }
        }
        for (&(sender, channel, hash), _) in self.said_to_arrive.iter().filter(|&(_, &left)| left > 0) {
            let ends = self.sessions.values().find(|ends| ends.contains(&sender));
            let other = ends.and_then(|ends| ends.iter().find(|&&end| end != sender));
            let waits = self.accepted.get(&(sender, channel, Class::ReliableUnordered, hash));
            let is_owed =
                waits.is_some_and(|left| left.iter().any(|left| !left.expendable && left.lifetime.is_none()));
            if is_owed && other.is_some_and(|other| self.lives.get(&other.0).copied().unwrap_or(0) == other.1)
            {
                return Err(format!("G5: {sender:?}: what is said to have arrived on {channel:?} did not"));
            }
        }
        let alive = |conn: &Conn| self.lives.get(&conn.0).copied().unwrap_or(0) == conn.1;
        let now = view.now();
        if let Some((conn, _)) = self.closing.iter().find(|(conn, closing)| {
            alive(conn) && now.since(closing.called) > closing.linger + Duration::from_mins(1)
        }) {
            return Err(format!("G11: {conn:?} never closed"));
        }
        Ok(())
    }
}
