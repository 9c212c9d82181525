//! Branches: a running simulation that goes on in another way.

use crate::choice::Chooser;
use crate::node::Node;
use crate::run::Run;

impl<N: Node> Run<N> {
    /// A copy that goes on with the choices of another driver: the same up to here, new from here on. The
    /// original can go on as well.
    ///
    /// Faults that are on stay on, and end when they should have. Those that were yet to begin are forgotten;
    /// those that `chooser` [lists](Chooser::timed), or that the campaign draws from it, come instead.
    /// Weather, seeds of nodes, and what is left out of the test stay as they are, so that the
    /// [schedule](crate::Outcome::schedule) of a branch makes the same run from the start.
    #[must_use]
    pub fn branch(&self, mut chooser: impl Chooser + 'static) -> Self {
        let mut branch = self.clone();
        branch.plan_anew(&mut chooser);
        branch.core.chooser = Box::new(chooser);
        branch
    }
}
