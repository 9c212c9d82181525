//! A party that is not quite what it should be: its keys are good for less, so that a test can use them up, or it seals lies.

use std::sync::{Arc, Mutex};

use proto_core::crypto::{
    Identity, Initiator, Key, Limits, PublicKey, Responder, SAMPLE_LEN, Session, TAG_LEN,
};
use seal::Party;

#[derive(Debug)]
pub(crate) struct Altered(pub(crate) Party, pub(crate) Alteration);

#[derive(Clone, Debug, Default)]
pub(crate) struct Alteration {
    /// What its keys are good for.
    pub(crate) limits: Option<Limits>,
    /// Frames that take the place of all that is in the next packet with room for them.
    pub(crate) lie: Arc<Mutex<Vec<u8>>>,
}

#[derive(Debug)]
struct Begun(Box<dyn Initiator>, Alteration);

struct Asked(Box<dyn Responder>, Alteration);

#[derive(Debug)]
struct Keys(Box<dyn Session>, Alteration);

impl Identity for Altered {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn initiate(
        &self,
        random: [u8; 32],
        server: &PublicKey,
        prologue: &[u8],
        payload: &[u8],
        message: &mut Vec<u8>,
    ) -> Box<dyn Initiator> {
        Box::new(Begun(self.0.initiate(random, server, prologue, payload, message), self.1.clone()))
    }

    fn respond(&self, random: [u8; 32], prologue: &[u8], message: &[u8]) -> Option<Box<dyn Responder>> {
        Some(Box::new(Asked(self.0.respond(random, prologue, message)?, self.1.clone())))
    }

    fn load(&self, saved: &[u8]) -> Option<Box<dyn Session>> {
        Some(Box::new(Keys(self.0.load(saved)?, self.1.clone())))
    }
}

impl Initiator for Begun {
    fn finish(&mut self, message: &[u8]) -> Option<(Vec<u8>, Box<dyn Session>)> {
        let (payload, session) = self.0.finish(message)?;
        Some((payload, Box::new(Keys(session, self.1.clone()))))
    }

    fn clone_box(&self) -> Box<dyn Initiator> {
        Box::new(Self(self.0.clone_box(), self.1.clone()))
    }
}

impl Responder for Asked {
    fn peer(&self) -> PublicKey {
        self.0.peer()
    }

    fn payload(&self) -> &[u8] {
        self.0.payload()
    }

    fn finish(self: Box<Self>, payload: &[u8], message: &mut Vec<u8>) -> Box<dyn Session> {
        Box::new(Keys(self.0.finish(payload, message), self.1))
    }
}

impl Session for Keys {
    fn seal(&self, number: u64, header: &[u8], record: &mut [u8]) -> [u8; TAG_LEN] {
        let mut lie = self.1.lie.lock().expect("nobody panics with it");
        if !lie.is_empty() && lie.len() <= record.len() {
            record.fill(0);
            record[..lie.len()].copy_from_slice(&lie);
            lie.clear();
        }
        self.0.seal(number, header, record)
    }

    fn open(&mut self, key: Key, number: u64, header: &[u8], sealed: &mut [u8]) -> bool {
        self.0.open(key, number, header, sealed)
    }

    fn mask_sent(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.0.mask_sent(sample)
    }

    fn mask_received(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.0.mask_received(sample)
    }

    fn update_sent(&mut self) {
        self.0.update_sent();
    }

    fn update_received(&mut self) {
        self.0.update_received();
    }

    fn forget_previous(&mut self) {
        self.0.forget_previous();
    }

    fn limits(&self) -> Limits {
        let real = self.0.limits();
        // What stands in for them in a test is what RFC 9001 says of AES-GCM.
        assert_eq!((real.sealed, real.forged), (1 << 23, 1 << 52));
        self.1.limits.unwrap_or(real)
    }

    fn handshake_hash(&self) -> [u8; 32] {
        self.0.handshake_hash()
    }

    fn save(&self, to: &mut Vec<u8>) {
        self.0.save(to);
    }

    fn clone_box(&self) -> Box<dyn Session> {
        Box::new(Self(self.0.clone_box(), self.1.clone()))
    }
}
