//! One room, and its rules.

mod crown;
mod fold;
mod presence;
mod quotas;
mod world;
