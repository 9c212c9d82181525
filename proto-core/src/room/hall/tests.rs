//! Rooms together.
