//! One list of claims, for every store alike, asked through `SecretProvider`. What a vendor's store holds was put there,
//! and read there, by the vendor's own client, just before: a claim about a value is a claim that both read the same.
//! Files, mock secrets and Covault's secrets are to be read as they were put there.
//!
//! A directory of files and a simulation need nothing, Covault needs its program (see `tests/covault`). The others need
//! Python and are started by `tests/emulators.sh`, which runs these tests with their addresses.

#![allow(clippy::unwrap_used)]

#[macro_use]
mod claims;
mod dev_vault;
mod files;
mod holdings;
mod mocks;
#[path = "../covault/node.rs"]
mod node;
mod secrets;

contract!(local);
contract!(simulation);
contract!(covault);
contract!(aws, #[ignore = "run by tests/emulators.sh"]);
contract!(azure, #[ignore = "run by tests/emulators.sh"]);
contract!(gcp, #[ignore = "run by tests/emulators.sh"]);
contract!(vault, #[ignore = "run by tests/emulators.sh"]);
