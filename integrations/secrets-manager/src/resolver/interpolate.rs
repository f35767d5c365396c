//! Texts with references in them: which secrets they want, all fetched at once, and the values put in. Knows nothing of
//! the grammar.

use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{
    Resolver,
    parser::{self, Piece, line_and_column},
};
use crate::types::{GetSecretOptions, ParseError, SecretReference, SecretString, SecretValue, SecretsError};

/// The most bytes that a text, or all texts of a document, may have with their values.
pub const LARGEST: usize = 64 << 20;

/// A secret and how it is asked for: what is fetched once, however often it is referred to.
type Wanted = (String, GetSecretOptions);

/// What came of each secret that was wanted.
pub type Secrets = HashMap<Wanted, Result<SecretValue, SecretsError>>;

/// A text in pieces.
pub struct Template<'t> {
    text: &'t str,
    pieces: Vec<Piece<'t>>,
}

impl<'t> Template<'t> {
    pub fn parse(text: &'t str) -> Result<Self, ParseError> {
        Ok(Self { text, pieces: parser::parse(text)? })
    }

    pub fn references(&self) -> impl Iterator<Item = &SecretReference> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Text(_) => None,
        })
    }

    pub fn into_references(self) -> Vec<SecretReference> {
        let references = self.pieces.into_iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Text(_) => None,
        });
        references.collect()
    }

    /// The text with the values of `secrets`, for which there is `room` still. Its memory is asked for once, so that no
    /// part of it is left elsewhere.
    pub fn fill(&self, secrets: &Secrets, room: &mut usize) -> Result<Zeroizing<String>, ParseError> {
        let (mut parts, mut size) = (Vec::with_capacity(self.pieces.len()), 0);
        for piece in &self.pieces {
            let part = match piece {
                Piece::Text(text) => Part::Text(text),
                Piece::Reference(reference) => Part::Value(self.fitting(reference, secrets, *room - size)?),
            };
            size = (size + part.as_str().len()).min(*room);
            parts.push(part);
        }
        *room -= size;
        let mut filled =
            Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.as_str().len()).sum()));
        parts.iter().for_each(|part| filled.push_str(part.as_str()));
        Ok(filled)
    }

    fn fitting(
        &self,
        reference: &SecretReference,
        secrets: &Secrets,
        room: usize,
    ) -> Result<SecretString, ParseError> {
        let value = self.value(reference, secrets)?;
        if room < value.len() {
            let detail = format!("with its value there are more than {LARGEST} bytes");
            return Err(self.wrong(reference, &detail, None));
        }
        Ok(value)
    }

    fn value(&self, reference: &SecretReference, secrets: &Secrets) -> Result<SecretString, ParseError> {
        let failed = |cause: SecretsError| self.wrong(reference, &cause.to_string(), Some(cause));
        let secret = match secrets.get(&wanted(reference)) {
            Some(Ok(secret)) => secret,
            Some(Err(error)) => return Err(failed(error.clone())),
            None => return Err(self.wrong(reference, "its secret was not fetched", None)),
        };
        match &reference.key {
            None => Ok(secret.value.clone()),
            Some(key) => secret.key(key).map_err(|error| failed(error.into())),
        }
    }

    fn wrong(&self, reference: &SecretReference, detail: &str, cause: Option<SecretsError>) -> ParseError {
        let (line, column) = line_and_column(self.text, reference.span.start);
        ParseError::InvalidReference {
            reference: reference.full_match.clone(),
            span: reference.span.clone(),
            detail: format!("line {line}, column {column}: {detail}"),
            cause: cause.map(Box::new),
        }
    }
}

enum Part<'t> {
    Text(&'t str),
    Value(SecretString),
}

impl Part<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Value(value) => value.expose_secret(),
        }
    }
}

fn wanted(reference: &SecretReference) -> Wanted {
    (reference.path.clone(), reference.options())
}

impl<F, Fetching> Resolver<F>
where
    F: Fn(String, GetSecretOptions) -> Fetching + Send + Sync,
    Fetching: Future<Output = Result<SecretValue, SecretsError>> + Send,
{
    /// Fetches what `templates` want, each secret once, several at a time. All of it is waited for, so that which
    /// reference is reported does not depend on which answer comes first.
    pub(super) async fn fetch<'t>(&self, templates: impl IntoIterator<Item = &'t Template<'t>>) -> Secrets {
        let references: Vec<_> = templates.into_iter().flat_map(Template::references).collect();
        let distinct: HashSet<_> = references.iter().copied().map(wanted).collect();
        let fetching = distinct.into_iter().map(|(path, options)| {
            let answer = (self.fetch)(path.clone(), options.clone());
            async move { ((path, options), answer.await) }
        });
        let secrets: Secrets = stream::iter(fetching).buffer_unordered(self.at_once).collect().await;
        let is_had =
            |reference: &&&SecretReference| secrets.get(&wanted(reference)).is_some_and(Result::is_ok);
        let span = tracing::Span::current();
        span.record("reference_count", references.len());
        span.record("resolved_count", references.iter().filter(is_had).count());
        secrets
    }
}
