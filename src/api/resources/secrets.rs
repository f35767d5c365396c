//! Secrets: create, read, update, label, delete, bring back, destroy, roll back, list.
//! Whose namespace is meant is said by `owner`, and the vault decides whether the caller may (N3).
//! Knows nothing of how they are kept.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use covault_model::{
    limits::{LABELS_MAX, VERSIONS_PER_REQUEST_MAX},
    name::{CallerName, ContentType, Description, LabelKey, LabelValue, NamePrefix, SecretName, SecretPath},
};
use covault_seal::Plaintext;
use http::{HeaderValue, header};

use crate::{
    api::{
        answer::{self, Answer},
        body::{Field, Fields, Json},
        call::{Call, read_version},
        cursor,
        headers::{self, Tags},
        problem::{Code, Problem},
        query, time,
    },
    vault::{Consistency, ListQuery, NewValue, Patch, UpdateTerms, Vault, Which},
};

/// `GET /v1/secrets/{name}`. What is asked is read before anything waits, so that nothing else waits along.
pub fn read(vault: &Vault, mut call: Call) -> impl Future<Output = Result<Answer, Problem>> + Send + '_ {
    let question = Question::read(&mut call);
    let asker = call.asker;
    async move {
        let Question { target, which, consistency, held } = question?;
        let opened = vault.read(&asker, &target, which, consistency).await?;
        let fresh = held.is_some_and(|held| held.covers(&opened.summary.version.id));
        Ok(answer::opened(&opened, fresh))
    }
}

/// What a read asks for.
struct Question {
    target: SecretPath,
    which: Which,
    consistency: Consistency,
    /// The versions that the client has already.
    held: Option<Tags>,
}

impl Question {
    fn read(call: &mut Call) -> Result<Self, Problem> {
        let target = call.target()?;
        let version = call.version()?;
        let which = match (version, call.query.parsed("at", time::parse)?) {
            (Some(_), Some(_)) => {
                return Err(query::invalid("at", "cannot be asked for together with version"));
            }
            (Some(version), None) => version,
            (None, Some(at)) => Which::At(at),
            (None, None) => Which::Current,
        };
        let consistency = call.query.parsed("consistency", read_consistency)?.unwrap_or_default();
        call.end()?;
        let held = headers::if_none_match(&call.headers)?;
        Ok(Self { target, which, consistency, held })
    }
}

/// `POST /v1/secrets`
pub async fn create(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    let key = call.idempotency_key()?;
    let NewSecret { owner, name, value } = create_body(&call.body, call.value_bytes_max)?;
    call.body.clear();
    let owner = owner.unwrap_or_else(|| call.asker.session.caller.clone());
    let whose = if call.asker.session.owns(&owner) { String::new() } else { format!("?owner={owner}") };
    let written = vault.create(&call.asker, &SecretPath { owner, name }, value, key).await?;
    let mut answer = answer::written(&written, true);
    let location = HeaderValue::try_from(format!("/v1/secrets/{}{whose}", written.name));
    answer.set(header::LOCATION, location.expect("names' alphabets fit a header"));
    Ok(answer)
}

/// `PUT /v1/secrets/{name}`
pub async fn update(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let target = call.target()?;
    call.end()?;
    let key = call.idempotency_key()?;
    let terms = UpdateTerms {
        condition: headers::if_match(&call.headers)?,
        agreed_only: headers::prefers_agreed(&call.headers),
    };
    let value = update_body(&call.body, call.value_bytes_max)?;
    call.body.clear();
    let written = vault.update(&call.asker, &target, value, terms, key).await?;
    Ok(answer::written(&written, false))
}

/// `PATCH /v1/secrets/{name}`
pub async fn patch(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let target = call.target()?;
    call.end()?;
    let key = call.idempotency_key()?;
    let patch = patch_body(&call.body)?;
    Ok(answer::marked(&vault.patch(&call.asker, &target, patch, key).await?))
}

/// `DELETE /v1/secrets/{name}`
pub async fn delete(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let target = call.target()?;
    let version = call.version()?;
    call.end()?;
    let key = call.idempotency_key()?;
    Ok(answer::marked(&vault.delete(&call.asker, &target, version, key).await?))
}

