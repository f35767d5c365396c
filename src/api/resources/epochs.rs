//! Epochs of the caller's tokens, and the fields it has configured.

use covault_model::{epoch::Epoch, field::FieldRule, limits::FIELDS_MAX};

use crate::{
    api::{
        answer::{self, Answer},
        body::{Field, Fields, Json},
        call::{self, Call},
        headers,
        problem::Problem,
        query,
        resources::tokens,
    },
    vault::Vault,
};

/// `GET /v1/epochs`
pub async fn list(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    Ok(answer::tokens::epochs(&vault.epochs(&call.asker).await?))
}

/// `POST /v1/epochs`
pub async fn activate(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    let (key, active) = (call.idempotency_key()?, headers::if_match_epoch(&call.headers)?);
    let epoch = activate_body(&call.body)?;
    let epochs = vault.activate_epoch(&call.asker, epoch, active, key).await?;
    Ok(answer::changed(&epochs, answer::tokens::epochs))
}

/// `DELETE /v1/epochs/{epoch}`
pub async fn destroy(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let number = call::read_number(&call.captures[0]).filter(|number| *number != 0);
    let epoch = number.map(Epoch).ok_or_else(|| query::invalid("epoch", NO_EPOCH))?;
    call.end()?;
    let key = call.idempotency_key()?;
    let epochs = vault.destroy_epoch(&call.asker, epoch, key).await?;
    Ok(answer::changed(&epochs, answer::tokens::epochs))
}

/// `GET /v1/tokenization`
pub async fn fields(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    Ok(answer::tokens::fields(&vault.fields(&call.asker).await?))
}

/// `PUT /v1/tokenization`
pub async fn set_fields(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    let key = call.idempotency_key()?;
    let fields = set_fields_body(&call.body)?;
    let fields = vault.set_fields(&call.asker, fields, key).await?;
    Ok(answer::changed(&fields, |rules| answer::tokens::fields(rules)))
}

const NO_EPOCH: &str = "must be the number of an epoch";

/// Reads the number of an epoch.
pub fn read_epoch(field: Field) -> Result<Epoch, Problem> {
    match field.json() {
        Json::Number(Some(number @ 1..)) => {
            u32::try_from(*number).map(Epoch).map_err(|_| field.invalid(NO_EPOCH))
        }
        _ => Err(field.invalid(NO_EPOCH)),
    }
}

/// Reads the body that activates an epoch.
pub fn activate_body(bytes: &[u8]) -> Result<Epoch, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let epoch = read_epoch(fields.required("activate")?)?;
    fields.end()?;
    Ok(epoch)
}

/// Reads the body that configures fields.
pub fn set_fields_body(bytes: &[u8]) -> Result<Vec<FieldRule>, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let items = fields.required("fields")?.items_or_none(FIELDS_MAX)?;
    let mut rules: Vec<FieldRule> = Vec::with_capacity(items.len());
    for item in items {
        let twice = item.invalid("has a pointer that another one has");
        let rule = tokens::rule(item)?;
        if rules.iter().any(|known| known.pointer == rule.pointer) {
            return Err(twice);
        }
        rules.push(rule);
    }
    fields.end()?;
    Ok(rules)
}
