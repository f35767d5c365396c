//! Whether what clients were told about one name can be explained at all: by operations that took effect one after
//! another, each at one moment between its call and its answer (linearizability). The search is that of Wing and
//! Gong with a memory of what was tried (Lowe). An operation whose outcome is not known may have taken effect at
//! any moment after its call, or never. Knows nothing of HTTP.

use std::collections::HashSet;

/// What was asked of a name. No two writes of a history carry the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Make the name, with this value.
    Create(u64),
    /// Put a new value in the place of the old one, and of no other.
    Replace { old: u64, new: u64 },
    /// See the value.
    Read,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was done.
    Done,
    /// It was not done, because the name or its value is another's.
    Refused,
    /// The value, or that there is none.
    Saw(Option<u64>),
    /// Nothing that says whether it was done.
    Unknown,
}

/// One operation of one client.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its moment, before everything that its client did after it.
    pub called: u64,
    /// Later than `called`; of no meaning when the outcome is unknown.
    pub answered: u64,
    /// What was asked.
    pub ask: Ask,
    /// What was answered.
    pub told: Told,
}

impl Operation {
    /// The value after the operation; `None` if with this value before it the answer would have been another.
    fn step(&self, value: Option<u64>) -> Option<Option<u64>> {
        match (self.ask, self.told) {
            (Ask::Create(new), Told::Done | Told::Unknown) if value.is_none() => Some(Some(new)),
            (Ask::Create(_), Told::Refused) if value.is_some() => Some(value),
            (Ask::Replace { old, new }, Told::Done | Told::Unknown) if value == Some(old) => Some(Some(new)),
            (Ask::Replace { old, .. }, Told::Refused) if value.is_some_and(|value| value != old) => {
                Some(value)
            }
            (Ask::Read, Told::Saw(seen)) if seen == value => Some(value),
            _ => None,
        }
    }
}

/// Whether there is an order that explains all answers.
pub fn is_explained(history: &[Operation]) -> bool {
    let mut tried = HashSet::new();
    let mut open = vec![(vec![false; history.len()], None)];
    while let Some((done, value)) = open.pop() {
        let left = || history.iter().enumerate().filter(|(index, _)| !done[*index]);
        let answered = left().filter(|(_, operation)| operation.told != Told::Unknown);
        let Some(first_answer) = answered.map(|(_, operation)| operation.answered).min() else {
            return true;
        };
        for (index, operation) in left().filter(|(_, operation)| operation.called < first_answer) {
            let Some(after) = operation.step(value) else { continue };
            let mut next = done.clone();
            next[index] = true;
            if tried.insert((next.clone(), after)) {
                open.push((next, after));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{Ask, Operation, Told, is_explained};

    const SAW_NONE: Told = Told::Saw(None);
    const SWAP: Ask = Ask::Replace { old: 1, new: 2 };

    /// Operations as (called, answered, asked, told).
    fn check(operations: &[(u64, u64, Ask, Told)], explained: bool) {
        let operation = |&(called, answered, ask, told)| Operation { called, answered, ask, told };
        let history: Vec<_> = operations.iter().map(operation).collect();
        assert_eq!(is_explained(&history), explained, "{history:?}");
    }

    #[test]
    fn what_can_have_happened_is_explained() {
        check(&[], true);
        check(&[(1, 2, Ask::Create(1), Told::Done), (3, 4, Ask::Read, Told::Saw(Some(1)))], true);
        // Both at once: either order will do.
        check(&[(1, 4, Ask::Create(1), Told::Done), (2, 3, Ask::Read, SAW_NONE)], true);
        check(&[(1, 3, Ask::Create(1), Told::Refused), (2, 4, Ask::Create(2), Told::Done)], true);
        // An unknown outcome may have been one thing or the other, and late.
        let unknown = (1, 2, Ask::Create(1), Told::Unknown);
        check(&[unknown, (3, 4, Ask::Read, SAW_NONE), (5, 6, Ask::Read, Told::Saw(Some(1)))], true);
        check(&[unknown, (3, 4, Ask::Create(2), Told::Done), (5, 6, Ask::Read, Told::Saw(Some(2)))], true);
    }

    #[test]
    fn two_winners_are_not_explained() {
        check(&[(1, 3, Ask::Create(1), Told::Done), (2, 4, Ask::Create(2), Told::Done)], false);
        let created = (1, 2, Ask::Create(1), Told::Done);
        let other = Ask::Replace { old: 1, new: 3 };
        check(&[created, (3, 5, SWAP, Told::Done), (4, 6, other, Told::Done)], false);
    }

    #[test]
    fn a_lost_write_and_a_read_that_goes_back_are_not_explained() {
        let created = (1, 2, Ask::Create(1), Told::Done);
        check(&[created, (3, 4, Ask::Read, SAW_NONE)], false);
        check(&[created, (3, 4, SWAP, Told::Done), (5, 6, Ask::Read, Told::Saw(Some(1)))], false);
        let swapped = (3, 4, SWAP, Told::Unknown);
        let (new, old) = (Told::Saw(Some(2)), Told::Saw(Some(1)));
        check(&[created, swapped, (5, 6, Ask::Read, new), (7, 8, Ask::Read, old)], false);
    }

    #[test]
    fn a_refusal_without_a_reason_and_a_value_from_nowhere_are_not_explained() {
        check(&[(1, 2, Ask::Create(1), Told::Refused)], false);
        check(&[(1, 2, Ask::Create(1), Told::Done), (3, 4, SWAP, Told::Refused)], false);
        check(&[(1, 2, Ask::Create(1), Told::Done), (3, 4, Ask::Read, Told::Saw(Some(9)))], false);
    }
}
