//! Answers of stores, kept for a while. Knows nothing of providers.

pub mod disk;
