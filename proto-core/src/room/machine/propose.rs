//! What is to be remembered, on its way to the room's log.

use super::Room;
use crate::Now;
use crate::room::fact::Fact;
use crate::room::limits::MAX_SENT_FACTS;

impl Room {
    /// The next fact for the room's log. It must come back with `apply`, in order, or with [`take_back`](Self::take_back). There is
    /// none while 16 are on their way: what waits behind them is kept short meanwhile.
    pub fn poll_fact(&mut self) -> Option<Fact> {
        if self.sent.len() >= MAX_SENT_FACTS {
            return None;
        }
        let fact = self.proposed.pop_front()?;
        self.sent.push_back(fact.clone());
        Some(fact)
    }

    /// The last `count` facts that were polled are not in the log, and will be polled again.
    pub fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            let Some(fact) = self.sent.pop_back() else { return };
            self.proposed.push_front(fact);
        }
    }

    /// How many facts have not come back.
    pub(super) fn waiting_facts(&self) -> usize {
        self.proposed.len() + self.sent.len()
    }

    /// Proposes what comes to hold later.
    pub(super) fn propose(&mut self, now: Now, fact: Fact) {
        let replaces = matches!((&fact, self.proposed.back()), (Fact::Crown(_), Some(Fact::Crown(_))));
        if let (true, Fact::Crown(crown)) = (replaces, &fact) {
            // Nobody has heard of the one before, which is not in the log yet: the crown goes on at once.
            let crown = super::Crown { epoch: self.ahead.crown.epoch, since_ms: now.unix_ms, ..*crown };
            self.ahead.crown = crown;
            self.proposed.pop_back();
            self.proposed.push_back(Fact::Crown(crown));
            return;
        }
        if fact == Fact::Reset && self.takes_back_what_a_reset_undoes(now) && self.ahead.is_fresh() {
            return;
        }
        self.ahead.fold(fact.clone(), now.unix_ms);
        self.proposed.push_back(fact);
    }

    /// Nobody has heard of them, and after a reset nothing is left of them; says whether there were any.
    fn takes_back_what_a_reset_undoes(&mut self, now: Now) -> bool {
        let before = self.proposed.len();
        while let Some(Fact::Crown(_) | Fact::Settings(..) | Fact::Reset) = self.proposed.back() {
            self.proposed.pop_back();
        }
        if self.proposed.len() == before {
            return false;
        }
        self.ahead = self.state.clone();
        for fact in self.sent.iter().chain(&self.proposed) {
            self.ahead.fold(fact.clone(), now.unix_ms);
        }
        true
    }

    pub(in crate::room) fn is_settled(&self) -> bool {
        self.proposed.is_empty() && self.sent.is_empty()
    }
}
