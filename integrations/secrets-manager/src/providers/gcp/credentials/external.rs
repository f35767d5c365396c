//! Workload identity federation: a token of another identity provider for one of Google's, and that, where the file says
//! so, for one of a service account. Tokens come from a file or from an address; programs, AWS's signatures and
//! certificates are not asked. Knows nothing of files of credentials.

use std::{collections::HashMap, fmt, net::IpAddr, path::PathBuf};

use chrono::{DateTime, Utc};
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};

use super::{Login, SCOPE, Surroundings, Token, none, oauth};
use crate::{
    secret_file,
    types::{SecretString, SecretsError},
};

/// A file of type `external_account`.
#[derive(Deserialize)]
pub(super) struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: Source,
}

/// Where the other provider's token is.
#[derive(Deserialize)]
struct Source {
    file: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: HashMap<String, SecretString>,
    #[serde(default)]
    format: Format,
}

/// What the token stands in: alone, or in a field of a JSON object.
#[derive(Default, Deserialize)]
struct Format {
    r#type: Option<String>,
    subject_token_field_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: SecretString,
    expire_time: DateTime<Utc>,
}

impl ExternalAccount {
    pub(super) async fn login(&self, around: &Surroundings) -> Login {
        let subject = self.credential_source.token(around).await?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", &self.audience),
            ("scope", SCOPE),
            ("subject_token_type", &self.subject_token_type),
            ("subject_token", subject.expose_secret()),
        ];
        let (token, expires_at) = oauth::ask(around, oauth::address(&self.token_url)?, &fields).await?;
        match &self.service_account_impersonation_url {
            Some(url) => impersonate(around, oauth::address(url)?, &token).await,
            None => Ok((token, expires_at)),
        }
    }
}

impl Source {
    async fn token(&self, around: &Surroundings) -> Result<SecretString, SecretsError> {
        match (&self.file, &self.url) {
            (Some(file), None) => {
                let text = secret_file::token_aside(file).await.map_err(none)?;
                self.format.token(text.expose_secret())
            }
            (None, Some(url)) => self.token_at(oauth::address(url)?, around).await,
            _ => {
                Err(none("the external account's token is to be had neither from a file nor from an address"))
            }
        }
    }

    async fn token_at(&self, url: Url, around: &Surroundings) -> Result<SecretString, SecretsError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong_header(&error))?;
            let mut value =
                HeaderValue::from_str(value.expose_secret()).map_err(|error| wrong_header(&error))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let http = if is_of_this_machine(&url) { &around.metadata } else { &around.http };
        let answer = http.send(Method::GET, url, headers, None).await?;
        if answer.status != 200 {
            return Err(oauth::refusal(&answer));
        }
        self.format.token(std::str::from_utf8(&answer.body).unwrap_or_default())
    }
}

impl Format {
    fn token(&self, text: &str) -> Result<SecretString, SecretsError> {
        if self.r#type.as_deref() != Some("json") {
            return Ok(SecretString::from(text.trim()));
        }
        let name = self.subject_token_field_name.as_deref().unwrap_or_default();
        let mut fields: HashMap<String, Value> = serde_json::from_str(text).unwrap_or_default();
        match fields.remove(name) {
            Some(Value::String(token)) => Ok(token.into()),
            _ => Err(none(format!("the external account's token is in no field {name:?}"))),
        }
    }
}

async fn impersonate(around: &Surroundings, url: Url, token: &Token) -> Login {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.value.expose_secret()))
        .map_err(|_| none("the token exchange gave a token that is no header"))?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = json!({ "scope": [SCOPE], "lifetime": "3600s" }).to_string().into_bytes();
    let answer = around.http.send(Method::POST, url, headers, Some(body)).await?;
    let given: Option<Impersonated> =
        Some(&answer).filter(|answer| answer.status == 200).and_then(|a| a.json());
    let given = given.ok_or_else(|| oauth::refusal(&answer))?;
    Ok((Token::new(given.access_token), Some(given.expire_time)))
}

fn wrong_header(why: &dyn fmt::Display) -> SecretsError {
    none(format!("a header for the external account's token cannot be: {why}"))
}

/// Whether the address is this machine's own, or one of its metadata service, which speak plain HTTP.
fn is_of_this_machine(url: &Url) -> bool {
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(address)) => return address.is_loopback() || address.is_link_local(),
        Some(Host::Ipv6(address)) => address.into(),
        Some(Host::Domain(name)) => return name == "localhost",
        None => return false,
    };
    address.is_loopback()
}
