//! Bowline's hub: the server and the terminal client.
mod chat;
mod cli;
mod store;

fn main() {}
