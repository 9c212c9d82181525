//! Rooms, and all of them together, through what an application calls.

mod crown;
mod fold;
mod hall;
mod presence;
mod quotas;
mod world;
