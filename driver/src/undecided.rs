//! The handle of a peer that waits to be let in.

use proto_core::{Close, ConnectionId, Credentials};

use crate::node::Node;
use crate::{Path, Peer, Shared};

/// A peer that has shown its credentials and waits for a decision. Nothing of it has come through yet. Dropping this refuses it,
/// and asks it to come back later.
#[derive(Debug)]
#[must_use = "dropping it refuses the peer"]
pub struct Undecided {
    shared: Shared<Node>,
    id: ConnectionId,
    peer: Peer,
    credentials: Box<Credentials>,
    is_decided: bool,
}

impl Undecided {
    pub(crate) fn new(shared: Shared<Node>, peer: (ConnectionId, Path, Box<Credentials>)) -> Self {
        let (id, path, credentials) = peer;
        Self { shared, id, peer: path.peer, credentials, is_decided: false }
    }

    /// What it has shown.
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The peer, as far as the link tells: an address that it has proven, or whose process it is.
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Tells the connection from every other one of its endpoint, before and after the decision.
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Lets it in: `accept` gives the connection once the handshake is done. `false` when it had waited too long.
    pub fn admit(mut self) -> bool {
        self.is_decided = true;
        self.shared.command(|node, now| node.admit(now, self.id))
    }

    /// Sends it away: it learns code, reason, advice and `retry_after`. `false` when it had waited too long.
    pub fn refuse(mut self, close: Close) -> bool {
        self.is_decided = true;
        self.shared.command(|node, now| node.refuse(now, self.id, close))
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        if !self.is_decided {
            self.shared.command(|node, now| node.refuse_for_now(now, self.id));
        }
    }
}

impl Node {
    fn admit(&mut self, now: proto_core::Now, id: ConnectionId) -> bool {
        self.endpoint_mut().admit(now.mono, id)
    }

    fn refuse(&mut self, now: proto_core::Now, id: ConnectionId, close: Close) -> bool {
        self.endpoint_mut().refuse(now.mono, id, close)
    }

    /// Nobody decides about it: it may come back.
    pub(crate) fn refuse_for_now(&mut self, now: proto_core::Now, id: ConnectionId) {
        let close = self.endpoint_mut().turn_away();
        self.refuse(now, id, close);
    }
}
