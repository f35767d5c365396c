//! References to secrets in texts and configurations: found, fetched together and put in. Knows nothing of where secrets
//! live: it asks whom it is given.
//!
//! A reference is `{{secret:path}}`, with what may stand around the path:
//!
//! | written | means |
//! | --- | --- |
//! | `{{secret:app/db}}` | the whole value |
//! | `{{secret:app/db#password}}` | a key of a value that is JSON; `#users.0.name` for one further inside |
//! | `{{secret:app/db@3}}` | a version, by its store's identifier |
//! | `{{secret:app/db@AWSPREVIOUS}}`, `@stage:blue` | the version with a label |
//! | `{{secret:app/db#password@3}}` | both; the key stands first |
//! | `{{secret:aws:app/db}}` | from this store, whatever the path maps to: `aws`, `vault`, `azure`, `gcp`, `local`, `covault`, `simulation` |
//! | `{{secret\:app/db}}` | no reference, but the text `{{secret:app/db}}`; one backslash goes, others before it stay |
//!
//! In a reference a backslash takes the meaning from `\`, `:`, `#`, `@`, `{` and `}` that belong to a name; before
//! anything else it is an error. Spaces around the parts say nothing, those inside a part belong to it. A reference
//! stands on one line and has at most 4,096 bytes. A path that itself has a colon, such as an ARN, is written behind its
//! store's name, `{{secret:aws:arn:aws:…}}`, or with `\:`. Dots in a key lead into objects and arrays, and a key that
//! is written with the dot wins over the nested one, as [`SecretValue::key`] has it.
//!
//! Whatever begins like a reference and is none is an error with its place; nothing is left as it is. Values are put in
//! as they are and not looked at again: a value that has `{{secret:` in it comes out with it. A binary value goes in as
//! its base64.

mod document;
mod interpolate;
mod parser;

use zeroize::Zeroizing;

use self::interpolate::{LARGEST, Template};
use crate::types::{GetSecretOptions, SecretReference, SecretString, SecretValue, SecretsError};

/// How many secrets are asked for at once unless told otherwise.
const AT_ONCE: usize = 16;

/// Puts secrets in for the references of a text.
pub trait ReferenceResolver: Send + Sync {
    /// The text with the secrets' values in place of their references.
    ///
    /// # Errors
    /// [`crate::ParseError::InvalidReference`] for the first reference that is malformed, or whose secret was not had;
    /// its cause says why.
    fn resolve(&self, text: &str) -> impl Future<Output = Result<String, SecretsError>> + Send;

    /// Whether there is anything that begins like a reference, well-formed or not.
    fn has_references(&self, text: &str) -> bool;

    /// All references in the order of the text. Nothing is fetched.
    ///
    /// # Errors
    /// [`crate::ParseError::InvalidReference`] for the first one that is malformed.
    fn extract_references(&self, text: &str) -> Result<Vec<SecretReference>, SecretsError>;
}

/// Puts secrets in that `fetch` brings: for a path and how it is asked for, the secret.
///
/// ```
/// use secrets_manager::{SecretProvider, resolver::{ReferenceResolver, Resolver}, simulation::SimulationProvider};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), secrets_manager::SecretsError> {
/// let secrets = SimulationProvider::default();
/// secrets.set_mock_secret("app/db", r#"{"user":"ada","password":"s3cret"}"#);
///
/// let resolver = Resolver::new(|path: String, options| {
///     let secrets = &secrets;
///     async move { secrets.get_secret(&path, options).await }
/// });
/// let line = "postgres://{{secret:app/db#user}}:{{secret:app/db#password}}@db/app";
/// assert_eq!(resolver.resolve(line).await?, "postgres://ada:s3cret@db/app");
/// # Ok(()) }
/// ```
pub struct Resolver<F> {
    fetch: F,
    at_once: usize,
}

