//! Tokenize and detokenize. This is where the API's part of it runs, at the front of a vault node also for an API
//! process apart (which holds no key): fields are found and tokens computed by `crate::tokens`, and the vault is
//! asked which epoch is active, and told what is proposed.

use std::sync::Arc;

use covault_model::{
    epoch::Epoch,
    field::{FieldRule, Format},
    limits::FIELDS_MAX,
    name::{FieldPointer, FieldType},
};
use covault_seal::Plaintext;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    api::{
        answer::{self, Answer},
        body::{Field, Fields, Json, VALUES_MAX},
        call::Call,
        problem::{Code, Problem},
        resources::epochs::read_epoch,
    },
    tokens::{Document, FieldFault, Part, Placed, Shown, Sought, Why, json_of, propose},
    vault::{TokenRequest, Vault},
};

/// `POST /v1/tokenize`
pub async fn tokenize(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    let key = call.idempotency_key()?;
    let TokenizeBody { document, fields } = tokenize_body(&call.body)?;
    let rules = rules(vault, &call, fields)?;
    let document = Document::new(document);
    let found = document.fields(&rules).map_err(|fault| unfit(&fault))?;
    let request = TokenRequest { values: found.len(), rules: &rules, key, says: &call.body };
    let (proposal, issued) = vault.tokenize(&call.asker, request, |key| propose(key, &found)).await?;
    let written = document.with(proposal.placed.iter().map(Placed::part));
    Ok(answer::tokens::tokenized(&proposal, &issued, written))
}

/// `POST /v1/detokenize`
pub async fn detokenize(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    match detokenize_body(&call.body)? {
        DetokenizeBody::Tokens(sought) => {
            let (values, standing) = vault.detokenize(&call.asker, &sought).await?;
            Ok(answer::tokens::values(values.iter().map(json).collect::<Result<_, _>>()?, standing))
        }
        DetokenizeBody::Document { document, fields, epoch } => {
            let rules = rules(vault, &call, fields)?;
            let document = Document::new(document);
            let shown = document.shown(&rules).map_err(|fault| unfit(&fault))?;
            let sought: Vec<Sought> = shown.iter().map(|shown| sought_in(shown, epoch)).collect();
            let (values, standing) = vault.detokenize(&call.asker, &sought).await?;
            let mut parts = Vec::with_capacity(values.len());
            for (shown, value) in shown.into_iter().zip(&values) {
                parts.push(Part { at: shown.at, json: json(value)? });
            }
            Ok(answer::tokens::document(document.with(parts), standing))
        }
    }
}

fn sought_in(shown: &Shown<'_, '_>, epoch: Option<Epoch>) -> Sought {
    shown.text.as_ref().map_or(Sought::Nothing, |text| Sought::of(text, shown.rule, epoch))
}

fn json(value: &Plaintext) -> Result<String, Problem> {
    json_of(value).ok_or_else(|| Problem::new(Code::Corrupt, "A value behind a token is not one."))
}

/// The rules that a request asks for; a pointer alone stands for the configured field there, or for an opaque one.
fn rules(vault: &Vault, call: &Call, asked: Option<Vec<AskedField>>) -> Result<Arc<[FieldRule]>, Problem> {
    let configured = vault.fields_of(&call.asker.session.caller)?;
    let Some(asked) = asked else {
        return if configured.is_empty() {
            let detail = "The caller has configured none, so the request must name them.";
            Err(Problem::new(Code::MissingField, detail).with_field("fields"))
        } else {
            Ok(configured.into())
        };
    };
    let rule_of = |asked| match asked {
        AskedField::Rule(rule) => rule,
        AskedField::Pointer(pointer) => {
            let known = configured.iter().find(|rule| rule.pointer == pointer).cloned();
            known.unwrap_or_else(|| opaque_at(pointer))
        }
    };
    Ok(asked.into_iter().map(rule_of).collect())
}

fn opaque_at(pointer: FieldPointer) -> FieldRule {
    FieldRule { kind: pointer.own_type(), pointer, format: Format::Opaque }
}

/// The problem with a field of a document. It names the field and never what stands there.
fn unfit(fault: &FieldFault) -> Problem {
    let FieldFault { pointer, why } = fault;
    let problem = match why {
        Why::Missing => Problem::new(Code::UnknownField, "The document has no such field. Nothing was done.")
            .unprocessable(),
        _ => Problem::new(Code::UnfitValue, format!("The field {why}. Nothing was done.")),
    };
    problem.with_field(pointer.as_str())
}

/// A field as a request names it.
pub enum AskedField {
    /// By its pointer alone.
    Pointer(FieldPointer),
    /// With its format.
    Rule(FieldRule),
}