/// `POST /v1/undelete/{name}`
pub async fn undelete(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let target = call.target()?;
    call.end()?;
    let key = call.idempotency_key()?;
    let versions = undelete_body(&call.body)?;
    Ok(answer::marked(&vault.undelete(&call.asker, &target, versions, key).await?))
}

/// `POST /v1/destroy/{name}`
pub async fn destroy(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let target = call.target()?;
    call.end()?;
    let key = call.idempotency_key()?;
    let versions = destroy_body(&call.body)?;
    Ok(answer::marked(&vault.destroy(&call.asker, &target, versions, key).await?))
}

/// `POST /v1/rollback/{name}`
pub async fn roll_back(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let target = call.target()?;
    call.end()?;
    let key = call.idempotency_key()?;
    let version = roll_back_body(&call.body)?;
    Ok(answer::written(&vault.rollback(&call.asker, &target, version, key).await?, false))
}

/// `GET /v1/secrets`
pub async fn list(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let owner = call.owner()?;
    let prefix = call.query.parsed("prefix", NamePrefix::parse)?;
    let prefix = prefix.unwrap_or_else(|| NamePrefix::parse("").expect("an empty prefix covers every name"));
    let label = call.query.parsed("label", read_label)?;
    let limit = call.limit()?;
    let after = call.query.take("cursor").map(|text| cursor::read_after_secret(&text)).transpose()?;
    call.end()?;
    let page = vault.list(&call.asker, ListQuery { owner, prefix, label, limit, after }).await?;
    Ok(answer::secrets(&page.items, page.next.as_ref().map(cursor::after_secret)))
}

/// What `POST /v1/secrets` asks for.
pub struct NewSecret {
    /// Whose namespace; absent for the caller's own.
    pub owner: Option<CallerName>,
    /// The name.
    pub name: SecretName,
    /// The first version.
    pub value: NewValue,
}

/// Reads the body of a create.
pub fn create_body(bytes: &[u8], value_bytes_max: usize) -> Result<NewSecret, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let name = fields.required("name")?.parsed(SecretName::parse)?;
    let owner = fields.optional("owner").map(|field| field.parsed(CallerName::parse)).transpose()?;
    let value = new_value(&mut fields, value_bytes_max)?;
    fields.end()?;
    Ok(NewSecret { owner, name, value })
}

/// Reads the body of an update.
pub fn update_body(bytes: &[u8], value_bytes_max: usize) -> Result<NewValue, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let value = new_value(&mut fields, value_bytes_max)?;
    fields.end()?;
    Ok(value)
}

/// Reads the body of a patch, which must change something.
pub fn patch_body(bytes: &[u8]) -> Result<Patch, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let (labels, description) = (fields.nullable("labels"), fields.nullable("description"));
    if labels.is_none() && description.is_none() && fields.is_empty() {
        return Err(fields.missing("labels"));
    }
    let labels = labels.map(|field| read_labels(field, |label| label.parsed_or_null(LabelValue::parse)));
    let description = description.map(|field| field.parsed_or_null(Description::parse)).transpose()?;
    fields.end()?;
    Ok(Patch { labels: labels.transpose()?.unwrap_or_default(), description })
}

/// Reads the body of an undelete; no versions stand for the current one.
pub fn undelete_body(bytes: &[u8]) -> Result<Vec<Which>, Problem> {
    let mut fields = Fields::parse_optional(bytes)?;
    let versions = fields.optional("versions").map(versions).transpose()?.unwrap_or_default();
    fields.end()?;
    Ok(versions)
}

/// Reads the body of a destroy.
pub fn destroy_body(bytes: &[u8]) -> Result<Vec<Which>, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let versions = versions(fields.required("versions")?)?;
    fields.end()?;
    Ok(versions)
}

/// Reads the body of a rollback.
pub fn roll_back_body(bytes: &[u8]) -> Result<Which, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let version = version(fields.required("version")?)?;
    fields.end()?;
    Ok(version)
}

