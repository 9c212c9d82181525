//! The terminal client.

mod escape;
mod front;
mod input;
mod session;
#[cfg(test)]
mod tests;
mod words;
