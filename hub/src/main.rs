//! Bowline's hub: the server and the terminal client.
mod store;
fn main() {}