fn new_value(fields: &mut Fields, value_bytes_max: usize) -> Result<NewValue, Problem> {
    let value = value(fields, value_bytes_max)?;
    let content_type = fields.optional("content_type").map(|field| field.parsed(ContentType::parse));
    let expires_at = fields.optional("expires_at").map(|field| field.parsed(time::parse));
    let labels =
        fields.optional("labels").map(|field| read_labels(field, |label| label.parsed(LabelValue::parse)));
    let description = fields.optional("description").map(|field| field.parsed(Description::parse));
    Ok(NewValue {
        value,
        content_type: content_type.transpose()?,
        expires_at: expires_at.transpose()?,
        labels: labels.transpose()?.unwrap_or_default(),
        description: description.transpose()?,
    })
}

/// The value: text or base64, exactly one of them.
fn value(fields: &mut Fields, max: usize) -> Result<Plaintext, Problem> {
    let (field, bytes) = match (fields.optional("value"), fields.optional("value_base64")) {
        (Some(_), Some(both)) => return Err(both.invalid("cannot come together with value")),
        (None, None) => return Err(fields.missing("value")),
        (Some(text), None) => ("value", text.text()?.as_bytes().to_vec()),
        (None, Some(encoded)) => {
            // The decoder's own error quotes the byte it stopped at.
            (
                "value_base64",
                encoded.parsed(|text| STANDARD.decode(text).map_err(|_| "must be padded base64"))?,
            )
        }
    };
    let value = Plaintext::new(bytes);
    if max < value.len() {
        let detail = format!("A value may have {max} bytes.");
        return Err(Problem::new(Code::ValueTooLarge, detail).with_field(field));
    }
    Ok(value)
}

fn read_labels<T>(
    field: Field,
    read: impl Fn(Field) -> Result<T, Problem>,
) -> Result<BTreeMap<LabelKey, T>, Problem> {
    let label = |label: Field| {
        let key =
            LabelKey::parse(label.name()).map_err(|why| label.invalid(format!("has a key that {why}")))?;
        Ok((key, read(label)?))
    };
    field.fields(LABELS_MAX)?.map(label).collect()
}

fn versions(field: Field) -> Result<Vec<Which>, Problem> {
    field.items(VERSIONS_PER_REQUEST_MAX)?.into_iter().map(version).collect()
}

fn version(field: Field) -> Result<Which, Problem> {
    match field.json() {
        Json::Number(Some(number)) if *number != 0 => Ok(Which::Number(*number)),
        Json::Text(text) if text.len() == 2 * covault_model::id::VersionId::LEN => field.parsed(read_version),
        _ => Err(field.invalid("must be a version's number or id")),
    }
}

pub(super) fn read_consistency(text: &str) -> Result<Consistency, &'static str> {
    match text {
        "local" => Ok(Consistency::Local),
        "quorum" => Ok(Consistency::Quorum),
        _ => Err("must be local or quorum"),
    }
}

