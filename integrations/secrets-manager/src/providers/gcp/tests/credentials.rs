//! Where tokens are had, and what becomes of them.

use std::{collections::HashMap, sync::LazyLock};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use url::form_urlencoded;
use wiremock::matchers::{header as has, path};

use super::*;
use crate::{SecretProvider, types::*};

/// The private and the public key of an account that there is not, in PEM.
static KEYS: LazyLock<(String, String)> = LazyLock::new(|| {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let pem = |what: &str, der: &[u8]| {
        format!("-----BEGIN {what} KEY-----\n{}\n-----END {what} KEY-----\n", STANDARD.encode(der))
    };
    (pem("PRIVATE", private.as_ref()), pem("PUBLIC", public.as_ref()))
});

/// Reads a secret with a file of credentials.
async fn read(server: &MockServer, file: &Value) -> Result<SecretValue, SecretsError> {
    read_text(server, &file.to_string()).await
}

async fn read_text(server: &MockServer, text: &str) -> Result<SecretValue, SecretsError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    std::fs::write(&file, text).unwrap();
    let config = GcpSecretManagerConfig { credentials: GcpCredentialSource::File(file), ..config(server) };
    provider(config).get_secret("db", GetSecretOptions::default()).await
}

/// Mounts an answer for a path, beside the store's own.
async fn answer(server: &MockServer, at: &str, answer: ResponseTemplate) {
    Mock::given(path(at)).respond_with(answer).with_priority(1).mount(server).await;
}

fn token(value: &str) -> ResponseTemplate {
    let body = json!({ "access_token": value, "expires_in": 3599, "token_type": "Bearer" });
    ResponseTemplate::new(200).set_body_json(body)
}

fn form(request: &Request) -> HashMap<String, String> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn service_account(server: &MockServer) -> Value {
    json!({ "type": "service_account", "client_email": "app@p.iam.gserviceaccount.com", "private_key": KEYS.0,
        "private_key_id": "k1", "token_uri": format!("{}/token", server.uri()) })
}

