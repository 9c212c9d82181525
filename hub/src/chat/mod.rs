//! The terminal client.
//!
//! ```text
//!  front ── lines ──► session ── messages ──► link ──► server
//!        ◄─ entries ─         ◄─ messages ──
//! ```

mod ending;
mod escape;
mod front;
mod input;
mod link;
mod outage;
mod run;
mod session;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use run::run;
