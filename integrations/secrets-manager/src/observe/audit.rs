//! Hands events to whoever is to have them. An event that a sink could not keep is counted and logged; the access that it
//! tells of has happened, so it is not undone.

use std::{fmt, sync::Arc};

use super::{SecretAccessEvent, SecretOperation};
use crate::types::{ProviderType, SecretsError, WallClock};

/// Keeps events. It is called by whoever reads a secret, before the value is given out, so it should be quick.
pub trait AuditSink: Send + Sync {
    /// Keeps one.
    ///
    /// # Errors
    /// [`AuditError`] if it was not kept.
    fn record(&self, event: &SecretAccessEvent) -> Result<(), AuditError>;

    /// What it is called in logs and in the label of `secrets_audit_errors_total`.
    fn name(&self) -> &'static str;

    /// Whether it would keep an event now. One that nobody would is not made.
    fn is_enabled(&self) -> bool {
        true
    }
}

/// An event was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an audit event was not kept: {0}")]
pub struct AuditError(pub String);

/// Makes events and hands them out.
pub(crate) struct Auditor {
    pub sinks: Vec<Arc<dyn AuditSink>>,
    pub caller: String,
    pub source_ip: Option<String>,
    pub wall: WallClock,
}

/// What an event is made of.
pub(crate) struct Seen<'a> {
    pub operation: SecretOperation,
    pub provider: Option<ProviderType>,
    pub path: &'a str,
    pub version: Option<&'a str>,
    pub cached: bool,
    pub error: Option<&'a SecretsError>,
}

impl Auditor {
    /// Hands one out, if anybody wants it.
    pub fn record(&self, seen: Seen<'_>) {
        if self.sinks.iter().any(|sink| sink.is_enabled()) {
            self.hand_out(&seen);
        }
    }

    fn hand_out(&self, seen: &Seen<'_>) {
        let event = SecretAccessEvent {
            timestamp: self.wall.now(),
            provider: seen.provider,
            secret_path: seen.path.to_owned(),
            version: seen.version.map(str::to_owned),
            operation: seen.operation,
            caller_identity: self.caller.clone(),
            source_ip: self.source_ip.clone(),
            success: seen.error.is_none(),
            cached: seen.cached,
            error_type: seen.error.map(SecretsError::error_type),
        };
        for sink in self.sinks.iter().filter(|sink| sink.is_enabled()) {
            if let Err(error) = sink.record(&event) {
                metrics::counter!("secrets_audit_errors_total", "sink" => sink.name()).increment(1);
                tracing::error!(sink = sink.name(), secret_path = seen.path, %error, "an access is not on record");
            }
        }
    }
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sinks: Vec<_> = self.sinks.iter().map(|sink| sink.name()).collect();
        f.debug_struct("Auditor").field("sinks", &sinks).field("caller", &self.caller).finish_non_exhaustive()
    }
}
