//! Where events can go: the log, a file, a channel.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{AuditError, AuditSink, SecretAccessEvent};

/// The target of events in the log.
const TARGET: &str = "secrets_manager::audit";

/// Writes events to the log, at `INFO` and under the target `secrets_manager::audit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingSink;

impl AuditSink for TracingSink {
    fn record(&self, event: &SecretAccessEvent) -> Result<(), AuditError> {
        tracing::info!(
            target: TARGET,
            timestamp = %event.timestamp,
            provider = event.provider.map(|provider| provider.name()),
            secret_path = event.secret_path,
            version = event.version,
            operation = event.operation.name(),
            caller_identity = event.caller_identity,
            source_ip = event.source_ip,
            success = event.success,
            cached = event.cached,
            error_type = event.error_type,
            "secret access"
        );
        Ok(())
    }

    fn name(&self) -> &'static str {
        "tracing"
    }

    fn is_enabled(&self) -> bool {
        tracing::enabled!(target: TARGET, tracing::Level::INFO)
    }
}

/// Appends events to a file, a JSON object a line. The event is with the operating system before the value is given out;
/// it is not waited for until it is on disk.
#[derive(Debug)]
pub struct FileSink(Mutex<File>);

impl FileSink {
    /// Opens the file, or makes it so that its owner alone may read and write it (mode 0600).
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map(|file| Self(Mutex::new(file)))
    }
}

impl AuditSink for FileSink {
    fn record(&self, event: &SecretAccessEvent) -> Result<(), AuditError> {
        let mut line = serde_json::to_vec(event).map_err(|error| AuditError(error.to_string()))?;
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line).map_err(|error| AuditError(error.to_string()))
    }

    fn name(&self) -> &'static str {
        "file"
    }
}

/// Sends events to a channel. Those that do not find room there are not kept, and counted as such.
#[derive(Debug, Clone)]
pub struct ChannelSink(Sender<SecretAccessEvent>);

impl ChannelSink {
    /// A channel with room for `room` events, at least one.
    pub fn new(room: usize) -> (Self, Receiver<SecretAccessEvent>) {
        let (sender, receiver) = mpsc::channel(room.max(1));
        (Self(sender), receiver)
    }
}

impl AuditSink for ChannelSink {
    fn record(&self, event: &SecretAccessEvent) -> Result<(), AuditError> {
        self.0.try_send(event.clone()).map_err(|error| AuditError(error.to_string()))
    }

    fn name(&self) -> &'static str {
        "channel"
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{observe::SecretOperation, types::ProviderType};

    fn event(path: &str) -> SecretAccessEvent {
        SecretAccessEvent {
            timestamp: DateTime::UNIX_EPOCH,
            provider: Some(ProviderType::Vault),
            secret_path: path.into(),
            version: Some("3".into()),
            operation: SecretOperation::Get,
            caller_identity: "billing".into(),
            source_ip: None,
            success: true,
            cached: false,
            error_type: None,
        }
    }

    #[test]
    fn a_file_has_an_event_a_line_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        FileSink::open(&path).unwrap().record(&event("a")).unwrap();
        FileSink::open(&path).unwrap().record(&event("b\n\"c\"")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["secret_path"], "a");
        assert_eq!(lines[0]["operation"], "get");
        assert_eq!(lines[0]["provider"], "vault");
        assert_eq!(lines[1]["secret_path"], "b\n\"c\"");
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        FileSink::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_cannot_be_written_says_so() {
        assert!(FileSink::open("/dev/full").unwrap().record(&event("a")).is_err());
    }

    #[test]
    fn a_channel_that_is_full_or_closed_says_so() {
        let (sink, receiver) = ChannelSink::new(1);
        sink.record(&event("a")).unwrap();
        assert!(sink.record(&event("b")).is_err());
        drop(receiver);
        assert!(sink.record(&event("c")).is_err());
    }
}
