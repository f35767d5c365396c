//! Checks of single answers. What is found instead is told by status, code and field, never by a value (S1).
//! Knows nothing of who answered.

use std::fmt::Display;

use serde_json::Value;

use crate::cli::{client::Answered, failure::Failure};

/// What an answer says in short: its status, and its code if it is a refusal, such as `503 quorum_unavailable`.
pub fn in_short(answer: &Answered) -> String {
    match answer.code() {
        None => answer.status.to_string(),
        Some(code) => format!("{} {code}", answer.status),
    }
}

/// The field at a JSON pointer; null if it is absent.
pub fn field(answer: &Answered, pointer: &str) -> Value {
    answer.body().and_then(|body| body.pointer(pointer)).cloned().unwrap_or_default()
}

/// The text at a JSON pointer; empty if there is none.
pub fn text(answer: &Answered, pointer: &str) -> String {
    field(answer, pointer).as_str().unwrap_or_default().to_owned()
}

/// Whether an answer is a success with this value of a secret.
pub fn has_value(answer: &Answered, value: &str) -> bool {
    answer.status == 200 && field(answer, "/value") == value
}

/// Passes when `found` is `wanted`.
///
/// # Errors
/// Else, with both.
pub fn same<T: PartialEq + Display>(what: &str, found: &T, wanted: &T) -> Result<(), Failure> {
    ensure(found == wanted, || format!("{what} is {found}, not {wanted}"))
}

/// Passes when `holds`.
///
/// # Errors
/// Else, with what is wrong.
pub fn ensure(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new("claim_failed", wrong())) }
}

/// Passes when an answer, in short, is `wanted`.
///
/// # Errors
/// Else, with both.
pub fn answers(answer: &Answered, wanted: &str) -> Result<(), Failure> {
    let found = in_short(answer);
    ensure(found == wanted, || format!("the answer is {found}, not {wanted}"))
}

/// Passes when each version of a history ends where the one after it begins, and only the newest is open.
///
/// # Errors
/// Else, with where the line is broken.
pub fn is_one_line(versions: &[Value]) -> Result<(), Failure> {
    let open = versions.first().is_some_and(|newest| newest["valid_to"].is_null());
    ensure(open, || "the newest version is not open to the future".to_owned())?;
    for (newer, older) in versions.iter().zip(versions.iter().skip(1)) {
        let (ends, begins) = (&older["valid_to"], &newer["valid_from"]);
        ensure(ends.is_string() && ends == begins, || {
            format!("one ends at {ends}, the next begins at {begins}")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn told<T>(checked: Result<T, Failure>) -> String {
        match checked.err().unwrap() {
            Failure::Told(told) => told.detail,
            other => panic!("it is told: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_so_is_told_with_what_is() {
        assert!(same("the number", &json!(2), &json!(2)).is_ok());
        assert_eq!(told(same("the number", &json!(null), &json!(2))), "the number is null, not 2");
    }

    #[test]
    fn a_line_with_a_gap_an_overlap_or_a_closed_end_is_none() {
        let version = |from: &str, to: Option<&str>| json!({"valid_from": from, "valid_to": to});
        let (newest, oldest) = (version("b", None), version("a", Some("b")));
        assert!(is_one_line(&[newest.clone(), oldest.clone()]).is_ok());
        assert!(is_one_line(&[]).is_err());
        assert!(is_one_line(&[oldest]).is_err());
        for wrong in [Some("c"), None] {
            assert!(is_one_line(&[newest.clone(), version("a", wrong)]).is_err());
        }
    }
}
