//! The way of a client's request from an API process to a vault node, and of its answer back. A vault node judges it as
//! one of its own: it identifies the caller by the token, checks, decides and keeps the audit line. An API process
//! holds nothing but its own key and the whereabouts of the nodes; when one does not answer, it asks another.
//!
//! ```text
//! client ──HTTP──► api ──Asked──► Vaults ──QUIC, channel Serve──► node ──Asked──► api ──► vault
//!         an API process ...................................... a vault node ..................
//! ```
//!
//! Read in this order: [`message`] is what travels, `board` what is known of the nodes, `lookout` how it comes to be
//! known, [`Vaults`] who asks. Keeps A2 and A3. Knows nothing of HTTP, routes, secrets and callers.

mod board;
mod door;
mod known;
mod lookout;
pub mod message;
#[cfg(test)]
mod tests;
mod vaults;

use std::pin::Pin;

pub use board::Seen;
pub use door::{StartError, dialling};
pub use known::Known;
pub use message::{Answered, Ask, Asked, PresentedToken, Standing, Told};
pub use vaults::{Effect, NoAnswer, Vaults};

/// Where an API process keeps what it knows of its cluster, in its directory.
pub const VAULTS_FILE: &str = "vaults.json";
/// A node refuses with this code on the channel Serve what it does not carry out yet, or no more.
pub const NOT_SERVING: u16 = 1;

/// What a vault node does with a client's request that an API process brings.
pub type Serving = Box<dyn Fn(Box<Asked>) -> Pin<Box<dyn Future<Output = Answered> + Send>> + Send + Sync>;
