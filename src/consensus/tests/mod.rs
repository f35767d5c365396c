//! Agreement on real stores: of one node alone, and of three over real connections.

mod ahead;
mod alone;
mod cluster;
mod handover;
mod news;
mod slow;
mod three;
