//! One signed exchange with Secrets Manager in one region; once more where credentials could be renewed or a clock that is
//! off could be allowed for. Knows nothing of what the operations mean, and of other regions.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    config::AwsCredentialSource,
    credentials::{self, AwsCredentials, CredentialProvider, Surroundings},
    fault::{Asked, Fault},
    regions::Region,
    sign::{self, Scope},
};
use crate::{
    providers::lease::Lease,
    transport::{Answer, Http},
    types::{AuthenticationError, ProviderError, ProviderType, SecretsError, WallClock},
};

/// Signatures are good for five minutes around the store's time; clocks that are closer are not to blame.
const CLOSE: TimeDelta = TimeDelta::minutes(4);

/// Asks, as one caller.
#[derive(Debug)]
pub(super) struct Api {
    http: Http,
    source: Arc<dyn CredentialProvider>,
    /// What the source is called.
    looked_in: String,
    lease: Lease<AwsCredentials>,
    clock: WallClock,
    /// What the store's clock is ahead of this machine's, in seconds, since it refused a request over it.
    ahead: AtomicI64,
}

/// What came of one exchange.
enum Outcome {
    Done(Answer),
    Refused { fault: Fault, answer: Answer, signed_as: AwsCredentials },
}

impl Api {
    pub(super) fn new(around: Surroundings, source: &AwsCredentialSource) -> Self {
        Self {
            source: credentials::provider(source, &around),
            looked_in: format!("{source:?}"),
            lease: Lease::new(around.clock.clone()),
            ahead: AtomicI64::new(0),
            http: around.http,
            clock: around.clock,
        }
    }

    /// Where credentials are looked for; it names none.
    pub(super) fn looked_in(&self) -> &str {
        &self.looked_in
    }

    /// What the store answers to an operation.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        region: &Region,
        asked: Asked<'_>,
        body: &Value,
    ) -> Result<T, SecretsError> {
        let body = body.to_string().into_bytes();
        let answer = match self.exchange(region, asked.operation, &body).await? {
            Outcome::Done(answer) => answer,
            Outcome::Refused { fault, answer, signed_as } => {
                if !self.is_mended(&fault, &answer, &signed_as).await? {
                    return Err(fault.error(asked));
                }
                match self.exchange(region, asked.operation, &body).await? {
                    Outcome::Done(answer) => answer,
                    Outcome::Refused { fault, .. } => return Err(fault.error(asked)),
                }
            }
        };
        answer.json().ok_or_else(|| misunderstood(asked.operation))
    }

    async fn exchange(&self, region: &Region, operation: &str, body: &[u8]) -> Result<Outcome, SecretsError> {
        let credentials = self.credentials().await?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        let target = HeaderValue::from_str(&format!("secretsmanager.{operation}"));
        headers.insert("x-amz-target", target.map_err(|_| misunderstood(operation))?);
        let scope = Scope { region: &region.name, service: "secretsmanager", at: self.now() };
        sign::add_signature(&mut headers, &Method::POST, &region.url, body, &credentials, scope)?;
        let answer = self.http.send(Method::POST, region.url.clone(), headers, Some(body.to_vec())).await?;
        if answer.status == 200 {
            return Ok(Outcome::Done(answer));
        }
        Ok(Outcome::Refused { fault: Fault::of(&answer), answer, signed_as: credentials })
    }

    async fn credentials(&self) -> Result<AwsCredentials, SecretsError> {
        let login = async {
            let found = self.source.credentials().await?.ok_or_else(|| {
                let detail = format!("nothing is set up in {}", self.looked_in);
                AuthenticationError::NoCredentials { provider: ProviderType::Aws, detail }
            })?;
            let expires_at = found.expires_at;
            Ok((found, expires_at))
        };
        self.lease.get(login).await
    }

    /// Whether the same request may be accepted now.
    async fn is_mended(
        &self,
        fault: &Fault,
        answer: &Answer,
        signed_as: &AwsCredentials,
    ) -> Result<bool, SecretsError> {
        if fault.may_be_the_clock() && self.allows_for(answer) {
            return Ok(true);
        }
        if !fault.is_about_credentials() {
            return Ok(false);
        }
        self.lease.refuse(|held| held.are(signed_as)).await;
        Ok(!self.credentials().await?.are(signed_as))
    }

    /// Goes by the store's clock from now on, if it is far from ours.
    fn allows_for(&self, answer: &Answer) -> bool {
        let theirs = answer.header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let Some(theirs) = theirs.map(|date| date.with_timezone(&Utc)) else { return false };
        if (theirs - self.now()).abs() <= CLOSE {
            return false;
        }
        let ahead = (theirs - self.clock.now()).num_seconds();
        tracing::warn!(seconds = ahead, "the clock of this machine is not that of AWS, which is gone by");
        self.ahead.store(ahead, Relaxed);
        true
    }

    /// The store's time, as far as it is known.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::seconds(self.ahead.load(Relaxed))
    }
}

fn misunderstood(operation: &str) -> SecretsError {
    let detail = format!("{operation} was answered with what is no answer to it");
    ProviderError::InternalError { provider: ProviderType::Aws, detail }.into()
}
