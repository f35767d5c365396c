//! AWS's signature, version 4, by the crate that AWS's own SDK signs with. Knows nothing of what is signed.

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use chrono::{DateTime, Utc};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;
use tracing::dispatcher::{Dispatch, with_default};
use url::Url;

use super::credentials::AwsCredentials;
use crate::types::{AuthenticationError, ProviderType, SecretsError};

/// What a signature is good for, beside the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) at: DateTime<Utc>,
}

/// Adds the signature to the headers, which are signed as they stand, with what belongs to it.
pub(super) fn add_signature(
    headers: &mut HeaderMap,
    method: &Method,
    url: &Url,
    body: &[u8],
    credentials: &AwsCredentials,
    scope: Scope<'_>,
) -> Result<(), SecretsError> {
    let identity = Credentials::new(
        credentials.access_key_id.as_str(),
        credentials.secret_access_key.expose_secret(),
        credentials.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
        None,
        "secrets-manager",
    )
    .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(scope.at.into())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| unsigned(&error))?
        .into();
    let named = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = SignableRequest::new(method.as_str(), url.as_str(), named, SignableBody::Bytes(body))
        .map_err(|error| unsigned(&error))?;
    // The crate traces what it signs and as whom; nobody is to hear it.
    let signed = with_default(&Dispatch::none(), || sign(request, &params));
    let (instructions, _) = signed.map_err(|error| unsigned(&error))?.into_parts();
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unsigned(&error))?;
        let mut value = HeaderValue::from_str(value).map_err(|error| unsigned(&error))?;
        value.set_sensitive(name != "x-amz-date");
        headers.insert(name, value);
    }
    Ok(())
}

fn unsigned(why: &dyn std::fmt::Display) -> SecretsError {
    let detail = format!("the request could not be signed with them: {why}");
    AuthenticationError::NoCredentials { provider: ProviderType::Aws, detail }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::heard::Heard;

    /// Requests of AWS's published signing test suite (`aws-c-auth`, `tests/aws-signing-test-suite/v4`), with the
    /// signatures that it gives for them: all that sign no hash of the body as a header, as we do not.
    const SUITE: &str = include_str!("../../../tests/vectors/sigv4.json");

    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        method: String,
        url: String,
        headers: Vec<(String, String)>,
        body: String,
        token: Option<String>,
        signed_headers: String,
        signature: String,
    }

    fn authorization(case: &Case) -> String {
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: case.token.as_deref().map(Into::into),
            expires_at: None,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &case.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let at = "2015-08-30T12:36:00Z".parse().unwrap();
        let scope = Scope { region: "us-east-1", service: "service", at };
        let (method, url) = (case.method.parse().unwrap(), case.url.parse().unwrap());
        add_signature(&mut headers, &method, &url, case.body.as_bytes(), &credentials, scope).unwrap();
        assert!(headers["authorization"].is_sensitive());
        headers["authorization"].to_str().unwrap().to_owned()
    }

    #[test]
    fn signatures_are_those_of_the_published_suite() {
        let cases: Vec<Case> = serde_json::from_str(SUITE).unwrap();
        assert!(cases.len() >= 10);
        for case in &cases {
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={}, Signature={}",
                case.signed_headers, case.signature
            );
            assert_eq!(authorization(case), expected, "{}", case.name);
        }
    }

    #[test]
    fn nothing_of_the_key_and_the_request_is_traced() {
        let cases: Vec<Case> = serde_json::from_str(SUITE).unwrap();
        let heard = Heard::default();
        tracing::subscriber::with_default(heard.subscriber(), || {
            tracing::trace!("heard");
            cases.iter().for_each(|case| drop(authorization(case)));
        });
        heard.has_none_of(&["AKIDEXAMPLE", "wJalrXUtn", "AQoDYXdz", "Signature"]);
    }

    #[test]
    fn a_key_that_is_no_header_is_an_error_that_does_not_show_it() {
        let credentials = AwsCredentials {
            access_key_id: "AKID\nEXAMPLE".into(),
            secret_access_key: "hunter2".into(),
            session_token: None,
            expires_at: None,
        };
        let scope = Scope { region: "us-east-1", service: "service", at: DateTime::UNIX_EPOCH };
        let url = "https://example.amazonaws.com/".parse().unwrap();
        let error = add_signature(&mut HeaderMap::new(), &Method::GET, &url, b"", &credentials, scope);
        let shown = format!("{:?}", error.unwrap_err());
        assert!(!shown.contains("EXAMPLE") && !shown.contains("hunter2"), "{shown}");
    }
}
