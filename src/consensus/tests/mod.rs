//! Agreement on real stores: of one node alone, and of three over real connections.

mod ahead;
mod alone;
mod cluster;
mod handover;
mod news;
mod purged;
mod slow;
mod three;

use covault_store::{Options, PILE_MAX, WriterMode};

/// A small store with its writer in a thread.
fn small_store() -> Options {
    Options { map_bytes: 64 << 20, create: true, sync: true, writer: WriterMode::Thread, pile_max: PILE_MAX }
}
