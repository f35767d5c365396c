//! Whole Covault clusters on a simulated network, clock and disk. A seed draws a plan, a world runs it, and the story of
//! what happened is judged rule by rule. The same seed gives the same run, byte for byte.

pub mod actors;
pub mod chance;
pub mod checkers;
pub mod cli;
pub mod client;
pub mod coverage;
pub mod desk;
pub mod disk;
pub mod fault;
pub mod inspection;
pub mod interpose;
pub mod journal;
pub mod links;
pub mod logbook;
pub mod machine;
pub mod memory;
pub mod operator;
pub mod outsider;
pub mod plan;
pub mod report;
pub mod request;
pub mod shrinker;
pub mod socket;
pub mod story;
pub mod summary;
pub mod telling;
pub mod verdict;
pub mod weather;
pub mod world;
