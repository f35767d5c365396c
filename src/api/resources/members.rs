//! The nodes of the cluster and the invitations of new ones, for admins. That it takes an admin is the vault's
//! to decide, so that a refusal is in its audit log. Knows nothing of how nodes talk.

use covault_model::{
    id::NodeId,
    limits::{INVITATION_SECONDS_DEFAULT, INVITATION_SECONDS_MAX},
};

use crate::{
    api::{
        answer::{self, Answer},
        body::{Fields, Json},
        call::Call,
        problem::Problem,
        query,
    },
    vault::{Invitee, Vault},
};

/// `GET /v1/members`
pub async fn list(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    Ok(answer::members(&vault.members(&call.asker).await?))
}

/// `DELETE /v1/members/{node}`
pub async fn remove(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    let node = NodeId::parse(&call.captures[0]).map_err(|why| query::invalid("node", why))?;
    call.end()?;
    let key = call.idempotency_key()?;
    Ok(answer::removed(&vault.remove_member(&call.asker, node, key).await?))
}

/// `POST /v1/invitations`
pub async fn invite(vault: &Vault, mut call: Call) -> Result<Answer, Problem> {
    call.end()?;
    let key = call.idempotency_key()?;
    let (invitee, seconds) = invite_body(&call.body)?;
    Ok(answer::new_invitation(&vault.invite(&call.asker, invitee, seconds, key).await?))
}

/// Reads the body that makes an invitation: what it is for, a node unless told otherwise; and for how many seconds
/// it is good, an hour unless told otherwise.
pub fn invite_body(bytes: &[u8]) -> Result<(Invitee, u64), Problem> {
    let mut fields = Fields::parse_optional(bytes)?;
    let role = fields.optional("role").map(|field| field.parsed(read_invitee)).transpose()?;
    let seconds = match fields.optional("lifetime_seconds") {
        None => INVITATION_SECONDS_DEFAULT,
        Some(field) => match field.json() {
            Json::Number(Some(seconds)) if (1..=INVITATION_SECONDS_MAX).contains(seconds) => *seconds,
            _ => {
                return Err(
                    field.invalid(format_args!("must be a number from 1 to {INVITATION_SECONDS_MAX}"))
                );
            }
        },
    };
    fields.end()?;
    Ok((role.unwrap_or_default(), seconds))
}

fn read_invitee(text: &str) -> Result<Invitee, &'static str> {
    Invitee::parse(text).ok_or("must be node or api")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::api::problem::Code;

    #[test]
    fn an_invitation_needs_no_body_and_lasts_a_week_at_most() {
        assert_eq!(invite_body(b"").unwrap(), (Invitee::Node, 3600));
        let week = invite_body(br#"{"lifetime_seconds":604800,"role":"api"}"#);
        assert_eq!(week.unwrap(), (Invitee::Api, 604_800));
        assert_eq!(invite_body(br#"{"role":"vault"}"#).unwrap_err().code(), Code::InvalidField);
        for bad in ["0", "604801", "-1", "1.5", "\"60\""] {
            let body = format!("{{\"lifetime_seconds\":{bad}}}");
            assert_eq!(invite_body(body.as_bytes()).unwrap_err().code(), Code::InvalidField, "{bad}");
        }
    }
}