fn read_label(text: &str) -> Result<(LabelKey, LabelValue), String> {
    let (key, value) = text.split_once(':').ok_or("must be a label's key and value joined by a colon")?;
    let key = LabelKey::parse(key).map_err(|why| format!("has a key that {why}"))?;
    let value = LabelValue::parse(value).map_err(|why| format!("has a value that {why}"))?;
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use covault_model::hlc::Millis;

    use super::*;

    const MAX: usize = 16;

    fn refused<T>(read: Result<T, Problem>, code: Code, field: &str) {
        let problem = read.map(|_| ()).unwrap_err();
        assert_eq!(problem.code(), code);
        let body: serde_json::Value = serde_json::from_slice(problem.into_answer().body()).unwrap();
        assert_eq!(body["field"], field);
        assert!(!body.to_string().contains("hunter2"), "a problem quotes a value");
    }

    #[test]
    fn a_whole_create_is_read() {
        let body = br#"{"name":"db/pw","value":"s\u00e9same","content_type":"text/plain","owner":"ops",
            "labels":{"team":"a"},"description":"d","expires_at":"2030-01-01T00:00:00Z"}"#;
        let new = create_body(body, MAX).unwrap();
        assert_eq!((new.name.as_str(), new.owner.as_deref()), ("db/pw", Some("ops")));
        assert_eq!(new.value.value.len(), 7);
        assert_eq!(new.value.labels.len(), 1);
        assert_eq!(new.value.expires_at, Some(Millis(1_893_456_000_000)));
    }

    #[test]
    fn each_bad_field_of_a_create_is_named() {
        let check = |body: &str, code, field| refused(create_body(body.as_bytes(), MAX), code, field);
        check(r#"{"value":"hunter2"}"#, Code::MissingField, "name");
        check(r#"{"name":"a"}"#, Code::MissingField, "value");
        check(r#"{"name":7,"value":"hunter2"}"#, Code::InvalidField, "name");
        check(r#"{"name":"a b","value":"hunter2"}"#, Code::InvalidField, "name");
        check(r#"{"name":"a/../b","value":"hunter2"}"#, Code::InvalidField, "name");
        check(r#"{"name":"a","value":["hunter2"]}"#, Code::InvalidField, "value");
        check(r#"{"name":"a","value":null}"#, Code::MissingField, "value");
        assert!(create_body(br#"{"name":"a","value":null,"value_base64":"AA=="}"#, MAX).is_ok());
        check(r#"{"name":"a","value":"hunter2","value_base64":""}"#, Code::InvalidField, "value_base64");
        check(r#"{"name":"a","value_base64":"hunter2"}"#, Code::InvalidField, "value_base64");
        check(r#"{"name":"a","value":"hunter2hunter2hunter2"}"#, Code::ValueTooLarge, "value");
        check(r#"{"name":"a","value":"hunter2","owner":"a/b"}"#, Code::InvalidField, "owner");
        check(r#"{"name":"a","value":"hunter2","labels":[]}"#, Code::InvalidField, "labels");
        check(r#"{"name":"a","value":"hunter2","labels":{"a":null}}"#, Code::InvalidField, "labels.a");
        check(r#"{"name":"a","value":"hunter2","labels":{"a b":"c"}}"#, Code::InvalidField, "labels.?");
        check(r#"{"name":"a","value":"hunter2","expires_at":"tomorrow"}"#, Code::InvalidField, "expires_at");
        check(r#"{"name":"a","value":"hunter2","content_type":""}"#, Code::InvalidField, "content_type");
        check(r#"{"name":"a","value":"hunter2","description":1}"#, Code::InvalidField, "description");
        check(r#"{"name":"a","value":"hunter2","extra":1}"#, Code::UnknownField, "extra");
    }

    #[test]
    fn a_null_in_a_patch_takes_away() {
        let patch = patch_body(br#"{"labels":{"a":null,"b":"c"},"description":null}"#).unwrap();
        assert_eq!(patch.labels.values().filter(|value| value.is_none()).count(), 1);
        assert_eq!(patch.description, Some(None));
        refused(patch_body(b"{}"), Code::MissingField, "labels");
        refused(patch_body(br#"{"labels":null}"#), Code::InvalidField, "labels");
        refused(patch_body(br#"{"value":"hunter2"}"#), Code::UnknownField, "value");
    }

    #[test]
    fn versions_are_numbers_or_ids() {
        let id = covault_model::id::VersionId::of(b"x");
        let body = format!(r#"{{"versions":[3,"{id}"]}}"#);
        assert_eq!(destroy_body(body.as_bytes()).unwrap(), [Which::Number(3), Which::Id(id)]);
        assert_eq!(undelete_body(b"").unwrap(), []);
        refused(destroy_body(br#"{"versions":[]}"#), Code::InvalidField, "versions");
        refused(destroy_body(br#"{"versions":[1,0]}"#), Code::InvalidField, "versions[1]");
        refused(destroy_body(br#"{"versions":[1.5]}"#), Code::InvalidField, "versions[0]");
        refused(roll_back_body(br#"{"version":"3"}"#), Code::InvalidField, "version");
        refused(roll_back_body(br#"{}"#), Code::MissingField, "version");
    }

    #[test]
    fn a_label_filter_is_a_key_and_a_value() {
        assert!(read_label("team:a:b").is_ok());
        assert!(read_label("team").is_err());
        assert!(read_label("a b:c").is_err());
    }
}
