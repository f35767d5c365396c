//! The token that a Vault is asked with: had by logging in, renewed before it expires, replaced when it is refused.
//! Whoever needs one while another logs in waits for that one. Knows nothing of secrets.

use std::{
    path::Path,
    slice,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    VaultAuth, aws_iam,
    door::{Door, Request},
    wire::{Envelope, Lease, LoggedIn, TokenState, not_understood, refusal, words},
};
use crate::{
    providers::aws::Caller,
    secret_file,
    transport::{Answer, TransportConfig},
    types::{AuthenticationError, ConfigurationError, ProviderType, SecretString, SecretsError, WallClock},
};

const PROVIDER: ProviderType = ProviderType::Vault;

/// The soonest that a token is looked after again.
const SOONEST: Duration = Duration::from_secs(5);

/// The token in use.
pub(super) struct Session {
    auth: VaultAuth,
    /// Who is shown to Vault for a login by AWS; none for another.
    caller: Option<Caller>,
    held: Mutex<Option<Held>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    token: SecretString,
    renewable: bool,
    /// None for a token that lasts for ever, or does not tell.
    lease: Option<Leased>,
    /// Whether it may not look itself up, as one without the policy `default`: that it may not is then no sign of its end.
    is_mute: bool,
    /// Whether something was read with it.
    has_served: bool,
}

#[derive(Clone, Copy)]
struct Leased {
    lasts: Duration,
    renew_at: Instant,
    ends_at: Instant,
}

impl Held {
    fn new(token: SecretString, renewable: bool, lease: Option<Leased>) -> Self {
        Self { token, renewable, lease, is_mute: false, has_served: false }
    }

    fn is(&self, token: &SecretString) -> bool {
        self.token.expose_secret() == token.expose_secret()
    }
}

impl Leased {
    fn new(seconds: u64) -> Option<Self> {
        let (now, lasts) = (Instant::now(), Duration::from_secs(seconds));
        let ends_at = now.checked_add(lasts).filter(|_| seconds != 0)?;
        Some(Self { lasts, renew_at: now + SOONEST.max(lasts / 3 * 2), ends_at })
    }
}

impl Session {
    pub fn new(
        auth: VaultAuth,
        transport: &TransportConfig,
        clock: WallClock,
    ) -> Result<Self, ConfigurationError> {
        let caller = match &auth {
            VaultAuth::AwsIam { credentials, region, .. } => {
                Some(Caller::new(credentials, region.as_deref(), transport, clock)?)
            }
            _ => None,
        };
        Ok(Self { auth, caller, held: Mutex::new(None), turn: tokio::sync::Mutex::new(()) })
    }

    /// The token to ask with.
    pub async fn token(&self, door: &Door) -> Result<SecretString, SecretsError> {
        let Some(held) = self.held() else { return self.one_that(door, |_| true).await };
        let now = Instant::now();
        match held.lease {
            Some(lease) if lease.ends_at <= now => {
                // Who keeps a token fresh elsewhere may have made it last longer.
                self.one_that(door, |one| {
                    !one.is(&held.token) || one.lease.is_some_and(|lease| now < lease.ends_at)
                })
                .await
            }
            Some(lease) if lease.renew_at <= now => match self.turn.try_lock() {
                Ok(_turn) => Ok(self.refresh(door, held, lease).await),
                Err(_) => Ok(held.token),
            },
            _ => Ok(held.token),
        }
    }

    /// Another token than this one, which was refused.
    pub async fn replace(&self, door: &Door, refused: &SecretString) -> Result<SecretString, SecretsError> {
        self.one_that(door, |one| !one.is(refused)).await
    }

    /// The token that is held by now, or else that of a new login, whichever will do.
    async fn one_that(
        &self,
        door: &Door,
        will_do: impl Fn(&Held) -> bool,
    ) -> Result<SecretString, SecretsError> {
        let _turn = self.turn.lock().await;
        let held = self.held();
        if let Some(held) = held.as_ref().filter(|held| will_do(held)) {
            return Ok(held.token.clone());
        }
        let fresh = self.login(door).await?;
        if !will_do(&fresh) {
            let was_known = held.is_some_and(|held| held.lease.is_some());
            return Err(no_other_token(was_known, fresh.is_mute).into());
        }
        Ok(self.keep(fresh))
    }

