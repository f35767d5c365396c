//! What the API proposes to the vault: the mappings of a document's fields under one epoch key; and what it asks
//! the vault about when tokens are to become values again. The one place that turns a value behind a token into
//! JSON. Keeps T1 through `covault_seal::EpochKey`. Knows nothing of which tokens exist.

use std::collections::BTreeMap;

use covault_model::{
    canonical::Scalar,
    epoch::Epoch,
    field::{FieldRule, Format, OpaqueToken},
    id::MappingId,
    issue::{Mapping, Scope},
};
use covault_seal::{EpochKey, Misfit, Plaintext};

use super::{Found, Part};

/// A token and the field it is for.
pub struct Placed {
    /// The field, as a pointer.
    pub pointer: String,
    /// Where it stands in the document.
    pub at: std::ops::Range<usize>,
    /// The token.
    pub token: String,
}

/// Tokens, and the mappings that make them exist once the vault has stored them.
pub struct Proposal {
    /// Whose, and of which epoch.
    pub scope: Scope,
    /// The tokens, in the order of the document.
    pub placed: Vec<Placed>,
    /// Each mapping once, rising by id.
    pub mappings: Vec<Mapping>,
}

/// Computes the tokens of fields that were found.
pub fn propose(key: &EpochKey, found: &[Found<'_>]) -> Result<Proposal, Misfit> {
    let (mut placed, mut mappings) = (Vec::with_capacity(found.len()), BTreeMap::new());
    for field in found {
        let token = key.token(field.rule, &field.value)?;
        mappings.insert(token.mapping.0, token.mapping);
        placed.push(Placed { pointer: field.pointer.clone(), at: field.at.clone(), token: token.text });
    }
    Ok(Proposal { scope: key.scope().clone(), placed, mappings: mappings.into_values().collect() })
}

impl Placed {
    /// The token in its place.
    pub fn part(&self) -> Part {
        Part { at: self.at.clone(), json: format!("\"{}\"", self.token) }
    }
}

/// What a text that should be a token asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// The mapping of one epoch.
    InEpoch(Epoch, MappingId),
    /// The mapping, whichever of the owner's epochs it is of: a token that keeps a form says none.
    InAny(MappingId),
    /// It is no token.
    Nothing,
}

impl Sought {
    /// What `text` asks for in a field of this rule; `epoch` says of which a token is that does not say itself.
    pub fn of(text: &str, rule: &FieldRule, epoch: Option<Epoch>) -> Self {
        if rule.format == Format::Opaque {
            return OpaqueToken::parse(text)
                .filter(|token| epoch.is_none_or(|epoch| epoch == token.epoch))
                .map_or(Self::Nothing, |token| Self::InEpoch(token.epoch, token.mapping));
        }
        if rule.format.split(text).is_none() {
            return Self::Nothing;
        }
        let mapping = MappingId::of_form(&rule.kind, rule.format.as_str(), text);
        epoch.map_or(Self::InAny(mapping), |epoch| Self::InEpoch(epoch, mapping))
    }
}

/// A value behind a token, in JSON; none if it is no canonical form.
pub fn json_of(value: &Plaintext) -> Option<String> {
    Some(match Scalar::read(value.expose_plaintext())? {
        Scalar::Null => "null".into(),
        Scalar::Bool(held) => held.to_string(),
        Scalar::Number(text) => text.into(),
        Scalar::Text(text) => serde_json::to_string(text).ok()?,
    })
}
