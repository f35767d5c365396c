//! One file per kind of thing the API has. Each reads its requests into checked values, asks the vault
//! and hands the answer on.

pub mod callers;
pub mod env;
pub mod epochs;
pub mod grants;
pub mod health;
pub mod history;
pub mod members;
pub mod secrets;
pub mod tokens;
