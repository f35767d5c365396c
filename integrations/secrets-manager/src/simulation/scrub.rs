//! Values replaced by placeholders, so that a recording may be kept and shown: the same value has the same placeholder,
//! so that what changes and what does not can still be seen, and JSON keeps its form. Knows nothing of recordings.
//!
//! A text becomes `recorded-1`, `recorded-2` and so on, in the order in which values appear. In a value that is a JSON
//! object or array the texts in it do, numbers become such a number, `true` and `false` become `true`; names of members and
//! `null` stay. A binary value becomes the base64 of `recorded-1`. Nothing tells how long a value was.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::types::{ExposedValue, SecretString};

/// Gives out placeholders. It knows of a value only its hash.
#[derive(Debug, Default)]
pub struct Scrubber(HashMap<[u8; 32], usize>);

impl Scrubber {
    /// The secret with a placeholder in place of its value.
    pub fn scrub(&mut self, secret: &ExposedValue) -> ExposedValue {
        let text = secret.value.expose_secret();
        let placeholder = match serde_json::from_str(text) {
            _ if secret.binary => STANDARD.encode(self.placeholder(text)),
            Ok(mut document @ (Value::Object(_) | Value::Array(_))) => {
                self.replace_all(&mut document);
                document.to_string()
            }
            _ => self.placeholder(text),
        };
        ExposedValue { value: SecretString::from(placeholder), ..secret.clone() }
    }

    fn replace_all(&mut self, document: &mut Value) {
        let mut open = vec![document];
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) => {
                    let placeholder = self.placeholder(text);
                    drop(Zeroizing::new(std::mem::replace(text, placeholder)));
                }
                Value::Number(number) => *number = self.number(&number.to_string()).into(),
                Value::Bool(bool) => *bool = true,
                Value::Array(items) => open.extend(items.iter_mut().rev()),
                Value::Object(members) => {
                    let mut members: Vec<_> = members.values_mut().collect();
                    members.reverse();
                    open.extend(members);
                }
                Value::Null => {}
            }
        }
    }

    fn placeholder(&mut self, text: &str) -> String {
        format!("recorded-{}", self.number(text))
    }

    fn number(&mut self, text: &str) -> usize {
        let next = self.0.len() + 1;
        *self.0.entry(*blake3::hash(text.as_bytes()).as_bytes()).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::types::SecretMetadata;

    fn secret(value: &str, binary: bool) -> ExposedValue {
        ExposedValue {
            value: value.into(),
            binary,
            version: "1".into(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: None,
            valid_until: None,
            metadata: SecretMetadata::new("a", "1", DateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn the_same_value_has_the_same_placeholder_and_json_keeps_its_form() {
        let mut scrubber = Scrubber::default();
        let mut scrubbed =
            |text, binary| scrubber.scrub(&secret(text, binary)).value.expose_secret().to_owned();
        assert_eq!(scrubbed("hunter2", false), "recorded-1");
        assert_eq!(scrubbed("other", false), "recorded-2");
        assert_eq!(scrubbed("hunter2", false), "recorded-1");
        let document = r#"{"a":"hunter2","b":[4711,null,false,{"c":"new"}],"d":4711}"#;
        assert_eq!(
            scrubbed(document, false),
            r#"{"a":"recorded-1","b":[3,null,true,{"c":"recorded-4"}],"d":3}"#
        );
        assert_eq!(scrubbed("4711", false), "recorded-3");
        assert_eq!(scrubbed("AP8=", true), STANDARD.encode("recorded-5"));
    }
}
