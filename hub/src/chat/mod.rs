//! The terminal client. Somebody at a prompt is a participant in rooms (`member`); a pipe is in the log of one room (`session`).
//!
//! ```text
//!  front ── lines ──► talk ── messages ──► link ──► server
//!        ◄─ entries ─      ◄─ messages ──
//! ```

mod answers;
mod commands;
mod ending;
mod escape;
mod front;
mod input;
mod known;
mod link;
mod member;
mod outage;
mod run;
mod session;
mod shelf;
mod talk;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use run::run;
