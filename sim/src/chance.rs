//! Chance that can be repeated: everything a run decides is drawn here, from its seed. Each part of a world draws from
//! a stream of its own, so that one more draw in one part moves no other. Knows nothing of what is decided.

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// A stream of draws.
#[derive(Debug, Clone)]
pub struct Chance(ChaCha12Rng);

impl Chance {
    /// The stream of `part` under `seed`.
    pub fn of(seed: u64, part: &str) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("covault 2026-11 simulated chance");
        hash.update(&seed.to_le_bytes()).update(part.as_bytes());
        Self(ChaCha12Rng::from_seed(*hash.finalize().as_bytes()))
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is far below anything that a run could show.
        self.0.next_u64() % bound
    }

    /// A number of the range, both ends included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether something happens that happens `percent` times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Whether something happens that happens `times` in a million.
    pub fn million(&mut self, times: u32) -> bool {
        self.below(1_000_000) < u64::from(times)
    }

    /// One of several.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// One of several, each as often as its weight says. The weights are not all 0.
    pub fn weighted<T: Copy>(&mut self, of: &[(T, u64)]) -> T {
        let mut left = self.below(of.iter().map(|(_, weight)| weight).sum());
        for (one, weight) in of {
            match left.checked_sub(*weight) {
                None => return *one,
                Some(rest) => left = rest,
            }
        }
        of[0].0
    }

    /// The first `count` numbers below `bound`, shuffled.
    pub fn some_of(&mut self, bound: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..bound).collect();
        for at in 0..count.min(bound) {
            let other = self.between(at as u64, bound as u64 - 1) as usize;
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }

    /// The stream itself, for whoever draws in a way of its own.
    pub fn stream(&mut self) -> &mut ChaCha12Rng {
        &mut self.0
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
