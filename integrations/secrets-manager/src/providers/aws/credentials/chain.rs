//! The places where AWS's tools look for credentials, in the order of AWS's SDK for Rust. Knows nothing of what is found
//! there.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    AwsCredentials, CredentialProvider, Surroundings, container::Container, environment::FromEnvironment,
    instance::Instance, profile::Profile, sts::FromWebIdentity,
};
use crate::types::SecretsError;

/// The first of these that has something set up.
#[derive(Debug)]
pub(super) struct Chain(Vec<Arc<dyn CredentialProvider>>);

impl Chain {
    pub(super) fn new(around: &Surroundings) -> Self {
        let mut links: Vec<Arc<dyn CredentialProvider>> = vec![
            Arc::new(FromEnvironment(around.environment.clone())),
            Arc::new(Profile::of_environment(around)),
        ];
        if let Some(identity) = FromWebIdentity::of_environment(around) {
            links.push(Arc::new(identity));
        }
        links.push(Arc::new(Container::new(around)));
        links.push(Arc::new(Instance::that_may_be_missing(around)));
        Self(links)
    }
}

#[async_trait]
impl CredentialProvider for Chain {
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError> {
        for link in &self.0 {
            if let Some(credentials) = link.credentials().await? {
                return Ok(Some(credentials));
            }
        }
        Ok(None)
    }
}
