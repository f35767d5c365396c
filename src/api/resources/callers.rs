//! Callers and their tokens, for admins, and what a caller may know of itself.
//! That it takes an admin is the vault's to decide, so that a refusal is in its audit log.

use covault_model::{hlc::Millis, id::TokenId, isolation::Role, name::CallerName};

use crate::{
    api::{
        answer::{self, Answer},
        body::Fields,
        call::Call,
        problem::Problem,
        query, time,
    },
    vault::Vault,
};

/// `GET /v1/self`
pub async fn read_self(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    Ok(answer::caller(&vault.who(&call.asker).await?))
}

/// `GET /v1/callers`
pub async fn list(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    Ok(answer::callers(&vault.callers(&call.asker).await?))
}

/// `POST /v1/callers`
pub async fn add(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    let key = call.idempotency_key()?;
    let NewCaller { name, role, expires_at } = add_body(&call.body)?;
    Ok(answer::new_token(&vault.add_caller(&call.asker, name, role, expires_at, key).await?))
}

/// `DELETE /v1/callers/{caller}`
pub async fn remove(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let caller = call.caller()?;
    call.end()?;
    let key = call.idempotency_key()?;
    Ok(answer::removed(&vault.remove_caller(&call.asker, &caller, key).await?))
}

/// `GET /v1/callers/{caller}/tokens`
pub async fn tokens(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let caller = call.caller()?;
    call.end()?;
    Ok(answer::tokens(&vault.tokens(&call.asker, &caller).await?))
}

/// `POST /v1/callers/{caller}/tokens`
pub async fn add_token(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let caller = call.caller()?;
    call.end()?;
    let key = call.idempotency_key()?;
    let expires_at = add_token_body(&call.body)?;
    Ok(answer::new_token(&vault.add_token(&call.asker, &caller, expires_at, key).await?))
}

/// `DELETE /v1/callers/{caller}/tokens/{id}`
pub async fn remove_token(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let caller = call.caller()?;
    let id = TokenId::parse(&call.captures[1]).map_err(|why| query::invalid("id", why))?;
    call.end()?;
    let key = call.idempotency_key()?;
    Ok(answer::removed(&vault.remove_token(&call.asker, &caller, &id, key).await?))
}

/// What `POST /v1/callers` asks for.
#[derive(Debug)]
pub struct NewCaller {
    /// Its name.
    pub name: CallerName,
    /// Its role; a member unless told otherwise.
    pub role: Role,
    /// When its first token stops being accepted; absent for never.
    pub expires_at: Option<Millis>,
}

/// Reads the body that makes a caller.
pub fn add_body(bytes: &[u8]) -> Result<NewCaller, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let name = fields.required("name")?.parsed(CallerName::parse)?;
    let role = fields.optional("role").map(|field| field.parsed(read_role)).transpose()?;
    let expires_at = fields.optional("expires_at").map(|field| field.parsed(time::parse)).transpose()?;
    fields.end()?;
    Ok(NewCaller { name, role: role.unwrap_or(Role::Member), expires_at })
}

/// Reads the body that makes a token: when it stops being accepted; absent for never.
pub fn add_token_body(bytes: &[u8]) -> Result<Option<Millis>, Problem> {
    let mut fields = Fields::parse_optional(bytes)?;
    let expires_at = fields.optional("expires_at").map(|field| field.parsed(time::parse)).transpose()?;
    fields.end()?;
    Ok(expires_at)
}

fn read_role(text: &str) -> Result<Role, &'static str> {
    match text {
        "member" => Ok(Role::Member),
        "admin" => Ok(Role::Admin),
        _ => Err("must be member or admin"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::api::problem::Code;

    #[test]
    fn a_caller_is_a_member_unless_told_otherwise() {
        assert_eq!(add_body(br#"{"name":"ci"}"#).unwrap().role, Role::Member);
        assert_eq!(add_body(br#"{"name":"ci","role":"admin"}"#).unwrap().role, Role::Admin);
        assert_eq!(add_body(br#"{"name":"ci","role":"root"}"#).unwrap_err().code(), Code::InvalidField);
        assert_eq!(add_body(br#"{"name":"a/b"}"#).unwrap_err().code(), Code::InvalidField);
    }

    #[test]
    fn a_token_needs_no_body() {
        assert_eq!(add_token_body(b"").unwrap(), None);
        assert_eq!(add_token_body(br#"{"expires_at":null}"#).unwrap(), None);
        assert_eq!(add_token_body(br#"{"expires_at":1}"#).unwrap_err().code(), Code::InvalidField);
    }
}
