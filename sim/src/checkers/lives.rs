//! Which node it was that was asked: one that was lost with its disk, or was taken away, is not the one that stands in
//! its place afterwards. Knows nothing of rules.

use crate::{
    fault::Fault,
    story::{Operation, Story, What},
};

/// A node for as long as it has its disk: its place, and how many stood there before.
pub type Life = (usize, usize);

/// When nodes were lost.
pub struct Lives {
    /// By place, in microseconds.
    lost_us: Vec<Vec<u64>>,
}

impl Lives {
    /// As a story has it.
    pub fn of(story: &Story) -> Self {
        let mut lost_us = vec![Vec::new(); story.plan.nodes];
        for event in &story.events {
            // One that was taken away runs on until its machine is cleared for another.
            if let What::Harmed(Fault::Replace(node)) | What::Mended(Fault::Remove(node)) = event.what {
                lost_us[node].push(event.at_us);
            }
        }
        Self { lost_us }
    }

    /// The node that was asked.
    pub fn asked(&self, operation: &Operation<'_>) -> Life {
        self.at(operation.asked.node, operation.asked_us)
    }

    /// The node that stands at a place at a time, in microseconds.
    pub fn at(&self, place: usize, at_us: u64) -> Life {
        (place, self.lost_us[place].iter().filter(|lost_us| **lost_us <= at_us).count())
    }
}
