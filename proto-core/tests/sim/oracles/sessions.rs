//! What is promised of sessions that go on over another link, or whose messages go to the connection that takes their place.

use proto_core::{ChannelId, Class, Continuity, ReceiptKind, SessionId};
use simtest::{Check, Time};

use super::{Accepted, Ask, Conn, Guarantees, Phase};

impl Guarantees {
    /// What was moved is accepted by the connection that takes the place of this one.
    pub(super) fn move_messages(&mut self, now: Time, conn: Conn, next: Option<Conn>) -> Check {
        for (old, new) in self.moved.remove(&conn).unwrap_or_default() {
            let next = next.ok_or_else(|| format!("G5: {old:?} was moved to nowhere"))?;
            let hash = self.hashes.get(&(conn, old)).copied().unwrap_or_default();
            let ask = Ask { class: new.class, receipt: ReceiptKind::Processing, ..Ask::default() };
            let entries = self.accepted.get(&(conn, old.channel, old.class, hash)).into_iter().flatten();
            let expendable =
                self.mortal.contains(&(conn, old)) || entries.into_iter().any(|left| left.expendable);
            self.on_accepted(now, next, new, hash, &ask, expendable);
        }
        for ((channel, batch), is_ended, new) in self.moved_batches.remove(&conn).unwrap_or_default() {
            let next = next.ok_or_else(|| format!("G5: batch {batch} was moved to nowhere"))?;
            self.batches.insert((next, (new, batch)), is_ended);
            let members = self.members.get(&(conn, (channel, batch))).cloned().unwrap_or_default();
            self.members.insert((next, (new, batch)), members.clone());
            for (class, hash) in members {
                // Those that were answered for do not come again.
                let paused = self.all_paused(now);
                let accepted = Accepted { at: now, paused, lifetime: None, expendable: true };
                self.accepted.entry((next, new, class, hash)).or_default().push(accepted);
                *self.expendable.entry((next, new)).or_default() +=
                    u64::from(class == Class::ReliableOrdered);
            }
        }
        Ok(())
    }

    pub(super) fn on_batch_moved(&mut self, conn: Conn, batch: (ChannelId, u64), new: ChannelId) -> Check {
        let Some(is_ended) = self.batches.remove(&(conn, batch)) else {
            return Err(format!("G5: a fate of a batch that is not owed: {batch:?}"));
        };
        self.moved_batches.entry(conn).or_default().push((batch, is_ended, new));
        Ok(())
    }

    /// Something new begins on `conn`.
    pub(super) fn check_begins(&self, conn: Conn) -> Check {
        if self.sent_away.contains(&conn) {
            return Err(format!("G12: {conn:?} begins something although its server is going away"));
        }
        Ok(())
    }

    pub(super) fn on_resumed(
        &mut self,
        conn: Conn,
        session: SessionId,
        resumed: SessionId,
        incarnation: u32,
        phase: Option<Phase>,
    ) -> Check {
        if phase != Some(Phase::Suspended) {
            return Err(format!("G3: Resumed in phase {phase:?}"));
        }
        // Not every node knows the sessions of its connections.
        if session != SessionId([0; 16]) && session != resumed {
            return Err(format!("G4: {session:?} became {resumed:?}"));
        }
        let known = self.incarnations.entry(conn).or_insert(1);
        // A server may hear from the old link after all.
        if incarnation < *known {
            return Err(format!("G4: link {incarnation} after {known}"));
        }
        *known = incarnation;
        self.phases.insert(conn, Phase::Established);
        self.continuing.insert((conn, ChannelId::DEFAULT));
        let received = self.received.keys().filter(|(of, ..)| *of == conn);
        self.continuing.extend(received.map(|&(of, channel, _)| (of, channel)));
        Ok(())
    }

    pub(super) fn on_continued(
        &mut self,
        conn: Conn,
        session: SessionId,
        channel: ChannelId,
        continuity: Continuity,
    ) -> Check {
        self.continuing.remove(&(conn, channel));
        let Continuity::Gap(lost) = continuity else { return Ok(()) };
        let sender = self.sessions.get(&session).and_then(|ends| ends.iter().find(|end| **end != conn));
        let sent = sender.and_then(|&sender| self.unrepeated.get_mut(&(sender, channel)));
        match sent {
            Some(left) if *left >= u64::from(lost) => {
                *left -= u64::from(lost);
                Ok(())
            }
            left => Err(format!("G7: a gap of {lost} on {channel:?}, of {left:?} that were sent")),
        }
    }
}
