//! The keys of one attachment: AES-128-GCM, and AES-128 for the mask of headers, as RFC 9001 has them.

use std::fmt;

use proto_core::crypto::{Key, Limits, SAMPLE_LEN, Session, TAG_LEN};
use ring::aead::quic::{self, HeaderProtectionKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use zeroize::{Zeroize, Zeroizing};

/// RFC 9001, section 6.6.
const LIMITS: Limits = Limits { sealed: 1 << 23, forged: 1 << 52 };

const FITS: &str = "HKDF gives up to 8160 bytes";

struct Bytes<const N: usize>;

impl<const N: usize> KeyType for Bytes<N> {
    fn len(&self) -> usize {
        N
    }
}

/// `N` bytes for one use.
pub(crate) fn expand<const N: usize>(prk: &Prk, label: &[u8]) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    prk.expand(&[label], Bytes::<N>).and_then(|okm| okm.fill(&mut *bytes)).expect(FITS);
    bytes
}

/// One direction's key, and what the next one is made of.
#[derive(Clone)]
struct Traffic {
    secret: Zeroizing<[u8; 32]>,
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Traffic {
    fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        let prk = Prk::new_less_safe(HKDF_SHA256, &*secret);
        let key = expand::<16>(&prk, b"bowline 1 key");
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &*key).expect("the key has its length"));
        let iv = *expand(&prk, b"bowline 1 iv");
        Self { secret, key, iv }
    }

    fn next(&self) -> Self {
        let prk = Prk::new_less_safe(HKDF_SHA256, &*self.secret);
        Self::new(expand(&prk, b"bowline 1 update"))
    }

    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.iv.zeroize();
    }
}

/// What masks the headers of one direction, through all its keys.
struct Mask {
    bytes: Zeroizing<[u8; 16]>,
    key: HeaderProtectionKey,
}

impl Mask {
    fn new(bytes: Zeroizing<[u8; 16]>) -> Self {
        let key = HeaderProtectionKey::new(&quic::AES_128, &*bytes).expect("the key has its length");
        Self { bytes, key }
    }

    fn of(secret: &[u8; 32]) -> Self {
        Self::new(expand(&Prk::new_less_safe(HKDF_SHA256, secret), b"bowline 1 header"))
    }

    fn take(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.key.new_mask(sample).expect("the sample has its length")
    }
}

impl Clone for Mask {
    fn clone(&self) -> Self {
        Self::new(self.bytes.clone())
    }
}

/// The keys of both directions.
#[derive(Clone)]
pub(crate) struct Sealed {
    sent: Traffic,
    received: Traffic,
    previous: Option<Box<Traffic>>,
    /// Made when the first packet came that wants it.
    next: Option<Box<Traffic>>,
    mask_sent: Mask,
    mask_received: Mask,
    hash: [u8; 32],
}

impl Sealed {
    pub(crate) fn new(sent: &[u8; 32], received: &[u8; 32], hash: [u8; 32]) -> Self {
        Self {
            sent: Traffic::new(Zeroizing::new(*sent)),
            received: Traffic::new(Zeroizing::new(*received)),
            previous: None,
            next: None,
            mask_sent: Mask::of(sent),
            mask_received: Mask::of(received),
            hash,
        }
    }

    pub(crate) fn load(saved: &[u8]) -> Option<Self> {
        let (sent, rest) = saved.split_first_chunk()?;
        let (received, rest) = rest.split_first_chunk()?;
        let (mask_sent, rest) = rest.split_first_chunk()?;
        let (mask_received, hash) = rest.split_first_chunk()?;
        Some(Self {
            sent: Traffic::new(Zeroizing::new(*sent)),
            received: Traffic::new(Zeroizing::new(*received)),
            previous: None,
            next: None,
            mask_sent: Mask::new(Zeroizing::new(*mask_sent)),
            mask_received: Mask::new(Zeroizing::new(*mask_received)),
            hash: hash.try_into().ok()?,
        })
    }
}

/// Tells no secrets.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").finish_non_exhaustive()
    }
}

impl Session for Sealed {
    fn seal(&self, number: u64, header: &[u8], record: &mut [u8]) -> [u8; TAG_LEN] {
        let sealed =
            self.sent.key.seal_in_place_separate_tag(self.sent.nonce(number), Aad::from(header), record);
        let tag = sealed.expect("a packet is shorter than 64 GiB");
        tag.as_ref().try_into().expect("the tag has its length")
    }

    fn open(&mut self, key: Key, number: u64, header: &[u8], sealed: &mut [u8]) -> bool {
        let traffic = match key {
            Key::Current => &self.received,
            Key::Previous => match &self.previous {
                Some(previous) => previous,
                None => return false,
            },
            Key::Next => self.next.get_or_insert_with(|| Box::new(self.received.next())),
        };
        traffic.key.open_in_place(traffic.nonce(number), Aad::from(header), sealed).is_ok()
    }

    fn mask_sent(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.mask_sent.take(sample)
    }

    fn mask_received(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.mask_received.take(sample)
    }

    fn update_sent(&mut self) {
        self.sent = self.sent.next();
    }

    fn update_received(&mut self) {
        let next = self.next.take().map_or_else(|| self.received.next(), |next| *next);
        self.previous = Some(Box::new(std::mem::replace(&mut self.received, next)));
    }

    fn forget_previous(&mut self) {
        self.previous = None;
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn handshake_hash(&self) -> [u8; 32] {
        self.hash
    }

    fn save(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&*self.sent.secret);
        to.extend_from_slice(&*self.received.secret);
        to.extend_from_slice(&*self.mask_sent.bytes);
        to.extend_from_slice(&*self.mask_received.bytes);
        to.extend_from_slice(&self.hash);
    }

    fn clone_box(&self) -> Box<dyn Session> {
        Box::new(self.clone())
    }
}
