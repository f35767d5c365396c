//! Tokens from Entra ID: for an application by its secret or its federated token, for a machine from the service on it.
//! Knows nothing of vaults, nor how long a token is kept.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{AzureCredentials, challenge::Challenge};
use crate::{
    providers::environment::Environment,
    secret_file,
    transport::{Answer, Http, TransportConfig},
    types::{
        AuthenticationError, ConfigurationError, ProviderError, ProviderType, SecretString, SecretsError,
    },
};

const PROVIDER: ProviderType = ProviderType::Azure;
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// Where each virtual machine finds its metadata. The network is the machine's own, and there is no TLS.
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// As whom tokens are asked for.
pub(super) struct Identity {
    http: Http,
    source: Source,
}

enum Source {
    Application { authority: Url, tenant: Option<String>, client_id: String, proof: Proof },
    Machine { client_id: Option<String>, endpoint: Url },
    AppService { client_id: Option<String>, endpoint: Url, header: HeaderValue },
}

enum Proof {
    Secret(SecretString),
    TokenFile(PathBuf),
}

impl Proof {
    /// What a token is asked for with, and the credential in it.
    async fn form(
        &self,
        client_id: &str,
        scope: &str,
    ) -> Result<(String, SecretString), AuthenticationError> {
        let fixed = [("grant_type", "client_credentials"), ("client_id", client_id), ("scope", scope)];
        let (kind, name, credential) = match self {
            Self::Secret(secret) => (None, "client_secret", secret.clone()),
            Self::TokenFile(file) => {
                let none = |detail| AuthenticationError::NoCredentials { provider: PROVIDER, detail };
                let token = secret_file::token_aside(file).await.map_err(none)?;
                (Some(("client_assertion_type", ASSERTION)), "client_assertion", token)
            }
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fixed).extend_pairs(kind).append_pair(name, credential.expose_secret());
        Ok((form.finish(), credential))
    }
}

