//! What is said about a secret on the command line: labels, description, media type, expiry.
//! Knows nothing of when it is said.

use clap::Args;
use covault_model::name::{ContentType, Description, LabelKey, LabelValue};
use serde_json::{Map, Value};

/// A label to set.
#[derive(Debug, Clone)]
pub struct Label {
    key: LabelKey,
    value: LabelValue,
}

impl Label {
    /// Reads `KEY=VALUE`.
    ///
    /// # Errors
    /// When there is no `=` or one of the two is not valid, with which.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("must have the form KEY=VALUE")?;
        Ok(Self {
            key: LabelKey::parse(key).map_err(|error| format!("the key {error}"))?,
            value: LabelValue::parse(value).map_err(|error| format!("the value {error}"))?,
        })
    }

    /// As the query of a listing names it.
    pub fn to_query(&self) -> String {
        format!("{}:{}", self.key, self.value)
    }
}

/// Labels as an object; `removed` ones are null.
pub fn label_object(set: &[Label], removed: &[LabelKey]) -> Value {
    let removed = removed.iter().map(|key| (key.to_string(), Value::Null));
    let set = set.iter().map(|label| (label.key.to_string(), Value::from(label.value.as_str())));
    Value::Object(removed.chain(set).collect::<Map<_, _>>())
}

/// What is said along with a new value.
#[derive(Args)]
pub struct MarkArgs {
    /// Set a label. May be given again.
    #[arg(long, value_name = "KEY=VALUE", value_parser = Label::parse)]
    label: Vec<Label>,
    /// Say what the secret is for.
    #[arg(long, value_name = "TEXT", value_parser = Description::parse)]
    description: Option<Description>,
    /// Say what the value is, such as application/json.
    #[arg(long, value_name = "TYPE", value_parser = ContentType::parse)]
    content_type: Option<ContentType>,
    /// Stop serving this version at that time, such as 2030-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
}

impl MarkArgs {
    /// Puts what was said into a request's body.
    pub fn put_into(&self, body: &mut Value) {
        if !self.label.is_empty() {
            body["labels"] = label_object(&self.label, &[]);
        }
        let texts = [
            ("description", self.description.as_deref()),
            ("content_type", self.content_type.as_deref()),
            ("expires_at", self.expires_at.as_deref()),
        ];
        for (member, text) in texts {
            if let Some(text) = text {
                body[member] = Value::from(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_label_is_split_at_the_first_equals_sign() {
        let label = Label::parse("team=a=b:c").unwrap();
        assert_eq!(label.to_query(), "team:a=b:c");
        assert_eq!(
            label_object(&[label], &[LabelKey::parse("old").unwrap()]),
            json!({"old": null, "team": "a=b:c"})
        );
        for text in ["team", "=a", "te am=a", "team=\u{7}"] {
            assert!(Label::parse(text).is_err(), "{text}");
        }
    }
}
