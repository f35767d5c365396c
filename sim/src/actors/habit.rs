//! The closed list of what clients do, and how often in a run: the seed draws another mix each time, so that every pair
//! of habits meets in some run while one of them is frequent. Knows nothing of how any of it is done.

use serde::{Deserialize, Serialize};

use crate::chance::Chance;

/// Something that a client may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Habit {
    /// Races for a name.
    Create,
    /// Writes whatever is there.
    Update,
    /// Writes several things at once.
    Flurry,
    /// Writes if nobody else did since.
    Replace,
    /// Reads one thing or another.
    Read,
    /// Sets labels, and takes them away.
    Label,
    /// Marks a current version deleted.
    Delete,
    /// Brings one back.
    Undelete,
    /// Erases old versions.
    Destroy,
    /// Encrypts a `.env` file.
    Encrypt,
    /// Expands one.
    Expand,
    /// Turns values into tokens.
    Tokenize,
    /// And back.
    Detokenize,
    /// Looks which epoch is active.
    Epochs,
    /// Activates the next.
    Activate,
    /// Destroys an old one.
    DestroyEpoch,
    /// Tries what is another caller's.
    Trespass,
    /// Sends a node's port for peers bytes that are no packets.
    Garble,
    /// Asks a node as a peer does, and is none.
    Knock,
    /// Tells a node what does not hold, with a stolen key.
    Lie,
    /// Asks with an idempotency key until there is an answer, and once more at times.
    Retry,
    /// Claims with a stolen key what nobody may.
    Pretend,
    /// Asks for anything else so that may be asked with an idempotency key.
    Insist,
}

/// Each habit with the weight that it has in a run.
pub type Mix = Vec<(Habit, u64)>;

/// The usual weights.
const USUAL: [(Habit, u64); 23] = [
    (Habit::Create, 12),
    (Habit::Update, 20),
    (Habit::Flurry, 5),
    (Habit::Replace, 12),
    (Habit::Read, 24),
    (Habit::Label, 10),
    (Habit::Delete, 4),
    (Habit::Undelete, 4),
    (Habit::Destroy, 4),
    (Habit::Encrypt, 6),
    (Habit::Expand, 6),
    (Habit::Tokenize, 10),
    (Habit::Detokenize, 8),
    (Habit::Epochs, 2),
    (Habit::Activate, 3),
    (Habit::DestroyEpoch, 1),
    (Habit::Trespass, 5),
    (Habit::Garble, 1),
    (Habit::Knock, 2),
    (Habit::Retry, 10),
    (Habit::Lie, 2),
    (Habit::Pretend, 2),
    (Habit::Insist, 8),
];

/// The mix of a run: some habits are rare in it or absent, some are frequent.
pub fn draw_mix(chance: &mut Chance) -> Mix {
    let times: [(u64, u64); 5] = [(0, 10), (1, 20), (2, 40), (4, 20), (8, 10)];
    let mut mix = USUAL.map(|(habit, weight)| (habit, weight * chance.weighted(&times)));
    // Without names and values there is nothing that any other habit could meet.
    for (habit, weight) in &mut mix {
        if matches!(habit, Habit::Create | Habit::Update | Habit::Read) {
            *weight = (*weight).max(12);
        }
    }
    mix.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_habit_is_frequent_in_some_mix_and_absent_from_another_but_for_the_first_that_all_need() {
        let mixes: Vec<Mix> = (0..200).map(|seed| draw_mix(&mut Chance::of(seed, "mix"))).collect();
        for (at, (habit, usual)) in USUAL.iter().enumerate() {
            let weights = || mixes.iter().map(|mix| mix[at].1);
            assert_eq!(weights().max(), Some(usual * 8), "{habit:?}");
            let needed = matches!(habit, Habit::Create | Habit::Update | Habit::Read);
            assert_eq!(weights().min(), Some(if needed { 12 } else { 0 }), "{habit:?}");
        }
    }
}
