//! Bytes of the Raft log's files: whatever they are, the frames found lie in order within them, and what was
//! written as one reads back. Knows nothing of files.

#![no_main]

use covault_store::{LogRest, LogScan, scan_log};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let LogScan { frames, rest } = scan_log(bytes);
    let mut end = 0;
    for frame in &frames {
        for entry in &frame.entries {
            assert!(end < entry.start && entry.start <= entry.end && entry.end <= frame.end);
            end = entry.end;
        }
        assert!(!frame.entries.is_empty() && end == frame.end && end <= bytes.len());
    }
    assert!(rest != LogRest::Nothing || bytes[end..].iter().all(|byte| *byte == 0));
});
