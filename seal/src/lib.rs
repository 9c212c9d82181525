//! Encrypted datagrams: what [`proto_core::crypto`] asks for, by libraries (docs/decisions/0026-encryption.md).
//!
//! The handshake is Noise IK by `snow`, with a shared secret IKpsk1; packets are sealed with AES-128-GCM by `ring`, under keys
//! that HKDF-SHA256 makes of what the handshake leaves. The bytes are in docs/spec/wire.md, sections 2.5 and 3.4.
//!
//! ```
//! use std::sync::Arc;
//!
//! use proto_core::ConfigBuilder;
//! use proto_core::crypto::{Crypto, Identity, Trust};
//! use seal::Party;
//!
//! let server = Party::generate()?;
//! let key = server.public_key();
//! let server = ConfigBuilder {
//!     accept: true,
//!     crypto: Some(Crypto::new(Arc::new(server), Trust::FirstUse)),
//!     ..ConfigBuilder::default()
//! };
//! let client = ConfigBuilder {
//!     crypto: Some(Crypto::new(Arc::new(Party::generate()?), Trust::Pinned(key))),
//!     ..ConfigBuilder::default()
//! };
//! # assert!(server.build().is_ok() && client.build().is_ok());
//! # Ok::<(), seal::Error>(())
//! ```
#![forbid(unsafe_code)]

mod handshake;
mod party;
mod session;

pub use party::{Error, Party};
