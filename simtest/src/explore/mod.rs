//! Many runs of one test: every small schedule, the smallest failing one, and where failure became certain.

mod bounds;
mod branch;
mod certificate;
pub(crate) mod ddmin;
mod enumerate;
mod shrink;
mod simpler;
mod story;
#[cfg(test)]
mod tests;
mod why;

pub use self::bounds::Bounds;
pub use self::certificate::{Certificate, certify};
pub use self::shrink::{Budget, shrink, shrink_while};
pub use self::story::{Inevitable, Shrunk, Size, Slice};
pub use self::why::{Curve, Moment, why};

pub(crate) use self::why::why_in_short;

pub(crate) use self::certificate::{Broken, Reason, certify_levels};
pub(crate) use self::shrink::{Help, shrink_with};
