//! Page cursors and query strings. What is read as a cursor is exactly what this release gives out for
//! that position; nothing panics. Knows nothing of pages.

#![no_main]

use covault::api::{cursor, query::Query};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = cursor::read_after_secret(text) {
        assert_eq!(cursor::after_secret(&name), text);
    }
    if let Ok(place) = cursor::read_before_version(text) {
        assert_eq!(cursor::before_version(&place), text);
    }
    if let Err(problem) = Query::parse(text) {
        assert_eq!(problem.code().status(), 400);
    }
});
