//! Chance, for waits that are not to coincide with those of others. A test gives the seed.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;

/// Draws lengths of time.
pub struct Jitter(Mutex<Rng>);

impl Jitter {
    /// Draws the same lengths each time.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(Rng::with_seed(seed)))
    }

    /// Any length from nothing to `most`.
    pub fn up_to(&self, most: Duration) -> Duration {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        most.mul_f64(chance.f64())
    }

    /// `length`, up to a tenth longer or shorter.
    pub fn around(&self, length: Duration) -> Duration {
        length.mul_f64(0.9) + self.up_to(length / 5)
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self(Mutex::new(Rng::new()))
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}