impl<F, Fetching> Resolver<F>
where
    F: Fn(String, GetSecretOptions) -> Fetching + Send + Sync,
    Fetching: Future<Output = Result<SecretValue, SecretsError>> + Send,
{
    /// A resolver that asks `fetch`, for each secret of a text or document once, and for 16 at once.
    pub fn new(fetch: F) -> Self {
        Self { fetch, at_once: AT_ONCE }
    }

    /// Asks for so many secrets at once, at least one.
    pub fn at_once(self, at_once: usize) -> Self {
        Self { at_once: at_once.max(1), ..self }
    }

    /// Like [`ReferenceResolver::resolve`], with the text in memory that is wiped when it is let go of.
    ///
    /// # Errors
    /// As [`ReferenceResolver::resolve`].
    pub async fn resolve_secret(&self, text: &str) -> Result<SecretString, SecretsError> {
        Ok(SecretString::from(self.fill(text).await?))
    }

    #[tracing::instrument(name = "secrets.resolve", skip_all, fields(reference_count, resolved_count))]
    async fn fill(&self, text: &str) -> Result<Zeroizing<String>, SecretsError> {
        let template = Template::parse(text)?;
        let secrets = self.fetch([&template]).await;
        Ok(template.fill(&secrets, &mut { LARGEST })?)
    }
}

