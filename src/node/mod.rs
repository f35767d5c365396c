//! A node: starts the rooms in order, keeps them going, stops them in order. A program that embeds a
//! vault starts one of these and asks its [`Vault`](crate::vault::Vault); the `covault` program puts HTTP
//! in front of it. Knows nothing of requests.

pub mod clocks;
mod config;
pub mod enrolment;
mod error;
mod join;
mod joining;
mod keys;
mod offers;
mod offline;
mod peers;
mod serving;
mod shredding;
mod start;
mod tending;
#[cfg(test)]
mod tests;
mod upkeep;
pub mod whereabouts;

pub use config::{
    ApiConfigFile, ConfigFile, HttpConfig, LogConfig, LogFormat, NodeConfig, PlainHttp, QuicConfig, TlsFiles,
};
pub use error::{ConfigError, StartError};
pub use join::{JoinError, Joined, JoinedApi, join, join_api};
pub use keys::DEFAULT_KEYRING_FILE;
pub use offline::{
    CheckError, CheckReport, Restored, back_up, back_up_with_log, check, restore, verify_audit,
};
pub use start::{Founded, Node};
