//! What members tell each other beside agreement and records: who there is and where, and what time it is. What is
//! read is what is written, and nothing panics, whatever time a clock may say.
//! Knows nothing of who is asked.

#![no_main]

use std::sync::LazyLock;

use covault::{
    node::{clocks, whereabouts},
    vault::Clocks,
};
use covault_model::{hlc::Millis, id::NodeId};
use libfuzzer_sys::fuzz_target;
use tokio::time::Instant;

static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

fuzz_target!(|bytes: &[u8]| {
    assert!(!(whereabouts::is_ask(bytes) && clocks::is_ask(bytes)), "one question at a time");
    if let Ok(members) = whereabouts::read_told(bytes) {
        assert_eq!(whereabouts::read_told(&whereabouts::write_told(&members)), Ok(members));
    }
    if let Ok(said) = clocks::read_told(bytes) {
        assert_eq!(clocks::read_told(&clocks::write_told(said)), Ok(said));
        let heard = Clocks::default();
        heard.heard(NodeId::default(), said, (*NOW, *NOW));
        for now in [Millis(0), said, Millis(u64::MAX)] {
            assert!(!heard.skew(now).is_beyond_bound(), "one other clock is not enough");
        }
    }
});
