//! What merges key by key: labels, description and delete marks.
//! Keeps H3: the outcome is a function of the set of marks, not of their order; for one key the latest
//! by (time, record id) holds.
//! Knows nothing of versions' values or of documents.

use serde::{Deserialize, Serialize};

use crate::{
    hlc::Hlc,
    id::{RecordId, VersionId},
    name::{Description, LabelKey, LabelValue},
};

/// One change that merges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Sets a label, or takes it away.
    #[serde(rename = "l")]
    Label(LabelKey, Option<LabelValue>),
    /// Sets the description, or takes it away.
    #[serde(rename = "d")]
    Description(Option<Description>),
    /// Marks a version deleted, or brings it back.
    #[serde(rename = "x")]
    Deleted(VersionId, bool),
}

/// When a mark was made, and by which record: what decides between two of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp(pub Hlc, pub RecordId);

/// The value that holds for one key, and its stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<T>(pub Stamp, pub T);

impl<T> Stamped<T> {
    /// Of `held` and `(stamp, value)`, keeps the later one. Commutative, associative, idempotent.
    pub fn merge(held: &mut Option<Self>, stamp: Stamp, value: T) {
        if held.as_ref().is_none_or(|held| held.0 < stamp) {
            *held = Some(Self(stamp, value));
        }
    }
}