#[derive(Deserialize)]
struct Given {
    access_token: SecretString,
    /// Seconds, as a number or as text.
    expires_in: Option<Value>,
    /// Seconds since 1970, likewise.
    expires_on: Option<Value>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Identity {
    /// The identity that `credentials` and the environment's variables name.
    pub fn new(
        credentials: AzureCredentials,
        authority: Option<Url>,
        transport: &TransportConfig,
        environment: &Environment,
    ) -> Result<Self, ConfigurationError> {
        let source = source(credentials, authority, environment)?;
        let http = match source {
            Source::Application { .. } => Http::new(transport)?,
            Source::Machine { .. } | Source::AppService { .. } => Http::metadata()?,
        };
        Ok(Self { http, source })
    }

    /// A new token for what a vault wants one for, and when it expires.
    pub async fn token(
        &self,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<(SecretString, DateTime<Utc>), SecretsError> {
        let answer = match &self.source {
            Source::Application { authority, tenant, client_id, proof } => {
                let Some(tenant) = tenant.as_ref().or(challenge.tenant.as_ref()) else {
                    let detail = "azure has no tenant_id, and the vault tells none".into();
                    return Err(ConfigurationError::InvalidProvider { detail }.into());
                };
                self.of_application(authority, tenant, client_id, proof, &challenge.scope).await?
            }
            Source::Machine { client_id, endpoint } => {
                let header = (HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
                let id = client_id.as_deref();
                self.of_machine(endpoint, "2018-02-01", id, challenge.resource(), header).await?
            }
            Source::AppService { client_id, endpoint, header } => {
                let header = (HeaderName::from_static("x-identity-header"), header.clone());
                let id = client_id.as_deref();
                self.of_machine(endpoint, "2019-08-01", id, challenge.resource(), header).await?
            }
        };
        if answer.status != 200 {
            return Err(self.refusal(&answer));
        }
        given(&answer, now).ok_or_else(|| {
            let detail = "200 with a body that is not of the known form".into();
            AuthenticationError::TokenRefreshFailed { provider: PROVIDER, detail }.into()
        })
    }

    async fn of_application(
        &self,
        authority: &Url,
        tenant: &str,
        client_id: &str,
        proof: &Proof,
        scope: &str,
    ) -> Result<Answer, SecretsError> {
        let mut url = authority.clone();
        url.path_segments_mut()
            .expect("an http URL with a host has a path")
            .pop_if_empty()
            .extend([tenant, "oauth2", "v2.0", "token"]);
        let (form, credential) = proof.form(client_id, scope).await?;
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(reqwest::header::CONTENT_TYPE, form_type)]);
        let answer = self.http.send(Method::POST, url, headers, Some(form.into_bytes())).await?;
        Ok(answer.after_sending([credential.expose_secret()]))
    }

    async fn of_machine(
        &self,
        endpoint: &Url,
        version: &str,
        client_id: Option<&str>,
        resource: &str,
        header: (HeaderName, HeaderValue),
    ) -> Result<Answer, SecretsError> {
        let mut url = endpoint.clone();
        url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", resource);
        if let Some(client_id) = client_id {
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        self.http.send(Method::GET, url, HeaderMap::from_iter([header]), None).await
    }

    fn refusal(&self, answer: &Answer) -> SecretsError {
        let refused: Option<Refused> = answer.json();
        let detail = match &refused {
            Some(Refused { error, error_description }) => {
                answer.quoted(&format!("{}: {error}: {error_description}", answer.status))
            }
            None => format!("{}, not in the words of a token service", answer.status),
        };
        let retry_after = answer.retry_after();
        // The service on a machine answers so while it starts or is being updated.
        let starting = matches!(self.source, Source::Machine { .. }) && matches!(answer.status, 404 | 410);
        match (answer.status, refused) {
            (429, _) => ProviderError::RateLimited { provider: PROVIDER, detail, retry_after }.into(),
            (500..=599, _) => {
                ProviderError::ProviderUnavailable { provider: PROVIDER, detail, retry_after }.into()
            }
            _ if starting => {
                ProviderError::ProviderUnavailable { provider: PROVIDER, detail, retry_after }.into()
            }
            (_, Some(refused)) => refused.meaning(detail).into(),
            (_, None) => AuthenticationError::TokenRefreshFailed { provider: PROVIDER, detail }.into(),
        }
    }
}

impl Refused {
    fn meaning(&self, detail: String) -> AuthenticationError {
        let provider = PROVIDER;
        // An application's secret, or a federated token, whose time is over.
        let over = ["AADSTS7000222", "AADSTS700024"];
        if over.iter().any(|code| self.error_description.starts_with(code)) {
            return AuthenticationError::ExpiredCredentials { provider, detail };
        }
        match &*self.error {
            "invalid_client"
            | "invalid_grant"
            | "unauthorized_client"
            | "identity_not_found"
            | "invalid_request" => AuthenticationError::InvalidCredentials { provider, detail },
            "access_denied" | "interaction_required" | "invalid_scope" | "invalid_resource" => {
                AuthenticationError::InsufficientPermissions { provider, detail }
            }
            _ => AuthenticationError::TokenRefreshFailed { provider, detail },
        }
    }
}

fn source(
    credentials: AzureCredentials,
    authority: Option<Url>,
    environment: &Environment,
) -> Result<Source, ConfigurationError> {
    let variable = |name: &str| environment.get(name);
    let application = |tenant, client_id, proof| {
        let told = variable("AZURE_AUTHORITY_HOST").map(|text| address("AZURE_AUTHORITY_HOST", &text));
        let authority = match (authority, told) {
            (Some(given), _) => address("authority_host", given.as_str())?,
            (None, Some(told)) => told?,
            (None, None) => Url::parse(AUTHORITY).expect("it is a URL"),
        };
        Ok(Source::Application { authority, tenant, client_id, proof })
    };
    match credentials {
        AzureCredentials::ClientSecret { tenant_id, client_id, client_secret } => {
            application(tenant_id, client_id, Proof::Secret(client_secret))
        }
        AzureCredentials::WorkloadIdentity { tenant_id, client_id, token_file } => {
            let file = token_file.or_else(|| variable("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from));
            let client_id = client_id.or_else(|| variable("AZURE_CLIENT_ID"));
            let client_id = client_id.ok_or_else(|| lacking("client_id", "AZURE_CLIENT_ID"))?;
            let file = file.ok_or_else(|| lacking("token_file", "AZURE_FEDERATED_TOKEN_FILE"))?;
            let tenant = tenant_id.or_else(|| variable("AZURE_TENANT_ID"));
            application(tenant, client_id, Proof::TokenFile(file))
        }
        AzureCredentials::ManagedIdentity { client_id, endpoint } => {
            if let Some(endpoint) = endpoint {
                return Ok(Source::Machine { client_id, endpoint: address("endpoint", endpoint.as_str())? });
            }
            let Some((endpoint, header)) = variable("IDENTITY_ENDPOINT").zip(variable("IDENTITY_HEADER"))
            else {
                let endpoint = Url::parse(METADATA).expect("it is a URL");
                return Ok(Source::Machine { client_id, endpoint });
            };
            let mut header =
                HeaderValue::from_str(&header).map_err(|_| ConfigurationError::InvalidProvider {
                    detail: "azure has an IDENTITY_HEADER that no header can carry".into(),
                })?;
            header.set_sensitive(true);
            Ok(Source::AppService { client_id, endpoint: address("IDENTITY_ENDPOINT", &endpoint)?, header })
        }
    }
}

fn lacking(field: &str, variable: &str) -> ConfigurationError {
    let detail = format!("azure has neither {field} nor {variable} for its workload identity");
    ConfigurationError::InvalidProvider { detail }
}

fn address(whose: &str, text: &str) -> Result<Url, ConfigurationError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| ConfigurationError::MissingEndpoint {
        detail: format!("azure has {whose} {text:?}, which is no address"),
    })
}

fn given(answer: &Answer, now: DateTime<Utc>) -> Option<(SecretString, DateTime<Utc>)> {
    let given: Given = answer.json()?;
    let seconds = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let expires_at = match (&given.expires_in, &given.expires_on) {
        (Some(lasts), _) => now.checked_add_signed(TimeDelta::try_seconds(seconds(lasts)?)?)?,
        (None, Some(end)) => DateTime::from_timestamp(seconds(end)?, 0)?,
        (None, None) => return None,
    };
    (!given.access_token.is_empty()).then_some((given.access_token, expires_at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::ResponseTemplate;

    use super::*;
    use crate::providers::scripted::{requests, server};

    fn of<const N: usize>(
        credentials: Value,
        variables: [(&str, &str); N],
    ) -> Result<Source, ConfigurationError> {
        source(serde_json::from_value(credentials).unwrap(), None, &Environment::of(variables))
    }

    #[test]
    fn a_workload_identity_is_what_the_environment_says() {
        let variables = [
            ("AZURE_CLIENT_ID", "app"),
            ("AZURE_TENANT_ID", "home"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
            ("AZURE_AUTHORITY_HOST", "https://login.example/"),
        ];
        let found = of(serde_json::json!({"workload_identity": {}}), variables).unwrap();
        let Source::Application { authority, tenant, client_id, proof: Proof::TokenFile(file) } = found
        else {
            panic!("another source")
        };
        assert_eq!(authority.as_str(), "https://login.example/");
        assert_eq!((tenant.as_deref(), &*client_id, file), (Some("home"), "app", "/token".into()));
        assert!(of(serde_json::json!({"workload_identity": {}}), []).is_err());
    }

    #[test]
    fn a_machine_is_asked_where_its_environment_says() {
        let managed = || serde_json::json!({"managed_identity": {}});
        let on_app_service =
            [("IDENTITY_ENDPOINT", "http://127.0.0.1:41/token"), ("IDENTITY_HEADER", "canary")];
        assert!(matches!(of(managed(), on_app_service), Ok(Source::AppService { .. })));
        let Ok(Source::Machine { endpoint, .. }) = of(managed(), []) else { panic!("another source") };
        assert_eq!(endpoint.host_str(), Some("169.254.169.254"));
    }

    #[tokio::test]
    async fn an_app_service_is_shown_its_own_header_and_nobody_else() {
        let given = json!({"access_token": "t", "expires_on": "1500"});
        let server = server([ResponseTemplate::new(200).set_body_json(given)]).await;
        let variables = [("IDENTITY_ENDPOINT", &*server.uri()), ("IDENTITY_HEADER", "canary")];
        let credentials = AzureCredentials::ManagedIdentity { client_id: Some("app".into()), endpoint: None };
        let transport = TransportConfig::default();
        let identity = Identity::new(credentials, None, &transport, &Environment::of(variables)).unwrap();
        let wanted = Challenge { tenant: None, scope: "https://vault.azure.net/.default".into() };
        let (token, end) = identity.token(&wanted, DateTime::UNIX_EPOCH).await.unwrap();
        assert_eq!((token.expose_secret(), end.timestamp()), ("t", 1500));
        let request = &requests(&server).await[0];
        assert_eq!(request.headers["x-identity-header"], "canary");
        assert_eq!(
            request.url.query(),
            Some("api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net&client_id=app")
        );
    }

    #[test]
    fn what_the_environment_says_and_cannot_be_is_named() {
        let managed = || serde_json::json!({"managed_identity": {}});
        let said = |variables: [(&str, &str); 2]| {
            of(managed(), variables).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(
            said([("IDENTITY_ENDPOINT", "http://127.0.0.1"), ("IDENTITY_HEADER", "a\nb")]).contains("HEADER")
        );
        assert!(said([("IDENTITY_ENDPOINT", "nowhere"), ("IDENTITY_HEADER", "a")]).contains("ENDPOINT"));
        let workload = serde_json::json!({"workload_identity": {"client_id": "app"}});
        let Err(error) = of(workload, []) else { panic!("a source without a token") };
        assert!(error.to_string().contains("AZURE_FEDERATED_TOKEN_FILE"), "{error}");
    }

    #[test]
    fn a_token_lasts_as_long_as_either_form_says() {
        let now = DateTime::from_timestamp(1_000, 0).unwrap();
        for body in [
            r#"{"access_token":"t","expires_in":500}"#,
            r#"{"access_token":"t","expires_in":"500"}"#,
            r#"{"access_token":"t","expires_on":"1500"}"#,
        ] {
            let (_, end) = given(&Answer::of(200, HeaderMap::new(), body), now).unwrap();
            assert_eq!(end.timestamp(), 1500);
        }
    }
}
