//! What a sender is told of its messages is true.

use proto_core::{Class, Fate, MessageId, SessionId};
use simtest::Check;

use super::{Conn, Guarantees};

impl Guarantees {
    /// Whoever is said to have processed or rejected a message has done so.
    pub(super) fn check_fate(
        &mut self,
        conn: Conn,
        session: SessionId,
        message: MessageId,
        fate: Fate,
    ) -> Check {
        if let Fate::Moved(new) = fate {
            self.moved.entry(conn).or_default().push((message, new));
        }
        let rejected = match fate {
            Fate::Processed => None,
            Fate::Rejected(reason) => Some(reason),
            Fate::Acked => {
                self.on_said_to_arrive(conn, message);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let hash = self.hashes.get(&(conn, message)).copied().unwrap_or_default();
        if self.answers.contains(&(session, hash, rejected)) {
            return Ok(());
        }
        Err(format!("G5: {message:?} is {fate:?}, and nobody said so"))
    }

    /// What is in order may still wait for what is lost with its connection.
    fn on_said_to_arrive(&mut self, conn: Conn, message: MessageId) {
        if message.class == Class::ReliableUnordered
            && let Some(&hash) = self.hashes.get(&(conn, message))
        {
            *self.said_to_arrive.entry((conn, message.channel, hash)).or_default() += 1;
        }
    }
}
