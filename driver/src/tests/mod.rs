//! Two or more endpoints, a network in memory and a clock that is moved by hand: whoever waits is polled only after it was woken, so
//! that a lost waker stops the test.

mod admission;
mod cancel;
mod connections;
pub(crate) mod harness;
mod lookup;
mod messages;
mod reconnect;
mod requests;
