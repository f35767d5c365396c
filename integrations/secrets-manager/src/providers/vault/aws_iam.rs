//! What a Vault is shown so that it learns from AWS who logs in. Knows nothing of how AWS's requests are signed.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::{
    providers::aws::Caller,
    types::{ConfigurationError, SecretString, SecretsError},
};

/// The body of a login as this role, and the credentials in it.
pub(super) async fn login(
    caller: &Caller,
    role: &str,
    server_id: Option<&str>,
) -> Result<(Value, Vec<SecretString>), SecretsError> {
    let server = server_id.map(server).transpose()?;
    let proof = caller.proof(server).await?;
    let headers = STANDARD.encode(shown(&proof.headers).to_string());
    let body = json!({
        "role": role,
        "iam_http_request_method": "POST",
        "iam_request_url": STANDARD.encode(proof.url.as_str()),
        "iam_request_body": STANDARD.encode(proof.body),
        "iam_request_headers": headers,
    });
    // Vault may say what AWS has said of the request, in the request's own words.
    let marked = proof.headers.values().filter(|value| value.is_sensitive()).map(text);
    Ok((body, [headers].into_iter().chain(marked).map(SecretString::from).collect()))
}

/// The header that binds a proof to one Vault, so that no other can use it.
fn server(id: &str) -> Result<(HeaderName, HeaderValue), ConfigurationError> {
    let value = HeaderValue::from_str(id).map_err(|_| ConfigurationError::InvalidProvider {
        detail: "vault has a server_id that no header can carry".into(),
    })?;
    Ok((HeaderName::from_static("x-vault-aws-iam-server-id"), value))
}

fn shown(headers: &HeaderMap) -> Value {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), json!([text(value)]))).collect()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{
        providers::aws::{AwsCredentialSource, AwsCredentials},
        transport::TransportConfig,
        types::WallClock,
    };

    /// The login for a key of the documentation's, at one moment.
    async fn shown_by(region: Option<&str>, session_token: Option<&str>) -> (String, Value) {
        let source = AwsCredentialSource::Static(AwsCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: session_token.map(Into::into),
            expires_at: None,
        });
        let clock = WallClock::new(|| "2025-06-01T12:00:00Z".parse().unwrap());
        let caller = Caller::new(&source, region, &TransportConfig::default(), clock).unwrap();
        let (login, credentials) = login(&caller, "app", Some("vault.example")).await.unwrap();
        let decoded = |field: &str| {
            String::from_utf8(STANDARD.decode(login[field].as_str().unwrap()).unwrap()).unwrap()
        };
        assert_eq!((&login["role"], &login["iam_http_request_method"]), (&json!("app"), &json!("POST")));
        let known = |text: &str| credentials.iter().any(|one| one.expose_secret().ends_with(text));
        assert!(known(login["iam_request_headers"].as_str().unwrap()));
        assert!(session_token.is_none_or(known), "the session token may come back in an error");
        assert_eq!(decoded("iam_request_body"), "Action=GetCallerIdentity&Version=2011-06-15");
        (decoded("iam_request_url"), serde_json::from_str(&decoded("iam_request_headers")).unwrap())
    }

    /// The signatures are those that botocore makes of the same requests.
    #[tokio::test]
    async fn vault_is_shown_the_request_that_aws_would_accept() {
        for (region, token, url, signature) in [
            (None, None, "https://sts.amazonaws.com/", GLOBAL),
            (Some("eu-central-1"), Some("swordfish"), "https://sts.eu-central-1.amazonaws.com/", REGIONAL),
        ] {
            let (shown_url, headers) = shown_by(region, token).await;
            assert_eq!(shown_url, url);
            let authorization = headers["authorization"][0].as_str().unwrap();
            assert_eq!(authorization.rsplit_once("Signature=").unwrap().1, signature, "{authorization}");
            assert!(authorization.contains("x-vault-aws-iam-server-id"), "{authorization}");
            assert_eq!(headers["x-vault-aws-iam-server-id"][0], "vault.example");
            assert_eq!(headers["x-amz-date"][0], "20250601T120000Z");
            assert_eq!(headers["x-amz-security-token"][0].as_str(), token);
        }
    }

    const GLOBAL: &str = "f2745f99b93bf633a084172d74a2258e8a4f88f301be35298f66a74366439529";
    const REGIONAL: &str = "6388d3dc54d2ba787285030359fa1af82652433cf5060c52b94e8245ba9fcbd7";
}
