//! Keys of histories as they are on disk, said once more without the store's own code.
//! Knows nothing of what rows hold.

use covault_model::name::SecretPath;

/// What the keys of all rows of this kind of the secret at `path` begin with.
pub fn of_kind(path: &SecretPath, kind: u8) -> Vec<u8> {
    [path.owner.as_bytes(), &[0], path.name.as_bytes(), &[0, kind]].concat()
}
