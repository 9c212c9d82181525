//! Which judges hold at which time, for those who look at a run.

/// The judges of a recorded run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(crate) names: Vec<String>,
    /// So many of them, the first, must always hold.
    pub(crate) invariants: usize,
    /// Whether each held before anything happened.
    pub(crate) at_first: Vec<bool>,
    /// Whether each holds now.
    pub(crate) now: Vec<bool>,
    /// Number of the record before which it changed, judge, and whether it holds from there on.
    pub(crate) changes: Vec<(u32, u32, bool)>,
}

impl Watch {
    /// Those that must always hold come first; they hold at first, the others do not.
    pub(crate) fn add(&mut self, name: &str, holds: bool) {
        self.names.push(name.to_owned());
        self.invariants += usize::from(holds);
        self.at_first.push(holds);
        self.now.push(holds);
    }

    pub(crate) fn see(&mut self, record: usize, judge: usize, holds: bool) {
        if std::mem::replace(&mut self.now[judge], holds) != holds {
            self.changes.push((record as u32, judge as u32, holds));
        }
    }
}
