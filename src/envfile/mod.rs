//! `.env` files: read, encrypt, expand. A file keeps every byte that need not change.
//!
//! Read in this order: `file` says what a file is, `call` what `secret(…)` and `enc(…)` are, `picked` what references
//! stand for (and `key` what `#KEY` is), `reading` what a program sees of a value, `writing` how a value is put so that every program sees it, `expand` and
//! `encrypt` what becomes of a file, `format` other forms of one.
//!
//! Three readers are what "a program sees" means: motdotla/dotenv, python-dotenv and dotenvy. Where those that
//! read a line differ, nothing is guessed: it is a mistake with its place, but only if the value is needed.
//!
//! Pure: knows nothing of HTTP, vaults, files or pipes. What a secret's value is comes in as an argument.

mod call;
mod encrypt;
mod expand;
mod file;
mod format;
mod key;
mod mistake;
mod picked;
mod reading;
mod writing;

pub use call::{Pin, Reference};
pub use encrypt::{Encryption, Sealable, Values};
pub use expand::EXPANDED_BYTES_MAX;
pub use file::EnvFile;
pub use format::Format;
pub use mistake::{Mistake, Position, Reason, Refused, Unresolved};
pub use picked::Picked;

#[cfg(test)]
mod tests;
