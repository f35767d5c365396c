//! Grants: an owner lets another caller at its names under a prefix (N3).

use covault_model::{
    id::GrantId,
    isolation::Access,
    name::{CallerName, NamePrefix},
};

use crate::{
    api::{
        answer::{self, Answer},
        body::Fields,
        call::Call,
        problem::Problem,
        query,
    },
    vault::Vault,
};

/// `GET /v1/grants`
pub async fn list(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    Ok(answer::grants(&vault.grants(&call.asker).await?))
}

/// `POST /v1/grants`
pub async fn add(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    let key = call.idempotency_key()?;
    let NewGrant { prefix, grantee, access } = add_body(&call.body)?;
    let given = vault.add_grant(&call.asker, prefix, grantee, access, key).await?;
    Ok(answer::changed(&given, answer::new_grant))
}

/// `DELETE /v1/grants/{id}`
pub async fn remove(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let id = GrantId::parse(&call.captures[0]).map_err(|why| query::invalid("id", why))?;
    call.end()?;
    let key = call.idempotency_key()?;
    Ok(answer::removed(&vault.remove_grant(&call.asker, &id, key).await?))
}

/// What `POST /v1/grants` asks for.
#[derive(Debug)]
pub struct NewGrant {
    /// Which names; empty for all.
    pub prefix: NamePrefix,
    /// Who may.
    pub grantee: CallerName,
    /// Do what.
    pub access: Access,
}

/// Reads the body that gives a grant.
pub fn add_body(bytes: &[u8]) -> Result<NewGrant, Problem> {
    let mut fields = Fields::parse(bytes)?;
    let prefix = fields.required("prefix")?.parsed(NamePrefix::parse)?;
    let grantee = fields.required("grantee")?.parsed(CallerName::parse)?;
    let access = fields.required("access")?.parsed(read_access)?;
    fields.end()?;
    Ok(NewGrant { prefix, grantee, access })
}

fn read_access(text: &str) -> Result<Access, &'static str> {
    match text {
        "read" => Ok(Access::Read),
        "write" => Ok(Access::Write),
        _ => Err("must be read or write"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::api::problem::Code;

    #[test]
    fn a_grant_says_all_three() {
        let grant = add_body(br#"{"prefix":"","grantee":"ci","access":"read"}"#).unwrap();
        assert_eq!((grant.prefix.as_str(), grant.access), ("", Access::Read));
        assert_eq!(add_body(br#"{"prefix":"","grantee":"ci"}"#).unwrap_err().code(), Code::MissingField);
        let bad = br#"{"prefix":"","grantee":"ci","access":"own"}"#;
        assert_eq!(add_body(bad).unwrap_err().code(), Code::InvalidField);
    }
}
