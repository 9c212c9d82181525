//! Every state that small systems can be in. It is the machines themselves that are explored, not a description of them.

mod resume;
mod room;
mod sequencer;
mod whole;
