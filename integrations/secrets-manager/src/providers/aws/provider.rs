//! AWS Secrets Manager as a store of secrets: what each question is in its words. Knows nothing of signatures and
//! connections.

use std::{cmp::Reverse, collections::HashSet};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use url::Url;

use super::{
    api::Api,
    config::AwsSecretsManagerConfig,
    credentials::Surroundings,
    endpoint::{self, Kind},
    fault::{Asked, ROTATE},
    regions::{Region, Regions, is_away},
    rotations::Rotations,
    wire::{CURRENT, Described, Listed, Listing, Rotated, Value, Versions},
};
use crate::{
    SecretProvider,
    providers::{environment::Environment, onward, too_many},
    types::{
        AccessError, ConfigurationError, GetSecretOptions, ListOptions, ParseError, ProviderType,
        RotationResult, RotationStatus, SecretMetadata, SecretNotFoundError, SecretPage, SecretValue,
        SecretVersion, SecretsError, WallClock,
    },
};

/// As many entries a page of a list has at most.
const PAGE: u32 = 100;
/// The most versions of a secret that are read; AWS keeps some hundred.
const MOST_VERSIONS: usize = 10_000;
/// The longest identifier of a secret, in bytes.
const LONGEST_ID: usize = 2048;

/// AWS Secrets Manager. A value comes with its version's stages; tags, description and rotation are in the secret's
/// description.
#[derive(Debug)]
pub struct AwsSecretsManagerProvider {
    api: Api,
    regions: Regions,
    rotations: Rotations,
}

impl AwsSecretsManagerProvider {
    /// The secrets of the regions that `config` names. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ConfigurationError::MissingEndpoint`] if no region is named or one cannot be,
    /// [`ConfigurationError::InvalidProvider`] if there are no connections to be had as it says.
    pub fn new(config: AwsSecretsManagerConfig, clock: WallClock) -> Result<Self, ConfigurationError> {
        Self::with(config, clock, Environment::of_this_process())
    }

    pub(super) fn with(
        config: AwsSecretsManagerConfig,
        clock: WallClock,
        environment: Environment,
    ) -> Result<Self, ConfigurationError> {
        let region = Some(config.region).filter(|region| !region.is_empty());
        let region = region.or_else(|| environment.get("AWS_REGION"));
        let name = region.or_else(|| environment.get("AWS_DEFAULT_REGION")).ok_or_else(|| {
            ConfigurationError::MissingEndpoint { detail: "no region of AWS, and none in AWS_REGION".into() }
        })?;
        let kind = Kind { fips: config.fips, dual_stack: config.dual_stack };
        let place = |name: String, url: Option<Url>| -> Result<Region, ConfigurationError> {
            let own = endpoint::of("secretsmanager", &name, kind)?;
            Ok(Region { name, url: url.unwrap_or(own) })
        };
        let others = config.failover.into_iter().map(|other| place(other.region, other.endpoint));
        let regions = Regions::new(place(name, config.endpoint)?, others.collect::<Result<_, _>>()?);
        let around = Surroundings::new(environment, &config.transport, clock, regions.names())?;
        Ok(Self { api: Api::new(around, &config.credentials), regions, rotations: Rotations::default() })
    }

    /// What a region answers: the one that an ARN is of, or the one that answers, and others while one is away.
    async fn ask<T: DeserializeOwned>(
        &self,
        asked: Asked<'_>,
        body: &Json,
    ) -> Result<(T, &Region), SecretsError> {
        let first = self.regions.first();
        let mut failure = None;
        for region in self.order(asked.path) {
            match self.api.call(region, asked, body).await {
                Err(error) if is_away(&error) => failure = failure.or(Some(error)),
                // A replica may lag behind or be missing: whether there is a secret is for the first region to say.
                Err(SecretsError::NotFound(_)) if region != first && failure.is_none() => {
                    return Ok((self.api.call(first, asked, body).await?, first));
                }
                Err(SecretsError::NotFound(_)) if region != first => break,
                answered => {
                    self.regions.remember(region);
                    return Ok((answered?, region));
                }
            }
        }
        Err(failure.unwrap_or_else(|| unsupported("no region was asked")))
    }

    fn order(&self, path: &str) -> Vec<&Region> {
        self.region_of_arn(path).map_or_else(|| self.regions.order(), |region| vec![region])
    }

    /// No other region knows an ARN.
    fn region_of_arn(&self, path: &str) -> Option<&Region> {
        let name = path.strip_prefix("arn:")?.split(':').nth(2)?;
        Some(self.regions.named(name).unwrap_or_else(|| self.regions.first()))
    }

    /// A page of the region that `token` is of, or of one that answers.
    async fn page(
        &self,
        prefix: &str,
        body: &Json,
        token: Option<&str>,
    ) -> Result<(Listed, &Region), SecretsError> {
        let asked = Asked::of("ListSecrets", prefix);
        let Some((name, _)) = token.and_then(|token| token.split_once(':')) else {
            return self.ask(asked, body).await;
        };
        let region = self.regions.named(name).ok_or_else(|| unsupported("the page is of another region"))?;
        Ok((self.api.call(region, asked, body).await?, region))
    }
}

