//! Bytes that must not be seen.

use core::fmt;
use core::hint::black_box;

/// 32 bytes that are in no log: debug output does not show them, comparing takes the same time whatever they are, and they are
/// overwritten when they are dropped.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The bytes, for those who need them.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Secret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        is_equal(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0 = [0; 32];
        // Somebody may look: so the bytes are written, though nobody does.
        black_box(&mut self.0);
    }
}

/// Whether two secrets are the same, in a time that depends on their length only.
pub(crate) fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    one.len() == other.len() && differences == 0
}

crate::sleep::saved!(Secret(_));

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::{Secret, is_equal};

    #[test]
    fn it_does_not_show_and_compares_all_of_itself() {
        let secret = Secret::from([0xA7; 32]);
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret Some(Secret)");
        assert_eq!(secret, Secret::from(*secret.expose()));
        for byte in 0..32 {
            let mut other = [0xA7; 32];
            other[byte] ^= 1;
            assert_ne!(secret, Secret::from(other));
        }
        assert!(is_equal(b"", b"") && !is_equal(b"a", b"ab") && !is_equal(b"a", b"b"));
    }
}
