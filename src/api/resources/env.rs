//! `.env` files: encrypt and expand. A file comes as text or in JSON, and goes back as it came. `envfile` reads and
//! writes it, the vault has the secrets; here the two meet. Whatever cannot be done of a file, nothing of it is.
//! Knows nothing of how files are read or secrets kept.

use std::collections::BTreeMap;

use covault_model::{
    limits::CREATE_MAX,
    name::SecretName,
    refusal::{CallerMistake, Refusal},
};
use covault_seal::Plaintext;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::secrets::read_consistency;
use crate::{
    api::{
        answer::{self, Answer, TEXT},
        body::Fields,
        call::Call,
        headers::{self, Media},
        problem::{Code, Problem},
    },
    envfile::{EnvFile, Format, Mistake, Picked, Pin, Reason, Reference, Refused, Unresolved, Values},
    vault::{CreatedMany, Each, NewSecrets, Opened, Vault, Wanted, Which},
};

/// `POST /v1/env/expand`
pub async fn expand(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let owner = call.owner()?;
    let consistency = call.query.parsed("consistency", read_consistency)?.unwrap_or_default();
    call.end()?;
    let (content, format) = match is_text(&call.headers) {
        true => (text_body(&call.body)?, Format::default()),
        false => expand_body(&call.body)?,
    };
    call.body.clear();
    let file = EnvFile::parse(content).map_err(of_mistake)?;
    let wanted = wanted(file.references());
    let opened = vault.read_many(&call.asker, &owner, &wanted, consistency).await?;
    let picked = Picked::of(file.references(), |reference| value_of(&wanted, &opened, reference));
    let text = file.expand(format, &picked).map_err(of_refused)?;
    Ok(match is_text(&call.headers) {
        true => text_answer(text),
        false => {
            Answer::json(StatusCode::OK, &json!({ "content": text.as_str(), "format": format.as_str() }))
        }
    })
}

/// `POST /v1/env/encrypt`
pub async fn encrypt(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let owner = call.owner()?;
    call.end()?;
    let key = call.idempotency_key()?;
    let (content, values) = match is_text(&call.headers) {
        true => (text_body(&call.body)?, Values::new()),
        false => encrypt_body(&call.body)?,
    };
    let request = Plaintext::new(std::mem::take(&mut call.body).to_vec());
    let file = EnvFile::parse(content).map_err(of_mistake)?;
    let made = file.encrypt(values).map_err(of_refused)?;
    let needed = wanted(file.references_beside(&made.secrets).into_iter());
    let names: Vec<String> = made.secrets.iter().map(|(name, _)| name.to_string()).collect();
    let secrets = made.secrets.into_iter().map(|(name, value)| (name, plaintext(value))).collect();
    let new = NewSecrets { owner, secrets, needed, request };
    let lacks = |each: &Each<Opened>| lacking(&file, &new.needed, each);
    let (replication, replayed) = match vault.create_many(&call.asker, &new, key, lacks).await? {
        CreatedMany::All { replication, replayed, .. } => (replication, replayed),
        CreatedMany::Lacking(problem) => return Err(problem),
    };
    let mut answer = match is_text(&call.headers) {
        true => text_answer(made.content),
        false => {
            let replication = answer::replication(replication);
            let body =
                json!({ "content": made.content.as_str(), "created": names, "replication": replication });
            Answer::json(StatusCode::OK, &body)
        }
    };
    answer::mark_replayed(&mut answer, replayed);
    Ok(answer)
}

/// Reads the body of an expand.
pub fn expand_body(bytes: &[u8]) -> Result<(Zeroizing<String>, Format), Problem> {
    let mut fields = Fields::parse(bytes)?;
    let content = fields.required("content")?.text()?;
    let format = fields.optional("format").map(|field| field.parsed(read_format)).transpose()?;
    fields.end()?;
    Ok((content, format.unwrap_or_default()))
}

/// Reads the body of an encrypt.
pub fn encrypt_body(bytes: &[u8]) -> Result<(Zeroizing<String>, Values), Problem> {
    let mut fields = Fields::parse(bytes)?;
    let content = fields.required("content")?.text()?;
    let mut values = Values::new();
    if let Some(given) = fields.optional("values") {
        for field in given.fields(CREATE_MAX)? {
            let name = SecretName::parse(field.name());
            let name = name.map_err(|why| field.invalid(format!("has a name that {why}")))?;
            values.insert(name, field.text()?);
        }
    }
    fields.end()?;
    Ok((content, values))
}

