//! Configurations whose texts have references: all of them resolved together, each secret once. Knows JSON values, and
//! what serde can turn into them and back.

use std::any::type_name;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Resolver,
    interpolate::{LARGEST, Template},
    parser,
};
use crate::types::{GetSecretOptions, ParseError, SecretValue, SecretsError};

impl<F, Fetching> Resolver<F>
where
    F: Fn(String, GetSecretOptions) -> Fetching + Send + Sync,
    Fetching: Future<Output = Result<SecretValue, SecretsError>> + Send,
{
    /// Resolves the references in all texts of `document`, wherever they stand. If it fails, `document` is as it was.
    ///
    /// # Errors
    /// As [`super::ReferenceResolver::resolve`]; what is wrong begins with the text's JSON pointer. A reference in the
    /// name of a member is one.
    #[tracing::instrument(name = "secrets.resolve", skip_all, fields(reference_count, resolved_count))]
    pub async fn resolve_value(&self, document: &mut Value) -> Result<(), SecretsError> {
        let texts = texts(document)?;
        let mut templates = Vec::with_capacity(texts.len());
        for (pointer, text) in &texts {
            templates.push(Template::parse(text).map_err(|error| at(pointer, error))?);
        }
        let secrets = self.fetch(&templates).await;
        let (mut filled, mut room) = (Vec::with_capacity(texts.len()), LARGEST);
        for ((pointer, _), template) in texts.iter().zip(&templates) {
            filled.push(template.fill(&secrets, &mut room).map_err(|error| at(pointer, error))?);
        }
        drop(templates);
        for ((_, text), mut filled) in texts.into_iter().zip(filled) {
            *text = std::mem::take(&mut *filled);
        }
        Ok(())
    }

    /// `configuration` with the references in all its texts resolved. It goes through JSON for it: what is not
    /// serialized comes back as its default.
    ///
    /// # Errors
    /// As [`Resolver::resolve_value`], and [`ParseError::InvalidDocument`] if the configuration cannot be made into JSON,
    /// or not again out of it.
    pub async fn resolve_config<T: Serialize + DeserializeOwned>(
        &self,
        configuration: &T,
    ) -> Result<T, SecretsError> {
        // What serde says is left out: it may quote a value.
        let wrong = |what| ParseError::InvalidDocument { detail: format!("{} {what}", type_name::<T>()) };
        let mut document =
            serde_json::to_value(configuration).map_err(|_| wrong("cannot be made into JSON"))?;
        self.resolve_value(&mut document).await?;
        Ok(serde_json::from_value(document)
            .map_err(|_| wrong("cannot be made of its JSON with the values in it"))?)
    }
}

/// All texts of a document with their JSON pointers, in its order.
fn texts(document: &mut Value) -> Result<Vec<(String, &mut String)>, ParseError> {
    let mut texts = Vec::new();
    let mut open = vec![(String::new(), document)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::String(text) => texts.push((pointer, text)),
            Value::Array(items) => {
                let items = items.iter_mut().enumerate().rev();
                open.extend(items.map(|(index, item)| (format!("{pointer}/{index}"), item)));
            }
            Value::Object(members) => {
                if let Some(name) = members.keys().find(|name| parser::has_references(name)) {
                    return Err(in_name(&pointer, name));
                }
                let members = members.iter_mut().rev();
                open.extend(members.map(|(name, member)| (format!("{pointer}/{}", token(name)), member)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Ok(texts)
}

/// A member's name as a JSON pointer has it.
fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn in_name(pointer: &str, name: &str) -> ParseError {
    ParseError::InvalidReference {
        reference: name.to_owned(),
        span: 0..name.len(),
        detail: format!("at {:?}: it stands in the name of a member", format!("{pointer}/{}", token(name))),
        cause: None,
    }
}

/// The error with the place of its text in the document.
fn at(pointer: &str, error: ParseError) -> ParseError {
    match error {
        ParseError::InvalidReference { reference, span, detail, cause } => ParseError::InvalidReference {
            reference,
            span,
            detail: format!("at {pointer:?}, {detail}"),
            cause,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::resolver::tests::{Asked, Store};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Configuration {
        url: String,
        replicas: Vec<String>,
        port: u16,
    }

    #[tokio::test]
    async fn a_whole_configuration_is_resolved_and_each_secret_is_asked_for_once() {
        let store = Store::new(&[("db", r#"{"user":"ada","password":"s3cret"}"#), ("host", "h")]);
        let configuration = Configuration {
            url: "pg://{{secret:db#user}}:{{secret:db#password}}@{{secret:host}}".into(),
            replicas: vec!["{{secret:host}}1".into(), "plain".into()],
            port: 5432,
        };
        let resolved = store.resolver().resolve_config(&configuration).await.unwrap();
        assert_eq!(
            resolved,
            Configuration {
                url: "pg://ada:s3cret@h".into(),
                replicas: vec!["h1".into(), "plain".into()],
                port: 5432,
            }
        );
        assert_eq!(store.asked(), Asked::paths(&["db", "host"]));
    }

    #[tokio::test]
    async fn an_error_tells_the_pointer_of_its_text_and_nothing_is_put_in() {
        let store = Store::new(&[("host", "h")]);
        for (mut document, said) in [
            (
                json!({"a/b": ["{{secret:host}}", "x {{secret:no}}"]}),
                r#"at "/a~1b/1", line 1, column 3: there is no secret"#,
            ),
            (
                json!({"a": "{{secret:host}}", "z": {"y": "{{secret:}}"}}),
                r#"at "/z/y", line 1, column 10: the path"#,
            ),
            (
                json!({"a": "{{secret:host}}", "{{secret:host}}": 1}),
                r#"at "/{{secret:host}}": it stands in the name"#,
            ),
        ] {
            let before = document.clone();
            let error = store.resolver().resolve_value(&mut document).await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert_eq!(document, before);
        }
    }

    #[tokio::test]
    async fn a_value_that_does_not_fit_is_not_quoted() {
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        enum Mode {
            #[serde(rename = "{{secret:host}}")]
            Reference,
        }
        let store = Store::new(&[("host", "hunter2")]);
        let error = store.resolver().resolve_config(&Mode::Reference).await.unwrap_err();
        assert_eq!(error.error_type(), "parse_invalid_document");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
