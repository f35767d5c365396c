//! What tokens are made of: issues as they come from peers, tokens, pointers and numbers as they come from users, and
//! documents around them. Keeps T1, T4 and T5: one encoding of each issue, one form of each value, and every byte
//! of a document that is no field. Knows nothing of keys.

#![no_main]

use covault::tokens::{Document, Part};
use covault_model::{
    canonical::Scalar,
    field::{FieldRule, Format, OpaqueToken},
    id::IssueId,
    issue::{Issue, IssueHeader},
    name::{FieldPointer, FieldType},
};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = IssueHeader::from_bytes(bytes) {
        assert_eq!(header.to_bytes(), bytes, "a header has one encoding");
    }
    if let Ok(issue) = Issue::from_trusted_bytes(bytes) {
        assert_eq!(issue.to_bytes(), bytes, "an issue has one encoding");
        assert_eq!(issue.id(), IssueId::of(&issue.header().to_bytes()));
    }
    if let Some(value) = Scalar::read(bytes) {
        assert!(value.canonical().is_ok_and(|form| *form == bytes), "a form is its own form");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(token) = OpaqueToken::parse(text) {
        assert_eq!(token.text(), text, "a token has one text");
    }
    if let Ok(form) = Scalar::Number(text).canonical() {
        assert!(Scalar::read(&form).is_some(), "the form of a number is one");
    }
    if let Some((pointer, document)) = text.split_once('\n') {
        replace(pointer, document);
    }
});

/// Puts what stands in the fields of a document back into it.
fn replace(pointer: &str, document: &str) {
    let Ok(pointer) = FieldPointer::parse(pointer) else { return };
    let Ok(raw) = serde_json::from_str::<&RawValue>(document) else { return };
    let rules = [FieldRule { pointer, format: Format::Opaque, kind: FieldType::default() }];
    let read = Document::new(raw);
    let Ok(found) = read.fields(&rules) else { return };
    let parts =
        found.into_iter().map(|field| Part { json: raw.get()[field.at.clone()].into(), at: field.at });
    assert_eq!(read.with(parts), raw.get(), "what is no field keeps its bytes");
}
