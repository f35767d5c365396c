//! One list of claims, for every store alike, asked through `SecretProvider`. What a store holds was put there, and read
//! there, by the vendor's own client, just before: a claim about a value is a claim that both read the same.
//!
//! A directory of files needs nothing. The other stores need Python and are started by `tests/emulators.sh`, which runs
//! these tests with their addresses.

#![allow(clippy::unwrap_used)]

#[macro_use]
mod claims;
mod files;
mod holdings;

contract!(local);
contract!(aws, #[ignore = "run by tests/emulators.sh"]);
contract!(azure, #[ignore = "run by tests/emulators.sh"]);
contract!(gcp, #[ignore = "run by tests/emulators.sh"]);
contract!(vault, #[ignore = "run by tests/emulators.sh"]);
