//! Bytes that must not be seen.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;
use core::ops::Deref;

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
        wipe(&mut self.0);
    }
}

/// What a stateless reset ends with. Debug output has a mark of it, by which two are told apart, and which is of no use to whoever wants to
/// send one.
#[derive(Clone, Copy)]
pub(crate) struct ResetToken([u8; 16]);

impl ResetToken {
    pub(crate) const fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether a datagram ends with it.
    pub(crate) fn ends(&self, datagram: &[u8]) -> bool {
        datagram.last_chunk::<16>().is_some_and(|tail| is_equal(tail, &self.0))
    }
}

impl From<[u8; 16]> for ResetToken {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ResetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = blake3::hash(&self.0);
        write!(f, "ResetToken({})", &hash.to_hex()[..8])
    }
}

impl PartialEq for ResetToken {
    fn eq(&self, other: &Self) -> bool {
        is_equal(&self.0, &other.0)
    }
}

impl Eq for ResetToken {}

/// Overwrites what nobody needs any more.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Somebody may look: so the bytes are written, though nobody does.
    black_box(bytes);
}

/// Any number of bytes with secrets among them, which are overwritten wherever they have been.
#[derive(Clone, Default)]
pub(crate) struct Hidden(Vec<u8>);

impl Hidden {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.make_room(1);
        self.0.push(byte);
    }

    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn extend_zeros(&mut self, count: usize) {
        self.make_room(count);
        self.0.resize(self.0.len() + count, 0);
    }

    #[inline]
    fn make_room(&mut self, len: usize) {
        if len > self.0.capacity() - self.0.len() {
            self.move_over(len);
        }
    }

    #[cold]
    fn move_over(&mut self, len: usize) {
        let mut more = Vec::with_capacity((self.0.len() + len).max(2 * self.0.capacity()).max(1024));
        more.extend_from_slice(&self.0);
        wipe(&mut core::mem::replace(&mut self.0, more));
    }

    /// A copy of its length, which its owner has to [`wipe`].
    pub(crate) fn to_box(&self) -> Box<[u8]> {
        Box::from(&self.0[..])
    }
}

impl Deref for Hidden {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Hidden {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hidden({})", self.0.len())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Whether two secrets are the same, in a time that depends on their length only.
pub(crate) fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    one.len() == other.len() && differences == 0
}

crate::sleep::saved!(Secret(_));
crate::sleep::saved!(ResetToken(_));

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::{Hidden, ResetToken, Secret, is_equal};

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
        let mut hidden = Hidden::from(alloc::vec![0xA7; 7]);
        hidden.extend(&[1; 2000]);
        assert_eq!(
            (&hidden[..8], hidden.len(), format!("{hidden:?}").as_str()),
            (&[0xA7, 0xA7, 0xA7, 0xA7, 0xA7, 0xA7, 0xA7, 1][..], 2007, "Hidden(2007)")
        );
        let tokens = [0xA7, 0xA8].map(|byte| ResetToken::from([byte; 16]));
        let texts = tokens.map(|token| format!("{token:?}"));
        assert!(texts[0] != texts[1] && tokens[0] != tokens[1]);
        assert!(texts.iter().all(|text| !text.contains("a7") && !text.contains("167")), "{texts:?}");
        assert!(tokens[0].ends(&[&[1, 2][..], &[0xA7; 16]].concat()));
        assert!(!tokens[0].ends(&[0xA7; 15]) && !tokens[1].ends(&[0xA7; 16]));
        assert!(is_equal(b"", b"") && !is_equal(b"a", b"ab") && !is_equal(b"a", b"b"));
    }
}
