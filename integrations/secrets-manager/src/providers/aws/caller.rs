//! A request that tells AWS's token service who the caller is, signed and not sent: whoever sends it on learns who signed
//! it. Knows nothing of who that is, nor of secrets.

use std::sync::Arc;

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

use super::{
    config::AwsCredentialSource,
    credentials::{self, CredentialProvider, Surroundings},
    endpoint,
    sign::{self, Scope},
};
use crate::{
    providers::environment::Environment,
    transport::TransportConfig,
    types::{AuthenticationError, ConfigurationError, ProviderType, SecretsError, WallClock},
};

const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
/// The token service of no region in particular, and the region that is signed for there.
const GLOBAL: (&str, &str) = ("https://sts.amazonaws.com/", "us-east-1");

/// Who may be shown to be calling.
pub(crate) struct Caller {
    source: Arc<dyn CredentialProvider>,
    url: Url,
    region: String,
    clock: WallClock,
}

/// The request that shows it.
pub(crate) struct Proof {
    pub(crate) url: Url,
    /// All that are signed, and the signature.
    pub(crate) headers: HeaderMap,
    pub(crate) body: &'static str,
}

impl Caller {
    /// By the token service of a region, or by that of none in particular.
    pub(crate) fn new(
        source: &AwsCredentialSource,
        region: Option<&str>,
        transport: &TransportConfig,
        clock: WallClock,
    ) -> Result<Self, ConfigurationError> {
        let (url, region) = match region {
            Some(region) => (endpoint::of("sts", region, endpoint::Kind::default())?, region),
            None => (Url::parse(GLOBAL.0).expect("it is a URL"), GLOBAL.1),
        };
        let environment = Environment::of_this_process();
        let around = Surroundings::new(environment, transport, clock.clone(), vec![region.to_owned()])?;
        Ok(Self { source: credentials::provider(source, &around), url, region: region.to_owned(), clock })
    }

    /// A proof, good for minutes; with a header more among those that are signed, if one is wanted.
    pub(crate) async fn proof(&self, more: Option<(HeaderName, HeaderValue)>) -> Result<Proof, SecretsError> {
        let found = self.source.credentials().await?;
        let credentials = found.ok_or_else(|| AuthenticationError::NoCredentials {
            provider: ProviderType::Aws,
            detail: "there are none where the configuration says".into(),
        })?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, form)]);
        if let Some(host) = self.url.host_str().and_then(|host| HeaderValue::from_str(host).ok()) {
            headers.insert(HOST, host);
        }
        headers.extend(more);
        let scope = Scope { region: &self.region, service: "sts", at: self.clock.now() };
        let body = BODY.as_bytes();
        sign::add_signature(&mut headers, &Method::POST, &self.url, body, &credentials, scope)?;
        Ok(Proof { url: self.url.clone(), headers, body: BODY })
    }
}
