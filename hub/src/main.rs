//! Bowline's hub.
fn main() {}
