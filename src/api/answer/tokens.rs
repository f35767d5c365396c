//! JSON bodies about tokens, epochs and fields. Documents are sent as they are, every byte of them.
//! Knows nothing of how tokens come about.

use covault_model::{
    epoch::{Epoch, Epochs},
    field::FieldRule,
};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::{Answer, ReplicationBody, mark_replayed, set_standing};
use crate::{
    api::{headers, time::Time},
    tokens::{Placed, Proposal},
    vault::{Issued, Standing},
};

/// A document with its tokens; `202` when its mappings are not known to be kept by a majority.
pub fn tokenized(proposal: &Proposal, issued: &Issued, document: String) -> Answer {
    let body = TokenizedBody {
        document: raw(document),
        epoch: issued.epoch,
        tokens: proposal
            .placed
            .iter()
            .map(|Placed { pointer, token, .. }| PlacedBody { pointer, token })
            .collect(),
        new: issued.new,
        replication: issued.replication.map(Into::into),
    };
    let status = if issued.is_kept { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut answer = Answer::json(status, &body);
    set_standing(&mut answer, issued.standing);
    mark_replayed(&mut answer, issued.replayed);
    answer
}

/// A document with the values behind its tokens.
pub fn document(document: String, standing: Standing) -> Answer {
    let mut answer = Answer::json(StatusCode::OK, &DocumentBody { document: raw(document) });
    set_standing(&mut answer, standing);
    answer
}

/// The values behind tokens, each in JSON.
pub fn values(values: Vec<String>, standing: Standing) -> Answer {
    let values: Vec<Box<RawValue>> = values.into_iter().map(raw).collect();
    let mut answer = Answer::json(StatusCode::OK, &ValuesBody { values });
    set_standing(&mut answer, standing);
    answer
}

/// The epochs of a caller, tagged with the active one.
pub fn epochs(epochs: &Epochs) -> Answer {
    let listed = epochs.iter().map(|(epoch, entry)| EpochBody {
        epoch,
        key: &entry.key,
        since: Time(entry.since),
        destroyed_at: entry.destroyed_at.map(Time),
    });
    let body = EpochsBody { active: epochs.active(), epochs: listed.collect() };
    let mut answer = Answer::json(StatusCode::OK, &body);
    answer.set(header::ETAG, headers::epoch_tag(epochs.active()));
    answer
}

/// The fields that a caller has configured.
pub fn fields(rules: &[FieldRule]) -> Answer {
    let fields: Vec<_> = rules
        .iter()
        .map(|rule| FieldBody { pointer: &rule.pointer, format: rule.format.as_str(), kind: &rule.kind })
        .collect();
    Answer::json(StatusCode::OK, &json!({ "fields": fields }))
}

/// JSON that is sent as it is.
fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("a document that was read has other JSON in some places")
}

#[derive(Serialize)]
struct TokenizedBody<'a> {
    document: Box<RawValue>,
    epoch: Epoch,
    tokens: Vec<PlacedBody<'a>>,
    new: usize,
    replication: Option<ReplicationBody>,
}

#[derive(Serialize)]
struct PlacedBody<'a> {
    pointer: &'a str,
    token: &'a str,
}

#[derive(Serialize)]
struct DocumentBody {
    document: Box<RawValue>,
}

#[derive(Serialize)]
struct ValuesBody {
    values: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct EpochsBody<'a> {
    active: Epoch,
    epochs: Vec<EpochBody<'a>>,
}

#[derive(Serialize)]
struct EpochBody<'a> {
    epoch: Epoch,
    key: &'a str,
    since: Time,
    destroyed_at: Option<Time>,
}

#[derive(Serialize)]
struct FieldBody<'a> {
    pointer: &'a str,
    format: &'static str,
    #[serde(rename = "type")]
    kind: &'a str,
}
