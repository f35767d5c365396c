//! What a node is to other nodes: an identity, which is a key pair and a file; the peers it trusts; and one
//! endpoint through which they ask each other. Knows bytes and peers; nothing of tables, secrets and Raft.
//!
//! Read in this order: [`trust`](Trust) says who, `tls` proves it, [`hello`] and [`frame`] are the bytes,
//! `serve` is a connection that came in, `link` one that goes out, [`Endpoint`] the door to both.

mod endpoint;
mod error;
pub mod frame;
pub mod hello;
mod identity;
mod inbox;
mod lane;
mod limits;
mod link;
mod neighbour;
mod quota;
mod reason;
mod serve;
mod shared;
mod socket;
mod stats;
mod stream;
pub mod tls;
mod trust;

pub use endpoint::{Doors, Endpoint, Setup};
pub use error::{CallError, Loss, Misuse, NetError, Unreachable};
pub use frame::Channel;
pub use identity::{IdentityError, NODE_KEY_FILE, NodeIdentity};
pub use inbox::{Asker, Inbox, Incoming, Reply};
pub use limits::Limits;
pub use reason::Reason;
pub use socket::{Draw, Socket};
pub use stats::{PeerStats, Stats};
pub use trust::{Peer, Role, Trust};
