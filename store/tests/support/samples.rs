//! Records of `ann`'s secrets, by name. Knows nothing of the store they go into.

#[path = "records.rs"]
mod records;

use covault_model::{
    command::{Action, Command, NewSecret, SealedVersion},
    marks::Mark,
    name::SecretPath,
    record::Record,
};

pub use self::records::{caller, command};

/// `ann`'s secret of this name.
pub fn secret(secret: &str) -> SecretPath {
    SecretPath { owner: caller("ann"), name: records::name(secret) }
}

/// A version of `ann`'s secret, made at `time` after `parents`, with this payload.
pub fn version(of: &str, time: u64, parents: &[&Record], payload: &[u8]) -> SealedVersion {
    records::version(&secret(of), time, parents, payload)
}

/// A record of marks of `ann`'s secret.
pub fn marks(of: &str, time: u64, parents: &[&Record], marks: &[Mark]) -> Record {
    records::marks(&secret(of), time, parents, marks)
}

/// The creation of `ann`'s secret with this first version.
pub fn create(of: &str, version: SealedVersion, marks: Option<Record>) -> Command {
    command(Action::Create(vec![NewSecret { path: secret(of), version, marks }]))
}
