//! Where credentials are found, and what becomes of them.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use serde_json::json;
use tempfile::TempDir;
use wiremock::matchers::{body_string_contains, header as has, method, path};

use super::{
    super::credentials::{self, Surroundings},
    *,
};
use crate::{transport::TransportConfig, types::SecretsError};

const GIVEN: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
    <Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s&amp;cret</SecretAccessKey>
    <SessionToken>token</SessionToken><Expiration>2025-06-01T13:00:00Z</Expiration></Credentials>
    </AssumeRoleResult></AssumeRoleResponse>"#;

fn around<const N: usize>(variables: [(&str, &str); N]) -> Surroundings {
    let environment = Environment::of(variables);
    let clock = WallClock::new(noon);
    Surroundings::new(environment, &TransportConfig::default(), clock, vec!["eu-central-1".into()]).unwrap()
}

async fn found<const N: usize>(
    source: AwsCredentialSource,
    variables: [(&str, &str); N],
) -> Result<Option<AwsCredentials>, SecretsError> {
    credentials::provider(&source, &around(variables)).credentials().await
}

fn given_json(id: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "Code": "Success", "AccessKeyId": id, "SecretAccessKey": "secret", "Token": "token",
        "Expiration": "2025-06-01T18:00:00Z"
    }))
}

async fn answer(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb)).and(path(at)).respond_with(answer).mount(server).await;
}

/// An instance whose role is called `app`.
async fn instance() -> MockServer {
    let server = MockServer::start().await;
    let token = ResponseTemplate::new(200).set_body_string("session");
    Mock::given(method("PUT"))
        .and(path("/latest/api/token"))
        .and(has("x-aws-ec2-metadata-token-ttl-seconds", "300"))
        .respond_with(token)
        .mount(&server)
        .await;
    for (end, answer) in
        [("", ResponseTemplate::new(200).set_body_string("app\n")), ("app", given_json("ASIAEC2"))]
    {
        Mock::given(method("GET"))
            .and(path(format!("/latest/meta-data/iam/security-credentials/{end}")))
            .and(has("x-aws-ec2-metadata-token", "session"))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    server
}

#[tokio::test]
async fn an_instance_gives_its_roles_credentials_for_a_session_token() {
    let server = instance().await;
    let credentials =
        found(AwsCredentialSource::Instance, [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.uri())]).await;
    let credentials = credentials.unwrap().unwrap();
    assert_eq!(credentials.access_key_id, "ASIAEC2");
    assert_eq!(credentials.expires_at, Some("2025-06-01T18:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn an_instance_that_refuses_says_so_and_one_without_a_role_has_none() {
    let uri = |server: &MockServer| server.uri();
    let closed = MockServer::start().await;
    answer(&closed, "PUT", "/latest/api/token", ResponseTemplate::new(403)).await;
    let error =
        found(AwsCredentialSource::Instance, [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &uri(&closed))]).await;
    assert_eq!(error.unwrap_err().error_type(), "authentication_token_refresh_failed");
    let bare = MockServer::start().await;
    answer(&bare, "PUT", "/latest/api/token", ResponseTemplate::new(200).set_body_string("session")).await;
    let none =
        found(AwsCredentialSource::Instance, [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &uri(&bare))]).await;
    assert!(none.unwrap().is_none());
    let off =
        [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")];
    assert!(found(AwsCredentialSource::Instance, off).await.unwrap().is_none());
}

#[tokio::test]
async fn an_instance_whose_role_cannot_be_had_says_its_code() {
    let server = MockServer::start().await;
    answer(&server, "PUT", "/latest/api/token", ResponseTemplate::new(200).set_body_string("session")).await;
    let roles = "/latest/meta-data/iam/security-credentials/";
    answer(&server, "GET", roles, ResponseTemplate::new(200).set_body_string("app")).await;
    let refusal =
        json!({ "Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role app." });
    answer(&server, "GET", &format!("{roles}app"), ResponseTemplate::new(200).set_body_json(refusal)).await;
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.uri())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let error = found(AwsCredentialSource::Instance, variables).await.unwrap_err();
    assert!(error.to_string().contains("AssumeRoleUnauthorizedAccess"), "{error}");
}

