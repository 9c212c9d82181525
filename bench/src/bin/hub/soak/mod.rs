//! A hub for a long time under loss, kills and junk: whether anything is lost or doubled, and whether anything grows.

mod judge;
mod reader;
mod run;
mod way;

pub(crate) use run::soak;
