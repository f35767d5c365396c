//! The API service: HTTP in front of the vault. It identifies the caller, reads the request into checked
//! values, asks the vault and writes the answer; it decides nothing. In a process of its own it has no vault and brings
//! requests to nodes that have; on those, it carries out what such a process brings.
//!
//! Read in this order: [`table`] is all there is, [`service`] takes a request through it,
//! [`call`] and [`resources`] read requests, [`answer`] and [`problem`] write answers, [`server`] listens,
//! [`workers`] are the threads that connections are served on, [`alarm`] is a connection's timer and [`joined`] sends;
//! [`relayed`] is the way to nodes, and from API processes.
//! Knows nothing of tables, sealing or consensus.

pub mod alarm;
pub mod answer;
pub mod body;
pub mod call;
pub mod cursor;
pub mod headers;
pub mod joined;
pub mod metrics;
pub mod observed;
pub mod openapi;
pub mod problem;
pub mod query;
pub mod relayed;
pub mod resources;
pub mod routes;
pub mod schemas;
pub mod server;
pub mod service;
pub mod table;
pub mod time;
pub mod tls;
pub mod workers;

pub use relayed::Relay;
pub use server::{Listener, ServerLimits, attend, serve};
pub use service::{Api, Behind, RequestLimits};
pub use workers::Workers;
