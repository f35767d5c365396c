//! Credentials of a profile of AWS's shared files: its own keys, or a role that it may take. Knows nothing of how the files
//! are written. Programs that would give credentials (`credential_process`) and IAM Identity Center (`sso_…`) are not
//! asked.

use std::{fmt, future::Future, path::PathBuf, pin::Pin};

use async_trait::async_trait;

use super::{
    AwsCredentials, CredentialProvider, Surroundings, WebIdentity,
    container::Container,
    environment::FromEnvironment,
    instance::Instance,
    none,
    profile_file::{Settings, profile},
    sts::{FromWebIdentity, Role, assume},
};
use crate::types::SecretsError;

/// So many roles are taken one with another's credentials at most.
const LONGEST: usize = 5;
/// Settings that ask for what is not done here.
const NOT_ASKED: [&str; 5] =
    ["credential_process", "sso_session", "sso_start_url", "sso_account_id", "login_session"];

type Resolving<'a> = Pin<Box<dyn Future<Output = Result<Option<AwsCredentials>, SecretsError>> + Send + 'a>>;

/// A profile of `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE`, or of the files under `~/.aws`.
pub(super) struct Profile {
    name: String,
    /// Whether somebody wants this very profile, so that it has to be there.
    is_wanted: bool,
    around: Surroundings,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Profile").field(&self.name).finish()
    }
}

impl Profile {
    pub(super) fn named(name: &str, around: &Surroundings) -> Self {
        Self { name: name.to_owned(), is_wanted: true, around: around.clone() }
    }

    /// The one that `AWS_PROFILE` names, or `default` if there is one.
    pub(super) fn of_environment(around: &Surroundings) -> Self {
        match around.environment.get("AWS_PROFILE") {
            Some(name) => Self::named(&name, around),
            None => Self { is_wanted: false, ..Self::named("default", around) },
        }
    }

    fn file(&self, variable: &str, name: &str) -> PathBuf {
        match self.around.environment.get(variable) {
            Some(path) => path.into(),
            None => {
                let home = self.around.environment.get("HOME").or(self.around.environment.get("USERPROFILE"));
                PathBuf::from(home.unwrap_or_default()).join(".aws").join(name)
            }
        }
    }

    async fn settings(&self, name: &str) -> Result<Option<Settings>, SecretsError> {
        let credentials = self.file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        profile(name, &credentials, &self.file("AWS_CONFIG_FILE", "config")).await
    }

    /// The credentials of a profile; none if there is no such profile, or nothing in it. It may take its role with
    /// those of another, `left` times one after another.
    fn resolve<'a>(&'a self, name: &'a str, left: usize) -> Resolving<'a> {
        Box::pin(async move {
            let Some(settings) = self.settings(name).await? else { return Ok(None) };
            let is_source = left < LONGEST;
            let Some(arn) = settings.get("role_arn") else { return own(name, &settings) };
            if is_source && settings.get("aws_access_key_id").is_some() {
                return own(name, &settings);
            }
            let session_name = settings.get("role_session_name").map(str::to_owned);
            if let Some(file) = settings.get("web_identity_token_file") {
                let identity =
                    WebIdentity { role_arn: arn.to_owned(), token_file: file.into(), session_name };
                return FromWebIdentity::new(identity, &self.around).credentials().await;
            }
            let role = Role {
                arn: arn.to_owned(),
                session_name,
                external_id: settings.get("external_id").map(str::to_owned),
                duration_seconds: settings.get("duration_seconds").map(str::to_owned),
            };
            let as_whom = self.who_takes(name, &settings, left).await?;
            assume(&role, &as_whom, &self.around).await.map(Some)
        })
    }

    /// Who takes the role of a profile.
    async fn who_takes(
        &self,
        name: &str,
        settings: &Settings,
        left: usize,
    ) -> Result<AwsCredentials, SecretsError> {
        let wrong = |what: &str| none(format!("profile {name:?} {what}"));
        if settings.get("mfa_serial").is_some() {
            return Err(wrong("wants the code of a device, which nobody can be asked for"));
        }
        let found = match (settings.get("source_profile"), settings.get("credential_source")) {
            (Some(source), None) if source == name => own(name, settings)?,
            (Some(_), None) if left == 0 => return Err(wrong("comes after too many others, or in a circle")),
            (Some(source), None) => self.resolve(source, left - 1).await?,
            (None, Some(source)) => self.source(name, source).await?,
            _ => return Err(wrong("has a role, and not one of source_profile and credential_source")),
        };
        found.ok_or_else(|| wrong("has a role, and who would take it has no credentials"))
    }

    async fn source(&self, name: &str, source: &str) -> Result<Option<AwsCredentials>, SecretsError> {
        match source {
            "Environment" => FromEnvironment(self.around.environment.clone()).credentials().await,
            "EcsContainer" => Container::new(&self.around).credentials().await,
            "Ec2InstanceMetadata" => Instance::new(&self.around).credentials().await,
            _ => Err(none(format!("profile {name:?} has a credential_source that is not known"))),
        }
    }
}

#[async_trait]
impl CredentialProvider for Profile {
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError> {
        match self.resolve(&self.name, LONGEST).await? {
            None if self.is_wanted => Err(none(format!("there are none in profile {:?}", self.name))),
            found => Ok(found),
        }
    }
}

/// The keys of a profile itself.
fn own(name: &str, settings: &Settings) -> Result<Option<AwsCredentials>, SecretsError> {
    match (settings.get("aws_access_key_id"), settings.get("aws_secret_access_key")) {
        (Some(access_key_id), Some(secret)) => Ok(Some(AwsCredentials {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret.into(),
            session_token: settings.get("aws_session_token").map(Into::into),
            expires_at: None,
        })),
        (None, None) => match NOT_ASKED.iter().find(|setting| settings.get(setting).is_some()) {
            Some(setting) => Err(none(format!("profile {name:?} has {setting}, which is not asked here"))),
            None => Ok(None),
        },
        _ => Err(none(format!("profile {name:?} has only one part of a key"))),
    }
}