#[tokio::test]
async fn a_service_account_signs_who_it_is_for_a_token() {
    let server = server([value()]).await;
    answer(&server, "/token", token("had")).await;
    let file = service_account(&server);
    read(&server, &file).await.unwrap();
    let requests = requests(&server).await;
    let fields = form(&requests[0]);
    assert_eq!(fields["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.validate_exp = false;
    rules.set_audience(&[file["token_uri"].as_str().unwrap()]);
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(KEYS.1.as_bytes()).unwrap();
    let signed = jsonwebtoken::decode::<Value>(&fields["assertion"], &key, &rules).unwrap();
    assert_eq!((signed.header.kid.as_deref(), signed.header.typ.as_deref()), (Some("k1"), Some("JWT")));
    let now = noon().timestamp();
    let expected = json!({ "iss": "app@p.iam.gserviceaccount.com", "aud": file["token_uri"],
        "scope": "https://www.googleapis.com/auth/cloud-platform", "iat": now, "exp": now + 3600 });
    assert_eq!(signed.claims, expected);
    assert_eq!(header(&requests[1], "authorization"), "Bearer had");
}

#[tokio::test]
async fn a_token_is_had_once_for_many_reads_and_anew_when_it_is_not_accepted() {
    let server = server([value(), value(), fault(401, "UNAUTHENTICATED", "no"), value()]).await;
    Mock::given(path("/token"))
        .respond_with(token("one"))
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path("/token")).respond_with(token("two")).with_priority(2).mount(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    std::fs::write(&file, service_account(&server).to_string()).unwrap();
    let provider =
        provider(GcpSecretManagerConfig { credentials: GcpCredentialSource::File(file), ..config(&server) });
    for _ in 0..3 {
        provider.get_secret("db", GetSecretOptions::default()).await.unwrap();
    }
    let requests = requests(&server).await;
    let asked = requests.iter().filter(|request| request.url.path() != "/token");
    let bearers: Vec<_> = asked.map(|request| header(request, "authorization")).collect();
    assert_eq!(bearers, ["Bearer one", "Bearer one", "Bearer one", "Bearer two"]);
}

#[tokio::test]
async fn what_a_token_service_refuses_has_its_error() {
    let cases = [
        (
            400,
            json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." }),
            "authentication_invalid_credentials",
        ),
        (
            400,
            json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." }),
            "authentication_expired_credentials",
        ),
        (401, json!({ "error": "invalid_client" }), "authentication_invalid_credentials"),
        (401, json!({ "error": "unauthorized_client" }), "authentication_insufficient_permissions"),
        (
            403,
            json!({ "error": { "code": 403, "status": "PERMISSION_DENIED", "message": "no" } }),
            "authentication_insufficient_permissions",
        ),
        (400, json!({ "error": "invalid_scope" }), "authentication_token_refresh_failed"),
        (429, json!({}), "provider_rate_limited"),
        (500, json!({ "error": "internal_failure" }), "provider_unavailable"),
        (200, json!({ "id_token": "x" }), "authentication_token_refresh_failed"),
    ];
    for (status, body, expected) in cases {
        let server = server([value()]).await;
        answer(&server, "/token", ResponseTemplate::new(status).set_body_json(&body)).await;
        let error = read(&server, &service_account(&server)).await.unwrap_err();
        assert_eq!(error.error_type(), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_is_named_and_not_shown() {
    let server = server([value()]).await;
    let mut file = service_account(&server);
    file["private_key"] = "canary".into();
    let pem = read(&server, &file).await.unwrap_err();
    let kind = read(&server, &json!({ "type": "impersonated_service_account" })).await.unwrap_err();
    let text = read_text(&server, "{\"type\": \"service_account\", canary").await.unwrap_err();
    let field = read(&server, &json!({ "type": "service_account", "client_email": 7 })).await.unwrap_err();
    for error in [pem, kind, text, field] {
        assert_eq!(error.error_type(), "authentication_no_credentials");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_person_has_a_token_refreshed_and_says_who_pays() {
    let server = server([value()]).await;
    answer(&server, "/token", token("had")).await;
    let file = json!({ "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "quota_project_id": "payer", "token_uri": format!("{}/token", server.uri()) });
    read(&server, &file).await.unwrap();
    let requests = requests(&server).await;
    let fields = form(&requests[0]);
    assert_eq!((fields["grant_type"].as_str(), fields["refresh_token"].as_str()), ("refresh_token", "r"));
    assert_eq!(header(&requests[1], "x-goog-user-project"), "payer");
}

#[tokio::test]
async fn a_token_service_that_repeats_what_it_was_asked_is_not_repeated() {
    let server = server([value()]).await;
    let repeat = |request: &Request| {
        let said = form(request).into_values().collect::<Vec<_>>().join(" ");
        let body = json!({ "error": "invalid_request", "error_description": said });
        ResponseTemplate::new(400).set_body_json(body)
    };
    for at in ["/token", "/sts"] {
        Mock::given(path(at)).respond_with(repeat).with_priority(1).mount(&server).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let subject = folder.path().join("subject");
    std::fs::write(&subject, "canary-subject").unwrap();
    let person = json!({ "type": "authorized_user", "client_id": "c", "client_secret": "canary secret",
        "refresh_token": "canary/refresh", "token_uri": format!("{}/token", server.uri()) });
    for file in [person, service_account(&server), external(&server, json!({ "file": subject }))] {
        let said = read(&server, &file).await.unwrap_err().to_string();
        assert!(said.contains("[redacted]"), "{said}");
        // Where a signed statement begins.
        assert!(!said.contains("canary") && !said.contains("eyJ"), "{said}");
    }
}

fn external(server: &MockServer, source: Value) -> Value {
    json!({ "type": "external_account", "audience": "//iam.googleapis.com/pool", "credential_source": source,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/sts", server.uri()) })
}

#[tokio::test]
async fn a_token_of_another_provider_is_exchanged_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let subject = folder.path().join("subject");
    std::fs::write(&subject, "theirs\n").unwrap();
    let server = server([value()]).await;
    answer(&server, "/sts", token("federated")).await;
    read(&server, &external(&server, json!({ "file": subject }))).await.unwrap();
    let requests = requests(&server).await;
    let fields = form(&requests[0]);
    assert_eq!(fields["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(
        (fields["subject_token"].as_str(), fields["audience"].as_str()),
        ("theirs", "//iam.googleapis.com/pool")
    );
    assert_eq!(header(&requests[1], "authorization"), "Bearer federated");
}

#[tokio::test]
async fn a_token_of_another_provider_is_had_from_an_address_and_stands_for_an_account() {
    let server = server([value()]).await;
    Mock::given(path("/subject"))
        .and(has("metadata", "True"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "access_token": "theirs" })))
        .with_priority(1)
        .mount(&server)
        .await;
    answer(&server, "/sts", token("federated")).await;
    let given = json!({ "accessToken": "account", "expireTime": "2025-06-01T13:00:00Z" });
    Mock::given(path("/impersonate"))
        .and(has("authorization", "Bearer federated"))
        .respond_with(ResponseTemplate::new(200).set_body_json(given))
        .with_priority(1)
        .mount(&server)
        .await;
    let source = json!({ "url": format!("{}/subject", server.uri()), "headers": { "Metadata": "True" },
        "format": { "type": "json", "subject_token_field_name": "access_token" } });
    let mut file = external(&server, source);
    file["service_account_impersonation_url"] = format!("{}/impersonate", server.uri()).into();
    read(&server, &file).await.unwrap();
    let requests = requests(&server).await;
    assert_eq!(form(&requests[1])["subject_token"], "theirs");
    assert_eq!(header(requests.last().unwrap(), "authorization"), "Bearer account");
}

#[tokio::test]
async fn an_external_account_says_who_of_the_three_refused() {
    let folder = tempfile::tempdir().unwrap();
    let subject = folder.path().join("subject");
    std::fs::write(&subject, "{\"other\": \"theirs\"}").unwrap();
    let denied = || fault(403, "PERMISSION_DENIED", "iam.serviceAccounts.getAccessToken");
    let of_file =
        json!({ "file": subject, "format": { "type": "json", "subject_token_field_name": "token" } });
    let at = |server: &MockServer| json!({ "url": format!("{}/subject", server.uri()) });
    for (refuses, expected) in [
        ("field", "authentication_no_credentials"),
        ("/subject", "authentication_insufficient_permissions"),
        ("/impersonate", "authentication_insufficient_permissions"),
    ] {
        let server = server([value()]).await;
        let given = ResponseTemplate::new(200).set_body_string("theirs");
        for (at, given) in
            [("/subject", given), ("/sts", token("canary-federated-token")), ("/impersonate", denied())]
        {
            answer(&server, at, if at == refuses { denied() } else { given }).await;
        }
        let mut file = external(&server, if refuses == "field" { of_file.clone() } else { at(&server) });
        file["service_account_impersonation_url"] = format!("{}/impersonate", server.uri()).into();
        let error = read(&server, &file).await.unwrap_err();
        assert_eq!(error.error_type(), expected, "{refuses}: {error}");
        assert!(!error.to_string().contains("theirs") && !error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_source_that_is_not_asked_is_refused() {
    let server = server([value()]).await;
    for source in [json!({ "executable": { "command": "/bin/true" } }), json!({ "environment_id": "aws1" })] {
        let error = read(&server, &external(&server, source)).await.unwrap_err();
        assert_eq!(error.error_type(), "authentication_no_credentials");
    }
    assert!(requests(&server).await.is_empty());
}

async fn on_a_machine(
    server: &MockServer,
    credentials: GcpCredentialSource,
) -> Result<SecretValue, SecretsError> {
    let host = server.address().to_string();
    let environment = Environment::of([("GCE_METADATA_HOST", &host), ("HOME", "/nowhere")]);
    let config = GcpSecretManagerConfig { credentials, ..config(server) };
    with(config, environment).get_secret("db", GetSecretOptions::default()).await
}

const METADATA: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

#[tokio::test]
async fn a_machine_has_a_token_of_its_metadata_server() {
    for source in [GcpCredentialSource::Metadata, GcpCredentialSource::Default] {
        let server = server([value()]).await;
        Mock::given(path(METADATA))
            .and(has("metadata-flavor", "Google"))
            .respond_with(token("machine").insert_header("metadata-flavor", "Google"))
            .with_priority(1)
            .mount(&server)
            .await;
        on_a_machine(&server, source).await.unwrap();
        assert_eq!(header(&requests(&server).await[1], "authorization"), "Bearer machine");
    }
}

#[tokio::test]
async fn what_answers_without_googles_flavor_is_not_believed() {
    let server = server([value()]).await;
    answer(&server, METADATA, token("machine")).await;
    let error = on_a_machine(&server, GcpCredentialSource::Metadata).await.unwrap_err();
    assert_eq!(error.error_type(), "authentication_no_credentials");
}

#[tokio::test]
async fn a_machine_without_an_account_has_none() {
    let server = server([value()]).await;
    let none = ResponseTemplate::new(404).insert_header("metadata-flavor", "Google");
    answer(&server, METADATA, none).await;
    let error = on_a_machine(&server, GcpCredentialSource::Default).await.unwrap_err();
    assert_eq!(error.error_type(), "authentication_no_credentials");
}

#[tokio::test]
async fn a_machine_that_has_had_a_token_is_googles_even_when_it_has_none() {
    let server = server([value(), fault(401, "UNAUTHENTICATED", "no")]).await;
    let given = token("machine").insert_header("metadata-flavor", "Google");
    Mock::given(path(METADATA)).respond_with(given).up_to_n_times(1).with_priority(1).mount(&server).await;
    // More than is read of any answer, so that there is none.
    let no_answer = ResponseTemplate::new(200).set_body_bytes(vec![b' '; 5 << 20]);
    Mock::given(path(METADATA)).respond_with(no_answer).with_priority(2).mount(&server).await;
    let host = server.address().to_string();
    let environment = Environment::of([("GCE_METADATA_HOST", &host), ("HOME", "/nowhere")]);
    let config = GcpSecretManagerConfig { credentials: GcpCredentialSource::Default, ..config(&server) };
    let provider = with(config, environment);
    provider.get_secret("db", GetSecretOptions::default()).await.unwrap();
    let error = provider.get_secret("db", GetSecretOptions::default()).await.unwrap_err();
    assert!(matches!(error, SecretsError::Network(_)), "{error}");
}

#[tokio::test]
async fn the_default_is_the_named_file_then_gclouds_then_the_machines() {
    let server = server([value()]).await;
    answer(&server, "/token", token("had")).await;
    let folder = tempfile::tempdir().unwrap();
    let text = service_account(&server).to_string();
    let (named, gclouds) =
        (folder.path().join("named.json"), folder.path().join("application_default_credentials.json"));
    std::fs::write(&gclouds, &text).unwrap();
    let home = folder.path().to_str().unwrap();
    let nobody = ("GCE_METADATA_HOST", "127.0.0.1:1");
    let get = async |variables: [(&str, &str); 3]| {
        let config = GcpSecretManagerConfig { credentials: GcpCredentialSource::Default, ..config(&server) };
        with(config, Environment::of(variables)).get_secret("db", GetSecretOptions::default()).await
    };
    let name = ("GOOGLE_APPLICATION_CREDENTIALS", named.to_str().unwrap());
    let missing = get([name, ("CLOUDSDK_CONFIG", home), nobody]).await.unwrap_err();
    assert!(missing.to_string().contains("named.json"), "a file that is named and missing was passed over");
    get([("", ""), ("CLOUDSDK_CONFIG", home), nobody]).await.unwrap();
    let none = get([("", ""), ("CLOUDSDK_CONFIG", "/nowhere"), nobody]).await.unwrap_err();
    assert!(none.to_string().contains("no metadata server"), "{none}");
}
