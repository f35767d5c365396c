//! Where a running world writes down what happens, with the clock and the digest. Shared by everything in the world;
//! all of it runs in one thread. Knows nothing of what the entries mean.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::story::{Asked, Event, Told, What};

/// The journal of a world; clones share it.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    events: Vec<Event>,
    digest: blake3::Hasher,
    packets: u64,
    asked: u32,
    /// Written as it happens.
    aloud: bool,
}

impl Journal {
    /// One that says everything as it happens, too.
    pub fn aloud() -> Self {
        let journal = Self::default();
        journal.pages().aloud = true;
        journal
    }

    /// Writes down what happened now. To be called inside the world.
    pub fn note(&self, what: What) {
        self.pages().note(now(), what);
    }

    /// Writes down what happened at a time, from outside of the world.
    pub fn note_at(&self, at: Duration, what: What) {
        self.pages().note(at, what);
    }

    /// Writes down a request; gives its number.
    pub fn ask(&self, asked: impl FnOnce(u32) -> Asked) -> u32 {
        let mut pages = self.pages();
        let op = pages.asked;
        pages.asked += 1;
        pages.note(now(), What::Asked(asked(op)));
        op
    }

    /// Writes down what came of a request.
    pub fn tell(&self, op: u32, told: Told) {
        self.note(What::Told { op, told });
    }

    /// Takes a packet into the digest.
    pub fn packet(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let mut pages = self.pages();
        pages.packets += 1;
        let at = now().as_micros().to_le_bytes();
        let ends = [from.to_string(), to.to_string()].concat();
        pages.digest.update(&at).update(ends.as_bytes()).update(bytes);
    }

    /// All that was written down so far.
    pub fn events(&self) -> Vec<Event> {
        self.pages().events.clone()
    }

    /// The digest of it and of all packets, and how many of these there were.
    pub fn digest(&self) -> (String, u64) {
        let pages = self.pages();
        (pages.digest.finalize().to_hex().to_string(), pages.packets)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn note(&mut self, at: Duration, what: What) {
        let event = Event { at_us: at.as_micros() as u64, what };
        let text = serde_json::to_vec(&event).expect("an event has a text");
        self.digest.update(&text);
        if self.aloud {
            eprintln!("{:>10.3} ms  {:?}", event.at_us as f64 / 1000.0, event.what);
        }
        self.events.push(event);
    }
}

/// Simulated time since the world began; zero outside of it.
pub fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}
