//! One key of a value that is a JSON object, nested ones with dots. Looks at the value where it lies: only the part that
//! was asked for is copied, into memory that is wiped.

use std::{borrow::Cow, collections::BTreeMap};

use secrecy::ExposeSecret;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{ParseError, SecretString, SecretValue};

impl SecretValue {
    /// What the value, a JSON object, has under `key`: a text as it is, anything else as JSON.
    ///
    /// `a.b` is the key `b` in the object `a`, and `a.0` the first element of the array `a`. A key that is written with
    /// the dot wins over the nested one, at each level.
    ///
    /// # Errors
    /// [`ParseError::JsonParseError`] if the value is no JSON, is binary, or does not have the key; it tells places and
    /// keys, no part of the value.
    pub fn key(&self, key: &str) -> Result<SecretString, ParseError> {
        let wrong = |detail: String| ParseError::JsonParseError { path: self.metadata.name.clone(), detail };
        if self.binary {
            return Err(wrong("it is binary".into()));
        }
        let document: &RawValue = serde_json::from_str(self.value.expose_secret())
            .map_err(|error| wrong(format!("no JSON at line {}, column {}", error.line(), error.column())))?;
        let found = look(document, key).ok_or_else(|| wrong(format!("it has no key {key:?}")))?;
        text(found).ok_or_else(|| wrong(format!("key {key:?} holds a text that is no Unicode")))
    }
}

/// What is under `key` in `value`, or in what its first part names.
fn look<'a>(value: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    let (mut value, mut key) = (value, key);
    loop {
        if let Some(found) = member(value, key) {
            return Some(found);
        }
        let (first, rest) = key.split_once('.')?;
        value = member(value, first)?;
        key = rest;
    }
}

fn member<'a>(value: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    match value.get().as_bytes().first()? {
        b'{' => serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(value.get()).ok()?.remove(key),
        b'[' => {
            serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(key.parse::<usize>().ok()?).copied()
        }
        _ => None,
    }
}

fn text(value: &RawValue) -> Option<SecretString> {
    if !value.get().starts_with('"') {
        return Some(value.get().into());
    }
    if let Ok(plain) = serde_json::from_str::<&str>(value.get()) {
        return Some(plain.into());
    }
    serde_json::from_str::<String>(value.get()).ok().map(Zeroizing::new).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::*;
    use crate::types::SecretMetadata;

    fn value(text: &str) -> SecretValue {
        SecretValue {
            value: text.into(),
            binary: false,
            version: "1".into(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: None,
            valid_until: None,
            metadata: Arc::new(SecretMetadata::new("app/db", "1", DateTime::UNIX_EPOCH)),
        }
    }

    fn key(text: &str, key: &str) -> String {
        match value(text).key(key) {
            Ok(found) => found.expose_secret().to_owned(),
            Err(error) => format!("{error}"),
        }
    }

    #[test]
    fn a_key_of_an_object_is_its_text() {
        assert_eq!(key(r#"{"user":"ada","password":"pass"}"#, "password"), "pass");
        assert_eq!(key(r#" {"password" : "a\"b\u00e9\n"} "#, "password"), "a\"bé\n");
    }

    #[test]
    fn what_is_no_text_is_given_as_it_is_written() {
        let text = r#"{"port":5432,"tls":true,"none":null,"db":{"a":[1, 2]}}"#;
        assert_eq!(key(text, "port"), "5432");
        assert_eq!(key(text, "tls"), "true");
        assert_eq!(key(text, "none"), "null");
        assert_eq!(key(text, "db"), r#"{"a":[1, 2]}"#);
    }

    #[test]
    fn dots_lead_into_objects_and_arrays() {
        let text = r#"{"db":{"users":[{"name":"ada"},{"name":"bob"}]}}"#;
        assert_eq!(key(text, "db.users.1.name"), "bob");
        assert!(key(text, "db.users.2.name").contains("no key"));
        assert!(key(text, "db.users.-1").contains("no key"));
    }

    #[test]
    fn a_key_with_a_dot_wins_over_a_nested_one() {
        assert_eq!(key(r#"{"a":{"b":"nested"},"a.b":"flat"}"#, "a.b"), "flat");
        assert_eq!(key(r#"{"x":{"a.b":"flat"}}"#, "x.a.b"), "flat");
    }

    #[test]
    fn errors_tell_places_and_keys_and_no_part_of_the_value() {
        for text in
            ["hunter2", r#"{"a":hunter2}"#, r#"{"hunter2":"hunter2"}"#, r#""hunter2""#, "[\"hunter2\"]"]
        {
            let said = key(text, "b");
            assert!(said.contains("app/db") && !said.contains("hunter2"), "{said}");
        }
        assert!(key("{\"a\":\n x}", "a").contains("line 2, column 2"));
    }

    #[test]
    fn a_binary_value_has_no_keys() {
        let binary = SecretValue { binary: true, ..value("e30=") };
        assert!(binary.key("a").is_err());
    }

    #[test]
    fn brackets_however_deep_are_passed_over() {
        let bomb = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(key(&format!(r#"{{"a":{bomb},"b":"pass"}}"#), "b"), "pass");
        assert!(key(&"[".repeat(1 << 20), "a").contains("no JSON"));
    }
}