impl<F, Fetching> ReferenceResolver for Resolver<F>
where
    F: Fn(String, GetSecretOptions) -> Fetching + Send + Sync,
    Fetching: Future<Output = Result<SecretValue, SecretsError>> + Send,
{
    async fn resolve(&self, text: &str) -> Result<String, SecretsError> {
        Ok(std::mem::take(&mut *self.fill(text).await?))
    }

    fn has_references(&self, text: &str) -> bool {
        parser::has_references(text)
    }

    fn extract_references(&self, text: &str) -> Result<Vec<SecretReference>, SecretsError> {
        Ok(Template::parse(text)?.into_references())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        time::Duration,
    };

    use chrono::DateTime;
    use futures_util::future::{BoxFuture, FutureExt};
    use secrecy::ExposeSecret;
    use tokio::time::Instant;

    use super::*;
    use crate::types::{ParseError, ProviderError, ProviderType, SecretMetadata, SecretNotFoundError};

    /// A store with some values, that remembers what it was asked, takes a second and counts who waits.
    pub struct Store {
        values: HashMap<String, String>,
        asked: Mutex<Vec<(String, GetSecretOptions)>>,
        waiting: AtomicUsize,
        most_waiting: AtomicUsize,
    }

    /// What a store was asked, sorted.
    pub struct Asked;

    impl Asked {
        pub fn paths(paths: &[&str]) -> Vec<(String, GetSecretOptions)> {
            paths.iter().map(|path| ((*path).to_owned(), GetSecretOptions::default())).collect()
        }
    }

    impl Store {
        pub fn new(values: &[(&str, &str)]) -> Self {
            let values = values.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned()));
            Self {
                values: values.collect(),
                asked: Mutex::default(),
                waiting: AtomicUsize::new(0),
                most_waiting: AtomicUsize::new(0),
            }
        }

        pub fn asked(&self) -> Vec<(String, GetSecretOptions)> {
            let mut asked = self.asked.lock().unwrap().clone();
            asked.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.version.cmp(&b.1.version)));
            asked
        }

        pub fn resolver<'s>(
            &'s self,
        ) -> Resolver<impl Fn(String, GetSecretOptions) -> BoxFuture<'s, Result<SecretValue, SecretsError>>>
        {
            Resolver::new(|path, options| self.get(path, options).boxed())
        }

        async fn get(&self, path: String, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
            self.asked.lock().unwrap().push((path.clone(), options));
            self.most_waiting.fetch_max(self.waiting.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.waiting.fetch_sub(1, SeqCst);
            if path == "down" {
                let provider = ProviderType::Local;
                return Err(ProviderError::InternalError { provider, detail: "down".into() }.into());
            }
            let value = self.values.get(&path);
            let value =
                value.ok_or_else(|| SecretNotFoundError::SecretDoesNotExist { path: path.clone() })?;
            Ok(SecretValue {
                value: value.as_str().into(),
                binary: false,
                version: "1".into(),
                created_at: DateTime::UNIX_EPOCH,
                updated_at: None,
                valid_until: None,
                metadata: Arc::new(SecretMetadata::new(path, "1", DateTime::UNIX_EPOCH)),
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn references_of_a_text_are_fetched_together_and_each_secret_once() {
        let store = Store::new(&[("a", r#"{"x":"1","y":"2"}"#), ("b", "3")]);
        let began = Instant::now();
        let text = "{{secret:a#x}} {{secret:a#y}} {{secret:b}} {{ secret: b }} {{secret:b@7}}";
        assert_eq!(store.resolver().resolve(text).await.unwrap(), "1 2 3 3 3");
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        let version = GetSecretOptions { version: Some("7".into()), ..Default::default() };
        let mut asked = Asked::paths(&["a", "b"]);
        asked.push(("b".into(), version));
        assert_eq!(store.asked(), asked);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_secrets_are_asked_for_at_once_than_allowed() {
        let store = Store::new(&[]);
        let text: String = (0..10).map(|n| format!("{{{{secret:s{n}}}}}")).collect();
        let error = store.resolver().at_once(3).resolve(&text).await.unwrap_err();
        assert_eq!(store.most_waiting.load(SeqCst), 3);
        assert_eq!(store.asked().len(), 10);
        assert!(error.to_string().contains("s0"), "the first of the text is reported: {error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_with_a_reference_in_it_is_not_looked_at_again() {
        let store = Store::new(&[("a", "{{secret:b}} $& \\1"), ("b", "no")]);
        assert_eq!(store.resolver().resolve("<{{secret:a}}>").await.unwrap(), "<{{secret:b}} $& \\1>");
        assert_eq!(store.asked(), Asked::paths(&["a"]));
    }

    #[tokio::test(start_paused = true)]
    async fn text_without_references_comes_out_as_it_is_and_nothing_is_asked() {
        let store = Store::new(&[]);
        let text = "a: {{ b }}\r\n\\ {{secret\\:x}} \u{1F511}";
        assert_eq!(store.resolver().resolve(text).await.unwrap(), "a: {{ b }}\r\n\\ {{secret:x}} \u{1F511}");
        assert_eq!(store.asked(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_names_the_first_reference_that_failed_its_place_and_its_cause() {
        let store = Store::new(&[("a", "hunter2")]);
        let error =
            store.resolver().resolve("x: {{secret:a}}\ny: {{secret:no}} {{secret:down}}").await.unwrap_err();
        let SecretsError::Parse(ParseError::InvalidReference { reference, span, detail, cause }) = &error
        else {
            panic!("{error}")
        };
        assert_eq!((reference.as_str(), span.clone()), ("{{secret:no}}", 19..32));
        assert_eq!(detail, "line 2, column 4: there is no secret \"no\"");
        assert!(cause.as_ref().unwrap().is_not_found());
        assert!(!error.is_retryable());
        let error = store.resolver().resolve("{{secret:down}}").await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        let error = store.resolver().resolve("{{secret:a#k}}").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_malformed_reference_is_found_before_anything_is_asked() {
        let store = Store::new(&[("a", "1")]);
        assert!(store.resolver().resolve("{{secret:a}} {{secret:}}").await.is_err());
        assert_eq!(store.asked(), []);
        assert!(store.resolver().has_references("{{secret:}}"));
        assert!(store.resolver().extract_references("{{secret:a}} {{secret:}}").is_err());
        let found = store.resolver().extract_references("{{secret:a}} {{secret:vault:b#k@2}}").unwrap();
        assert_eq!(found[1].provider, Some(ProviderType::Vault));
        assert_eq!(store.asked(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_text_that_its_values_would_make_huge_is_refused() {
        let store = Store::new(&[("big", &"x".repeat(1 << 20))]);
        let text = "{{secret:big}}".repeat(65);
        let error = store.resolver().resolve(&text).await.unwrap_err();
        assert!(error.to_string().contains("column 897: with its value there are more than"), "{error}");
        let text = "{{secret:big}}".repeat(64);
        assert_eq!(store.resolver().resolve_secret(&text).await.unwrap().expose_secret().len(), 64 << 20);
    }
}
