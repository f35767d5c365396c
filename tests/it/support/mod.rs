//! What the black-box suites stand on: the real binary as a process, a client that this project did
//! not write, raw connections for bytes no client would send, and a wait that polls.
//! Knows nothing of the rooms: only the commands and the HTTP contract.

pub mod chance;
pub mod client;
pub mod cluster;
pub mod command;
pub mod envfiles;
pub mod healed;
pub mod hosts;
pub mod intruder;
pub mod joining;
pub mod node;
pub mod process;
pub mod register;
pub mod services;
pub mod sites;
pub mod terminal;
pub mod trial;
pub mod turnovers;
pub mod vault;
pub mod wait;
pub mod wire;
pub mod wires;

pub use chance::Chance;
pub use client::{Answer, Client};
pub use cluster::Cluster;
pub use command::{Done, covault};
pub use healed::healed;
pub use node::Place;
pub use process::Process;
pub use terminal::Terminal;
pub use trial::Trial;
pub use turnovers::Turnovers;
pub use vault::Vault;
pub use wait::{PATIENCE, eventually, within};
pub use wires::{Ends, Wire, Wires};