#[tokio::test]
async fn a_container_is_known_by_the_token_of_its_file() {
    let (server, folder) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("token");
    std::fs::write(&file, "pod-token\n").unwrap();
    Mock::given(has("authorization", "pod-token")).respond_with(given_json("ASIAPOD")).mount(&server).await;
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*format!("{}/v1/credentials", server.uri())),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
    ];
    let credentials = found(AwsCredentialSource::Container, variables).await.unwrap().unwrap();
    assert_eq!(credentials.access_key_id, "ASIAPOD");
}

#[tokio::test]
async fn an_endpoint_that_cannot_give_credentials_now_is_told_apart_from_one_that_will_not() {
    for (status, expected) in [
        (429, "provider_rate_limited"),
        (503, "provider_unavailable"),
        (403, "authentication_token_refresh_failed"),
        (200, "authentication_token_refresh_failed"),
    ] {
        let server = server([ResponseTemplate::new(status)]).await;
        let variables = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*server.uri()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token"),
        ];
        let error = found(AwsCredentialSource::Container, variables).await.unwrap_err();
        assert_eq!(error.error_type(), expected, "{status}");
    }
    let unfit = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary\ntoken"),
    ];
    let error = found(AwsCredentialSource::Container, unfit).await.unwrap_err();
    assert_eq!(error.error_type(), "authentication_no_credentials");
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[tokio::test]
async fn a_container_is_not_asked_in_plain_of_another_machine() {
    for address in ["http://example.com/", "http://10.0.0.1/", "http://169.254.169.254/", "not a URL"] {
        let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)];
        let error = found(AwsCredentialSource::Container, variables).await.unwrap_err();
        assert_eq!(error.error_type(), "authentication_no_credentials", "{address}");
    }
    let relative = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.com/")];
    assert!(found(AwsCredentialSource::Container, relative).await.is_err());
    assert!(found(AwsCredentialSource::Container, []).await.unwrap().is_none());
}

/// A file with a token, as long as its folder is held.
fn token_file() -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "canary-token").unwrap();
    (file, folder)
}

fn web_identity(file: &Path) -> AwsCredentialSource {
    AwsCredentialSource::WebIdentity(WebIdentity {
        role_arn: "arn:aws:iam::1:role/app".into(),
        token_file: file.into(),
        session_name: None,
    })
}

