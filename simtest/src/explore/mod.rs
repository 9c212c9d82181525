//! Many runs of one test: every small schedule, the smallest failing one, and where failure became certain.

mod bounds;
mod branch;
mod certificate;
mod enumerate;
#[cfg(test)]
mod tests;

pub use self::bounds::Bounds;
pub use self::certificate::{Certificate, certify};
