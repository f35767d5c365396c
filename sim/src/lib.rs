//! What stands in for the machine: chance and clocks of a seed, and disks that lose what was not synced.

pub mod disk;
pub mod interpose;