fn read_format(text: &str) -> Result<Format, String> {
    let all = Format::ALL.map(Format::as_str).join(", ");
    Format::parse(text).ok_or_else(|| format!("must be one of {all}"))
}

fn is_text(headers: &HeaderMap) -> bool {
    headers::media(headers) == Some(Media::Text)
}

fn text_body(bytes: &[u8]) -> Result<Zeroizing<String>, Problem> {
    let text = str::from_utf8(bytes);
    text.map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| Problem::new(Code::InvalidUtf8, "A .env file is UTF-8 text."))
}

fn text_answer(mut text: Zeroizing<String>) -> Answer {
    Answer::new(StatusCode::OK, TEXT, std::mem::take(&mut *text).into_bytes())
}

fn plaintext(mut text: Zeroizing<String>) -> Plaintext {
    Plaintext::new(std::mem::take(&mut *text).into_bytes())
}

/// What the references name, each once.
fn wanted<'f>(references: impl Iterator<Item = &'f Reference>) -> Vec<Wanted> {
    let distinct: BTreeMap<_, _> = references.map(|one| ((&one.name, one.version), ())).collect();
    distinct.into_keys().map(|(name, version)| (name.clone(), which(version))).collect()
}

fn which(version: Option<Pin>) -> Which {
    match version {
        None => Which::Current,
        Some(Pin::Number(number)) => Which::Number(number),
        Some(Pin::Id(id)) => Which::Id(id),
    }
}

/// Where among what is wanted, in order of names, that stands which a reference names.
fn place(wanted: &[Wanted], reference: &Reference) -> Option<usize> {
    let which = which(reference.version);
    let begin = wanted.partition_point(|(known, _)| *known < reference.name);
    let mut same = wanted[begin..].iter().take_while(|(known, _)| *known == reference.name);
    same.position(|(_, version)| *version == which).map(|at| begin + at)
}

/// The value that a reference leads to, out of what was read.
fn value_of<'e>(
    wanted: &[Wanted],
    each: &'e Each<Opened>,
    reference: &Reference,
) -> Result<&'e [u8], Reason> {
    match place(wanted, reference).map(|at| &each[at]) {
        Some(Ok(opened)) => Ok(opened.value.expose_plaintext()),
        Some(Err(mistake)) => Err(reason(mistake)),
        None => Err(Reason::NotFound),
    }
}

/// The problem that references cannot be replaced of those that lead to what must be there already.
fn lacking(file: &EnvFile, needed: &[Wanted], each: &Each<Opened>) -> Option<Problem> {
    let leading = file.references().filter(|reference| place(needed, reference).is_some());
    let missing = file.missing(&Picked::of(leading, |reference| value_of(needed, each, reference)));
    (!missing.is_empty()).then(|| of_unresolved(&missing))
}

fn reason(mistake: &CallerMistake) -> Reason {
    match mistake {
        CallerMistake::VersionDeleted => Reason::Deleted,
        CallerMistake::VersionDestroyed => Reason::Destroyed,
        CallerMistake::VersionExpired => Reason::Expired,
        _ => Reason::NotFound,
    }
}

fn of_refused(refused: Refused) -> Problem {
    match refused {
        Refused::Mistake(mistake) => of_mistake(mistake),
        Refused::Unresolved(all) => of_unresolved(&all),
        Refused::Duplicate(names) => Refusal::from(CallerMistake::SecretExists(names)).into(),
        Refused::Unused(name) => {
            Problem::new(Code::InvalidField, "Nothing in the file asks for this value, so it would be lost.")
                .with_field(format!("values.{name}"))
        }
        Refused::TooLarge => {
            Problem::new(Code::LimitReached, "The file would be too large.").with("limit", "answer_bytes")
        }
    }
}

fn of_mistake(Mistake { at, why }: Mistake) -> Problem {
    Problem::new(Code::InvalidEnv, why).with("line", at.line).with("column", at.column)
}

fn of_unresolved(all: &[Unresolved]) -> Problem {
    let mut names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let one = |one: &Unresolved| {
        json!({
            "name": one.name.as_str(),
            "line": one.at.line,
            "column": one.at.column,
            "reason": one.reason.as_str(),
        })
    };
    let references: Vec<Value> = all.iter().map(one).collect();
    Problem::new(Code::UnresolvedReference, "All of them are listed. Nothing was done.")
        .with("names", names)
        .with("references", references)
}
