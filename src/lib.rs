//! Covault, an embedded secrets vault: existence is agreed, history is merged.

pub mod vault;