    /// Takes note that something was read with this token.
    pub fn has_served(&self, token: &SecretString) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_mut().filter(|held| held.is_mute && held.is(token)) {
            held.has_served = true;
        }
    }

    /// Whether a refusal of this token, which is no longer known as far as it is told, is one of a policy: it may not look
    /// itself up, and other things were read with it.
    pub fn lacks_a_policy(&self, token: &SecretString) -> bool {
        self.held().is_some_and(|held| held.is_mute && held.has_served && held.is(token))
    }

    /// Whether Vault knows this token, which a refusal does not tell.
    pub async fn is_known(&self, door: &Door, token: &SecretString) -> Result<bool, SecretsError> {
        let answer = door.ask(Request::get(vec!["auth", "token", "lookup-self"], token)).await?;
        match answer.status {
            200 => Ok(true),
            403 => Ok(false),
            _ => Err(refusal(&answer)),
        }
    }

    /// A newer token, or this one for as long as it lasts.
    async fn refresh(&self, door: &Door, held: Held, lease: Leased) -> SecretString {
        let renewed = if held.renewable { self.renew(door, &held, lease).await } else { Ok(None) };
        let fresh = match renewed {
            Ok(Some(renewed)) => Ok(renewed),
            Ok(None) => self.login(door).await,
            Err(error) => Err(error),
        };
        self.keep(fresh.unwrap_or_else(|error| {
            tracing::warn!(provider = %PROVIDER, %error, "the token was not renewed and is used while it lasts");
            let later = Leased { renew_at: Instant::now() + SOONEST, ..lease };
            Held { lease: Some(later), ..held }
        }))
    }

    /// The same token for longer; none if Vault refuses to.
    async fn renew(&self, door: &Door, held: &Held, before: Leased) -> Result<Option<Held>, SecretsError> {
        let path = vec!["auth", "token", "renew-self"];
        let answer = door.ask(post(path, json!({}), Some(&held.token))).await?;
        match answer.status {
            200 => {
                let mut renewed = logged_in(&answer)?;
                // Near the end of what it may last at all, each renewal gives less than the one before.
                let lasts = renewed.lease.map_or(before.lasts, |lease| lease.lasts);
                renewed.renewable &= before.lasts / 2 < lasts;
                Ok(Some(renewed))
            }
            400 | 403 => Ok(None),
            _ => Err(refusal(&answer)),
        }
    }

    async fn login(&self, door: &Door) -> Result<Held, SecretsError> {
        match &self.auth {
            VaultAuth::Token(token) => look_up(door, token.clone()).await,
            VaultAuth::TokenFile(file) => {
                let held = look_up(door, token_in(file).await?).await?;
                Ok(Held { renewable: false, ..held })
            }
            VaultAuth::AppRole { role_id, secret_id, mount } => {
                let asked = json!({"role_id": role_id, "secret_id": secret_id.expose_secret()});
                log_in(door, mount, asked, slice::from_ref(secret_id)).await
            }
            VaultAuth::Kubernetes { role, jwt_path, mount } => {
                let jwt = token_in(jwt_path).await?;
                let asked = json!({"role": role, "jwt": jwt.expose_secret()});
                log_in(door, mount, asked, &[jwt]).await
            }
            VaultAuth::AwsIam { role, server_id, mount, .. } => {
                let caller = self.caller.as_ref().expect("it was made for this login");
                let (asked, credentials) = aws_iam::login(caller, role, server_id.as_deref()).await?;
                log_in(door, mount, asked, &credentials).await
            }
        }
    }

    fn held(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, held: Held) -> SecretString {
        let token = held.token.clone();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        token
    }
}

fn no_other_token(was_known: bool, is_mute: bool) -> AuthenticationError {
    if was_known {
        let detail = "the token is over, and there is no other".into();
        return AuthenticationError::ExpiredCredentials { provider: PROVIDER, detail };
    }
    let detail = match is_mute {
        true => "it does not know the token, or lets it neither do this nor look itself up",
        false => "it does not know the token",
    };
    AuthenticationError::InvalidCredentials { provider: PROVIDER, detail: detail.into() }
}

/// What a token that somebody made says of itself. One that may not even say that is used as it is.
async fn look_up(door: &Door, token: SecretString) -> Result<Held, SecretsError> {
    let answer = door.ask(Request::get(vec!["auth", "token", "lookup-self"], &token)).await?;
    match answer.status {
        200 => {
            let found: Envelope<TokenState> = answer.json().ok_or_else(|| not_understood(&answer))?;
            let TokenState { ttl, renewable } = found.data;
            Ok(Held::new(token, renewable, Leased::new(ttl)))
        }
        403 => Ok(Held { is_mute: true, ..Held::new(token, false, None) }),
        _ => Err(refusal(&answer)),
    }
}

/// Logs in with a body that has these credentials in it.
async fn log_in(
    door: &Door,
    mount: &str,
    asked: Value,
    credentials: &[SecretString],
) -> Result<Held, SecretsError> {
    let path = ["auth"].into_iter().chain(mount.trim_matches('/').split('/')).chain(["login"]).collect();
    let answer = door.ask(post(path, asked, None)).await?;
    let answer = answer.after_sending(credentials.iter().map(ExposeSecret::expose_secret));
    let detail = || words(&answer);
    match answer.status {
        200 => logged_in(&answer),
        400 | 401 => {
            Err(AuthenticationError::InvalidCredentials { provider: PROVIDER, detail: detail() }.into())
        }
        403 => {
            Err(AuthenticationError::InsufficientPermissions { provider: PROVIDER, detail: detail() }.into())
        }
        _ => Err(refusal(&answer)),
    }
}

fn logged_in(answer: &Answer) -> Result<Held, SecretsError> {
    let LoggedIn { auth } = answer.json().ok_or_else(|| not_understood(answer))?;
    let Lease { client_token, lease_duration, renewable } = auth;
    if client_token.is_empty() {
        let detail = "the login wants more than was given, a second factor perhaps".into();
        return Err(AuthenticationError::TokenRefreshFailed { provider: PROVIDER, detail }.into());
    }
    Ok(Held::new(client_token, renewable, Leased::new(lease_duration)))
}

fn post<'a>(path: Vec<&'a str>, body: Value, token: Option<&'a SecretString>) -> Request<'a> {
    Request { method: Method::POST, path, query: None, token, body: Some(body) }
}

/// The token that is in a file now.
async fn token_in(file: &Path) -> Result<SecretString, AuthenticationError> {
    let token = secret_file::token_aside(file).await;
    token.map_err(|detail| AuthenticationError::NoCredentials { provider: PROVIDER, detail })
}