#[async_trait]
impl SecretProvider for AwsSecretsManagerProvider {
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        check(path)?;
        if options.at.is_some() {
            return Err(unsupported("AWS does not tell which version was current at a time"));
        }
        let (version, stage) = (options.version.as_deref(), options.stage.as_deref());
        let mut body = json!({ "SecretId": path });
        if let Some(version) = version {
            body["VersionId"] = version.into();
        }
        if let Some(stage) = stage {
            body["VersionStage"] = stage.into();
        }
        let asked = Asked { version, stage, ..Asked::of("GetSecretValue", path) };
        let (value, _) = self.ask::<Value>(asked, &body).await?;
        value.read(path).ok_or_else(|| {
            let detail = "the store's answer has neither text nor binary, or no date".into();
            ParseError::InvalidSecretFormat { path: path.to_owned(), detail }.into()
        })
    }

    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError> {
        let token = options.next_token.as_deref();
        let size = options.max_results.unwrap_or(PAGE).clamp(1, PAGE);
        let mut body = json!({ "MaxResults": size });
        // An exclamation mark at the beginning would turn the filter round; then all names are looked through.
        if !prefix.is_empty() && !prefix.starts_with('!') {
            body["Filters"] = json!([{ "Key": "name", "Values": [prefix] }]);
        }
        if let Some((_, token)) = token.and_then(|token| token.split_once(':')) {
            body["NextToken"] = token.into();
        }
        let (listed, region) = self.page(prefix, &body, token).await?;
        // The store's filter is of words and their beginnings; what is given out begins with the prefix exactly.
        let wanted = listed.secret_list.into_iter().filter(|entry| entry.name.starts_with(prefix));
        let secrets = wanted.filter(|entry| !entry.is_deleted()).map(|entry| {
            let name = entry.name.clone();
            entry.read(&name)
        });
        let tags = options.tags.unwrap_or_default();
        Ok(SecretPage {
            secrets: secrets.filter(|secret| secret.has_tags(&tags)).collect(),
            next_token: listed.next_token.map(|token| format!("{}:{token}", region.name)),
        })
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        check(path)?;
        let asked = Asked::of("DescribeSecret", path);
        let (described, _) = self.ask::<Described>(asked, &json!({ "SecretId": path })).await?;
        if described.is_deleted() {
            return Err(SecretNotFoundError::Deleted { path: path.to_owned() }.into());
        }
        Ok(described.read(path))
    }

    /// Also those without a stage, which AWS keeps for a while. All pages are of the region that gave the first.
    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        check(path)?;
        let asked = Asked::of("ListSecretVersionIds", path);
        let mut body = json!({ "SecretId": path, "IncludeDeprecated": true, "MaxResults": PAGE });
        let (mut page, region) = self.ask::<Versions>(asked, &body).await?;
        let mut versions: Vec<_> = page.versions.into_iter().map(Listing::read).collect();
        let mut seen = HashSet::new();
        while let Some(token) = onward(ProviderType::Aws, &mut seen, page.next_token)? {
            if MOST_VERSIONS <= versions.len() {
                return Err(too_many(ProviderType::Aws, "versions", MOST_VERSIONS));
            }
            body["NextToken"] = token.into();
            page = self.api.call(region, asked, &body).await?;
            versions.extend(page.versions.into_iter().map(Listing::read));
        }
        // Of those that were made in one instant the current one first, and then those that a stage leads to.
        versions.sort_by_key(|version| {
            let is_current = version.stages.iter().any(|stage| stage == CURRENT);
            (Reverse(version.created_at), !is_current, version.stages.is_empty())
        });
        Ok(versions)
    }

    /// Asks the first region only, or an ARN's own: a replica cannot be rotated. Where the answer to such a question was
    /// lost, it is the same rotation that is asked for again.
    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        check(path)?;
        let region = self.region_of_arn(path).unwrap_or_else(|| self.regions.first());
        let token = self.rotations.token(path);
        let body = json!({ "SecretId": path, "ClientRequestToken": token.to_string() });
        let answer = self.api.call(region, Asked::of(ROTATE, path), &body).await;
        if !answer.as_ref().is_err_and(SecretsError::is_retryable) {
            self.rotations.answered(path, token);
        }
        let rotated: Rotated = answer?;
        Ok(RotationResult {
            triggered: true,
            version_id: rotated.version_id,
            status: RotationStatus::InProgress,
        })
    }

    fn provider_type(&self) -> ProviderType {
        ProviderType::Aws
    }

    /// The regions, and what the configuration says of who asks: an account is told by nothing else.
    fn place(&self) -> String {
        format!("{} as {}", self.regions.place(), self.api.looked_in())
    }

    /// Asks for a list of one. That it may not be had is well: the store has accepted who asked.
    async fn health_check(&self) -> Result<(), SecretsError> {
        match self.page("", &json!({ "MaxResults": 1 }), None).await {
            Ok(_) | Err(SecretsError::Access(AccessError::AccessDenied { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn unsupported(why: &str) -> SecretsError {
    ConfigurationError::InvalidRequest { provider: ProviderType::Aws, detail: why.to_owned() }.into()
}

/// A path as AWS has names and ARNs.
fn check(path: &str) -> Result<(), ConfigurationError> {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-!".contains(&byte);
    let colons = path.starts_with("arn:");
    if (1..=LONGEST_ID).contains(&path.len()) && path.bytes().all(|b| may_stand(b) || (colons && b == b':')) {
        return Ok(());
    }
    let detail = format!(
        "{path:?}: AWS has names of 1 to {LONGEST_ID} letters, digits and /_+=.@-!, and ARNs of them"
    );
    Err(ConfigurationError::InvalidPathPattern { detail })
}
