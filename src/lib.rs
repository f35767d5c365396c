//! Covault, an embedded, peer-to-peer secrets vault: existence is agreed, history is merged.
//!
//! A program that embeds a vault starts a [`node::Node`] and asks its [`vault::Vault`]; there is no HTTP
//! unless it adds it. The `covault` program is this library with [`api`] in front and [`cli`] beside.

pub mod api;
pub mod audit;
pub mod cli;
pub mod consensus;
pub mod envfile;
pub mod host;
pub mod merge;
pub mod node;
pub mod relay;
pub mod tokens;
pub mod vault;
