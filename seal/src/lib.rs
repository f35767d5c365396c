//! Sealing: what stands between a secret value and everything that is kept or sent.
//!
//! [`Plaintext`] is a value in memory (S1), [`seal`] and [`open`] its envelope (S2), [`Keyring`] the keys
//! that envelopes are made with (S3), [`EpochKey`] what tokens come of (T1). Chance comes in as an argument. Knows nothing of tables, callers or
//! requests.

mod cipher;
mod envelope;
mod epoch_key;
mod form;
mod keyring;
mod master_key;
mod payload;
mod plaintext;

pub use envelope::{Context, SealError, open, seal};
pub use epoch_key::{EpochKey, Misfit, Token};
pub use keyring::{CREDENTIAL_NAME, Keyring, KeyringError, KeyringSource, Verdict};
pub use payload::master_key_of;
pub use plaintext::Plaintext;