#[tokio::test]
async fn a_web_identity_is_exchanged_unsigned_and_its_file_read_each_time() {
    let (server, folder) =
        (server([ResponseTemplate::new(200).set_body_string(GIVEN)]).await, tempfile::tempdir().unwrap());
    let file = folder.path().join("token");
    let around = around([("AWS_ENDPOINT_URL_STS", &server.uri())]);
    let provider = credentials::provider(&web_identity(&file), &around);
    for token in ["one", "two"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        let credentials = provider.credentials().await.unwrap().unwrap();
        assert_eq!(credentials.secret_access_key.expose_secret(), "s&cret");
        assert_eq!(credentials.expires_at, Some("2025-06-01T13:00:00Z".parse().unwrap()));
    }
    let requests = requests(&server).await;
    let body = |index: usize| String::from_utf8(requests[index].body.clone()).unwrap();
    assert_eq!(
        body(0),
        "Version=2011-06-15&Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fapp&\
         RoleSessionName=secrets-manager&WebIdentityToken=one"
    );
    assert!(body(1).ends_with("=two") && !requests[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn what_the_token_service_refuses_has_its_error() {
    let (file, _folder) = token_file();
    let cases = [
        (400, "ExpiredTokenException", "authentication_expired_credentials"),
        (400, "InvalidIdentityToken", "authentication_invalid_credentials"),
        (403, "AccessDenied", "authentication_insufficient_permissions"),
        (400, "IDPCommunicationError", "provider_unavailable"),
        (400, "Throttling", "provider_rate_limited"),
        (429, "", "provider_rate_limited"),
        (500, "InternalFailure", "provider_unavailable"),
        (400, "MalformedPolicyDocument", "authentication_token_refresh_failed"),
        (200, "", "authentication_token_refresh_failed"),
    ];
    for (status, code, expected) in cases {
        let body =
            format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>");
        let server = server([ResponseTemplate::new(status).set_body_string(body)]).await;
        let error = found(web_identity(&file), [("AWS_ENDPOINT_URL_STS", &server.uri())]).await.unwrap_err();
        assert_eq!(error.error_type(), expected, "{status} {code}");
        assert!(!error.to_string().contains("canary"));
    }
}

#[tokio::test]
async fn who_gives_out_credentials_and_repeats_what_it_was_asked_is_not_repeated() {
    let server = MockServer::start().await;
    let repeat = |request: &Request| {
        let body = String::from_utf8(request.body.clone()).unwrap();
        let said = match body.split_once("WebIdentityToken=") {
            Some((_, token)) => {
                format!("<Error><Code>InvalidIdentityToken</Code><Message>{token}</Message></Error>")
            }
            None => json!({ "Code": "Odd", "Message": header(request, "authorization") }).to_string(),
        };
        ResponseTemplate::new(400).set_body_string(said)
    };
    Mock::given(path("/")).respond_with(repeat).mount(&server).await;
    let (file, _folder) = token_file();
    let variables = [
        ("AWS_ENDPOINT_URL_STS", &*server.uri()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*server.uri()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
    ];
    for source in [web_identity(&file), AwsCredentialSource::Container] {
        let said = found(source, variables).await.unwrap_err().to_string();
        assert!(said.contains("[redacted]") && !said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn another_regions_token_service_is_asked_while_the_first_is_away() {
    let (file, _folder) = token_file();
    for (first, is_given) in [(503, true), (403, false)] {
        let given = ResponseTemplate::new(200).set_body_string(GIVEN);
        let server = server([ResponseTemplate::new(first), given]).await;
        let mut around = around([("AWS_ENDPOINT_URL_STS", &server.uri())]);
        around.regions.push("us-east-1".into());
        let found = credentials::provider(&web_identity(&file), &around).credentials().await;
        assert_eq!(found.is_ok(), is_given, "{first}");
    }
}

#[tokio::test]
async fn xml_with_a_document_type_is_refused() {
    let (file, _folder) = token_file();
    let bomb = format!("<!DOCTYPE a [<!ENTITY b \"bbbb\">]>{GIVEN}");
    let server = server([ResponseTemplate::new(200).set_body_string(bomb)]).await;
    assert!(found(web_identity(&file), [("AWS_ENDPOINT_URL_STS", &server.uri())]).await.is_err());
}

/// The variables of somebody whose file of credentials has this text, and who has no other.
async fn profile(name: &str, text: &str, sts: &str) -> Result<Option<AwsCredentials>, SecretsError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, text).unwrap();
    let (file, none) = (file.to_str().unwrap(), folder.path().join("none"));
    let variables = [
        ("AWS_SHARED_CREDENTIALS_FILE", file),
        ("AWS_CONFIG_FILE", none.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", sts),
    ];
    found(AwsCredentialSource::Profile(name.into()), variables).await
}

const KEYS: &str = "aws_access_key_id = AKIDFILE\naws_secret_access_key = secret\n";

#[tokio::test]
async fn a_profile_has_its_own_keys() {
    let text = format!("[prod]\n{KEYS}aws_session_token = token\n");
    let credentials = profile("prod", &text, "").await.unwrap().unwrap();
    assert_eq!(credentials.access_key_id, "AKIDFILE");
    assert_eq!(credentials.session_token.unwrap().expose_secret(), "token");
}

#[tokio::test]
async fn a_profile_takes_a_role_with_the_keys_of_another() {
    let server = MockServer::start().await;
    Mock::given(body_string_contains("Action=AssumeRole&RoleArn=arn%3Arole&RoleSessionName=me&ExternalId=x"))
        .respond_with(ResponseTemplate::new(200).set_body_string(GIVEN))
        .mount(&server)
        .await;
    let text = format!(
        "[prod]\nrole_arn = arn:role\nsource_profile = base\nrole_session_name = me\nexternal_id = x\n[base]\n{KEYS}"
    );
    let credentials = profile("prod", &text, &server.uri()).await.unwrap().unwrap();
    assert_eq!(credentials.access_key_id, "ASIAROLE");
    let request = &requests(&server).await[0];
    assert!(header(request, "authorization").contains("Credential=AKIDFILE/20250601/eu-central-1/sts/"));
}

#[tokio::test]
async fn a_profile_that_another_takes_its_role_with_gives_its_own_keys() {
    let server = server([ResponseTemplate::new(200).set_body_string(GIVEN)]).await;
    let base = format!("[base]\n{KEYS}role_arn = arn:other\nsource_profile = prod\n");
    let text = format!("[prod]\nrole_arn = arn:role\nsource_profile = base\n{base}");
    profile("prod", &text, &server.uri()).await.unwrap().unwrap();
    let requests = requests(&server).await;
    assert_eq!(requests.len(), 1);
    assert!(header(&requests[0], "authorization").contains("Credential=AKIDFILE/"));
}

#[tokio::test]
async fn a_profile_that_cannot_be_says_what_is_wrong() {
    for (text, words) in [
        ("[other]\n", "there are none"),
        ("[prod]\nregion = eu-west-1\n", "there are none"),
        ("[prod]\naws_access_key_id = A\n", "only one part"),
        ("[prod]\ncredential_process = /bin/true\n", "credential_process"),
        ("[prod]\nsso_session = s\n", "sso_session"),
        ("[prod]\nrole_arn = r\n", "not one of"),
        ("[prod]\nrole_arn = r\nsource_profile = prod\n", "no credentials"),
        (
            "[prod]\nrole_arn = r\nsource_profile = b\n[b]\nrole_arn = r\nsource_profile = prod\n",
            "in a circle",
        ),
        ("[prod]\nrole_arn = r\nsource_profile = b\nmfa_serial = m\n", "device"),
        ("[prod]\nrole_arn = r\ncredential_source = Moon\n", "not known"),
        ("[prod\n", "line"),
    ] {
        let error = profile("prod", text, "http://127.0.0.1:1").await.unwrap_err();
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[tokio::test]
async fn the_chain_takes_the_first_that_is_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let (file, none) = (folder.path().join("credentials"), folder.path().join("none"));
    std::fs::write(&file, format!("[default]\n{KEYS}")).unwrap();
    let ec2 = instance().await;
    let container = server([given_json("ASIAPOD")]).await;
    let (ec2, container) = (ec2.uri(), container.uri());
    let (file, none) = (file.to_str().unwrap(), none.to_str().unwrap());
    let key = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let all = [
        key[0],
        key[1],
        ("AWS_SHARED_CREDENTIALS_FILE", file),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &ec2),
        ("AWS_CONFIG_FILE", none),
    ];
    let id = async |variables: &[(&str, &str)]| {
        let mut padded = [("", ""); 6];
        padded[..variables.len()].copy_from_slice(variables);
        found(AwsCredentialSource::Chain, padded).await.unwrap().unwrap().access_key_id
    };
    assert_eq!(id(&all).await, "AKIDENV");
    assert_eq!(id(&all[2..]).await, "AKIDFILE");
    assert_eq!(id(&all[3..]).await, "ASIAPOD");
    assert_eq!(id(&all[4..]).await, "ASIAEC2");
}

#[tokio::test]
async fn a_link_of_the_chain_that_is_set_up_and_fails_is_not_passed_over() {
    let ec2 = instance().await;
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token"),
        ("AWS_ROLE_ARN", "arn:role"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*ec2.uri()),
    ];
    let error = found(AwsCredentialSource::Chain, variables).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/token"), "{error}");
    let wanted = [("AWS_PROFILE", "missing"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*ec2.uri())];
    assert!(found(AwsCredentialSource::Chain, wanted).await.is_err());
}

#[tokio::test]
async fn a_machine_that_is_no_instance_has_none_and_an_instance_asked_for_has_to_answer() {
    let nobody = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")];
    assert!(found(AwsCredentialSource::Chain, nobody).await.unwrap().is_none());
    let error = found(AwsCredentialSource::Instance, nobody).await.unwrap_err();
    assert!(matches!(error, SecretsError::Network(_)));
}

#[tokio::test]
async fn an_instance_that_has_answered_once_is_not_taken_for_none_when_it_does_not() {
    let server = instance().await;
    let around = around([("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.uri())]);
    let chain = credentials::provider(&AwsCredentialSource::Chain, &around);
    assert!(chain.credentials().await.unwrap().is_some());
    server.reset().await;
    answer(&server, "PUT", "/latest/api/token", no_answer()).await;
    assert!(matches!(chain.credentials().await, Err(SecretsError::Network(_))));
}

/// More than is read of any answer, so that there is none.
fn no_answer() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_bytes(vec![b' '; 5 << 20])
}
