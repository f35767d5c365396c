//! What the machine gives a node: wall time and chance. The only file that reads them; everything else
//! is handed a [`Host`]. It has two homes: the real machine here, and the one that tests and simulation
//! bring. Knows nothing of what the time or the bytes are for.

use std::time::{SystemTime, UNIX_EPOCH};

use covault_model::hlc::Millis;
use rand::TryRng;

/// Wall time and chance.
pub trait Host: Send + Sync + 'static {
    /// Milliseconds since 1970 by the wall clock; it may jump.
    fn now(&self) -> Millis;
    /// Fills `bytes` with what nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine this process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Host for Machine {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(since.as_millis() as u64)
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::rngs::SysRng.try_fill_bytes(bytes).expect("the system's random source answers");
    }
}
