//! What becomes of packets besides being late: lost, or doubled. Every packet passes here and is taken into the digest.
//! Knows nothing of who sends what.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use quinn::udp::Transmit;

use crate::{chance::Chance, journal::Journal};

/// The state of the network between all machines; clones share it.
#[derive(Clone)]
pub struct Weather(Arc<Mutex<State>>);

struct State {
    chance: Chance,
    journal: Journal,
    lost: u32,
    doubled: u32,
}

impl Weather {
    /// Weather in which so many packets in a million are lost, and so many doubled.
    pub fn new(chance: Chance, journal: Journal, lost: u32, doubled: u32) -> Self {
        Self(Arc::new(Mutex::new(State { chance, journal, lost, doubled })))
    }

    /// From now on so many packets in a million are lost.
    pub fn lose(&self, lost: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lost = lost;
    }

    /// How often a packet goes out.
    pub fn copies(&self, from: SocketAddr, packet: &Transmit<'_>) -> usize {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.journal.packet(from, packet.destination, packet.contents);
        let (lost, doubled) = (state.lost, state.doubled);
        if state.chance.million(lost) { 0 } else { 1 + usize::from(state.chance.million(doubled)) }
    }
}