/// What `POST /v1/tokenize` asks for.
pub struct TokenizeBody<'b> {
    document: &'b RawValue,
    fields: Option<Vec<AskedField>>,
}

/// What `POST /v1/detokenize` asks for.
pub enum DetokenizeBody<'b> {
    /// The values behind tokens.
    Tokens(Vec<Sought>),
    /// A document with its values.
    Document {
        /// The document.
        document: &'b RawValue,
        /// Its fields; absent for those that are configured.
        fields: Option<Vec<AskedField>>,
        /// The epoch of tokens that do not say theirs; absent to look in all.
        epoch: Option<Epoch>,
    },
}

/// The document as it was sent, every byte of it.
#[derive(Deserialize)]
struct Raw<'b> {
    #[serde(borrow)]
    document: Option<&'b RawValue>,
}

/// Reads the body that is to get tokens.
pub fn tokenize_body(bytes: &[u8]) -> Result<TokenizeBody<'_>, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let missing = fields.missing("document");
    let has_document = fields.nullable("document").is_some();
    let asked = fields.optional("fields").map(asked_fields).transpose()?;
    fields.end()?;
    let document = raw(bytes).filter(|_| has_document).ok_or(missing)?;
    Ok(TokenizeBody { document, fields: asked })
}

/// Reads the body whose tokens are to become values.
pub fn detokenize_body(bytes: &[u8]) -> Result<DetokenizeBody<'_>, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let missing = fields.missing("tokens");
    let has_document = fields.nullable("document").is_some();
    let epoch = fields.optional("epoch").map(read_epoch).transpose()?;
    let tokens = fields.optional("tokens");
    let asked = fields.optional("fields").map(asked_fields).transpose()?;
    match (tokens, asked, has_document) {
        (Some(tokens), None, false) => {
            let tokens = tokens.items(VALUES_MAX)?;
            let sought = tokens.into_iter().map(|token| sought(token, epoch)).collect::<Result<_, _>>()?;
            fields.end()?;
            Ok(DetokenizeBody::Tokens(sought))
        }
        (None, asked, true) => {
            fields.end()?;
            let document = raw(bytes).ok_or(missing)?;
            Ok(DetokenizeBody::Document { document, fields: asked, epoch })
        }
        (None, _, false) => Err(missing),
        (Some(tokens), ..) => Err(tokens.invalid("cannot come together with a document or its fields")),
    }
}

fn raw(bytes: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice::<Raw<'_>>(bytes).ok()?.document
}

/// One token: its text alone if it says its epoch itself, else with the format and type of its field.
fn sought(token: Field, epoch: Option<Epoch>) -> Result<Sought, Problem> {
    let Json::Object(_) = token.json() else {
        let text = token.text()?;
        let opaque = FieldRule {
            pointer: FieldPointer::default(),
            format: Format::Opaque,
            kind: FieldType::default(),
        };
        return Ok(Sought::of(&text, &opaque, epoch));
    };
    let mut fields = token.fields(4)?;
    let text = fields.required("token")?.text()?;
    let format = fields.required("format")?.parsed(read_format)?;
    let kind = fields.required("type")?.parsed(FieldType::parse)?;
    let own = fields.optional("epoch").map(read_epoch).transpose()?;
    fields.end()?;
    let rule = FieldRule { pointer: FieldPointer::default(), format, kind };
    Ok(Sought::of(&text, &rule, own.or(epoch)))
}

fn asked_fields(field: Field) -> Result<Vec<AskedField>, Problem> {
    field.items(FIELDS_MAX)?.into_iter().map(asked_field).collect()
}

fn asked_field(field: Field) -> Result<AskedField, Problem> {
    match field.json() {
        Json::Object(_) => rule(field).map(AskedField::Rule),
        _ => field.parsed(FieldPointer::parse).map(AskedField::Pointer),
    }
}

/// One field with its format, and its type unless that is where it is.
pub fn rule(field: Field) -> Result<FieldRule, Problem> {
    let mut fields = field.fields(3)?;
    let pointer = fields.required("pointer")?.parsed(FieldPointer::parse)?;
    let format = fields.required("format")?.parsed(read_format)?;
    let kind = fields.optional("type").map(|kind| kind.parsed(FieldType::parse)).transpose()?;
    fields.end()?;
    let kind = kind.unwrap_or_else(|| pointer.own_type());
    Ok(FieldRule { pointer, format, kind })
}

fn read_format(text: &str) -> Result<Format, String> {
    let all = || Format::ALL.map(Format::as_str).join(", ");
    Format::parse(text).ok_or_else(|| format!("must be one of {}", all()))
}
