//! One server, its store and many clients, over links that break: random histories, and what must hold in all of them.

mod histories;
mod polls;
mod store;
mod world;
