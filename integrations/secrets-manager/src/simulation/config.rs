//! What a simulation is to do. Knows nothing of how.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::fault::ScheduledFault;
use crate::types::SecretString;

/// A simulation. The default answers with mock secrets, of which there are none yet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulationConfig {
    /// Where answers come from.
    pub mode: SimulationMode,
    /// Mock secrets, by path. Not for secrets that matter.
    pub secrets: BTreeMap<String, SecretString>,
    /// The file of the recording that is replayed.
    pub recording: Option<PathBuf>,
    /// Keeps values in a recording as they are, instead of placeholders.
    pub keep_values: bool,
    /// What goes wrong, and when.
    pub faults: Vec<ScheduledFault>,
    /// What the chances of faults depend on.
    pub seed: u64,
}

/// Where a simulation's answers come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimulationMode {
    /// From secrets that were given.
    #[default]
    Mock,
    /// From another provider, and they are kept.
    Record,
    /// From a recording.
    Replay,
    /// From nowhere: what is asked is logged, and answered with mock secrets or placeholders.
    DryRun,
}
