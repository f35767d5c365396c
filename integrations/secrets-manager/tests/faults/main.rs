//! What goes wrong on the way to a store and in it, one table for all that speak HTTP; and how Vault and Key Vault are
//! logged in to. Each store here is a scripted one on this machine: what a real one does is what the contract is for.

#![allow(clippy::unwrap_used)]

mod azure;
mod echo;
mod lists;
mod proxy;
mod server;
mod stores;
mod table;
mod vault;
mod vault_secrets;
