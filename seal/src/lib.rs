//! Envelope encryption, the master keyring and the plaintext type.

mod plaintext;

pub use plaintext::Plaintext;
