//! The simulation as a provider: what it answers in each mode, what it keeps and what it forgets.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::*;
use crate::{
    SecretProvider,
    types::{GetSecretOptions, ListOptions, ProviderType, RotationStatus, SecretsError, WallClock},
};

fn current() -> GetSecretOptions {
    GetSecretOptions::default()
}

fn clock() -> WallClock {
    WallClock::new(|| DateTime::UNIX_EPOCH)
}

async fn text(
    provider: &SimulationProvider,
    path: &str,
    options: GetSecretOptions,
) -> Result<String, SecretsError> {
    Ok(provider.get_secret(path, options).await?.value.expose_secret().to_owned())
}

fn stage(stage: &str) -> GetSecretOptions {
    GetSecretOptions { stage: Some(stage.into()), ..current() }
}

#[tokio::test]
async fn mock_secrets_have_versions_that_move_along() {
    let simulation = SimulationProvider::default();
    simulation.set_mock_secret("a", "one");
    simulation.set_mock_secret("a", "two");
    simulation.set_pending_secret("a", "three");
    assert_eq!(text(&simulation, "a", current()).await.unwrap(), "two");
    assert_eq!(text(&simulation, "a", stage("AWSPREVIOUS")).await.unwrap(), "one");
    assert_eq!(text(&simulation, "a", stage("AWSPENDING")).await.unwrap(), "three");
    let rotated = simulation.rotate_secret("a").await.unwrap();
    assert_eq!((rotated.version_id.as_deref(), rotated.status), (Some("mock-v3"), RotationStatus::Completed));
    assert_eq!(text(&simulation, "a", current()).await.unwrap(), "three");
    let first = GetSecretOptions { version: Some("mock-v1".into()), ..current() };
    assert_eq!(text(&simulation, "a", first).await.unwrap(), "one");

    let error = async |options| text(&simulation, "a", options).await.unwrap_err().error_type();
    assert_eq!(
        error(GetSecretOptions { version: Some("mock-v9".into()), ..current() }).await,
        "not_found_version"
    );
    assert_eq!(error(stage("AWSPENDING")).await, "not_found_stage");
    assert_eq!(simulation.rotate_secret("a").await.unwrap_err().error_type(), "rotation_not_configured");
    simulation.remove_mock_secret("a");
    assert_eq!(error(current()).await, "not_found_secret");
}

#[tokio::test]
async fn mock_secrets_are_listed_page_by_page() {
    let simulation = SimulationProvider::default();
    for n in 0..250 {
        simulation.set_mock_secret(format!("app/{n:03}"), "v");
    }
    simulation.set_mock_secret("other", "v");
    assert_eq!(simulation.list_secrets("app/", ListOptions::default()).await.unwrap().len(), 250);
    let page = simulation.list_page("app/", ListOptions::default()).await.unwrap();
    assert_eq!((page.secrets.len(), page.next_token.as_deref()), (100, Some("app/099")));
    let tags = HashMap::from([("team".to_owned(), "a".to_owned())]);
    let tagged = ListOptions { tags: Some(tags), ..ListOptions::default() };
    assert_eq!(simulation.list_secrets("", tagged).await.unwrap(), []);
}

#[tokio::test]
async fn a_recording_has_the_answers_and_no_value() {
    let (recorder, file) = recorded(SimulationConfig::default()).await;
    assert_eq!(recorder.recording().len(), 6);
    let content = std::fs::read_to_string(&file).unwrap();
    for value in ["hunter2", "hunter3", "4711"] {
        assert!(!content.contains(value) && !format!("{recorder:?}").contains(value), "{content}");
    }
    let config = SimulationConfig {
        mode: SimulationMode::Replay,
        recording: Some(file.to_path_buf()),
        ..Default::default()
    };
    let replay = SimulationProvider::new(config, clock()).unwrap();
    let first = r#"{"password":"recorded-1","port":2}"#;
    assert_eq!(text(&replay, "a", current()).await.unwrap(), first);
    assert_eq!(text(&replay, "a", current()).await.unwrap(), r#"{"password":"recorded-3","port":2}"#);
    let failed = text(&replay, "a", current()).await.unwrap_err();
    assert_eq!(
        (failed.error_type(), failed.retry_after()),
        ("provider_rate_limited", Some(Duration::from_secs(2)))
    );
    assert_eq!(text(&replay, "a", current()).await.unwrap_err(), failed, "the last answer is given for ever");
    assert_eq!(replay.describe_secret("a").await.unwrap().current_version, "mock-v2");
    assert_eq!(replay.list_secrets("", ListOptions::default()).await.unwrap().len(), 1);
    assert_eq!(replay.rotate_secret("a").await.unwrap_err().error_type(), "rotation_not_configured");
    assert_eq!(text(&replay, "never asked", current()).await.unwrap_err().error_type(), "not_found_secret");
}

#[tokio::test]
async fn a_recording_keeps_values_only_if_it_is_told_to() {
    let (_, file) = recorded(SimulationConfig { keep_values: true, ..Default::default() }).await;
    let replay =
        SimulationProvider::replay(Recording::load(&file).unwrap(), SimulationConfig::default(), clock());
    assert_eq!(
        text(&replay.unwrap(), "a", current()).await.unwrap(),
        r#"{"password":"hunter2","port":4711}"#
    );
}

/// A recording, and its file, of a secret that changes and then cannot be read.
async fn recorded(config: SimulationConfig) -> (SimulationProvider, tempfile::TempPath) {
    let store = Arc::new(SimulationProvider::default());
    let recorder = SimulationProvider::record(store.clone(), config, clock()).unwrap();
    store.set_mock_secret("a", r#"{"password":"hunter2","port":4711}"#);
    recorder.get_secret("a", current()).await.unwrap();
    store.set_mock_secret("a", r#"{"password":"hunter3","port":4711}"#);
    recorder.get_secret("a", GetSecretOptions { skip_cache: true, ..current() }).await.unwrap();
    let throttled = Fault::Throttled { retry_after: Some(Duration::from_secs(2)) };
    store.set_faults(vec![ScheduledFault::first(1, throttled)]).unwrap();
    recorder.get_secret("a", current()).await.unwrap_err();
    recorder.describe_secret("a").await.unwrap();
    recorder.list_page("", ListOptions::default()).await.unwrap();
    recorder.rotate_secret("a").await.unwrap_err();
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    recorder.recording().save(&file).unwrap();
    (recorder, file)
}

#[test]
fn a_file_that_is_no_recording_is_refused_without_a_word_of_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in [
        "",
        "hunter2",
        r#"{"format":1,"keeps_values":"hunter2"}"#,
        r#"{"format":2,"keeps_values":true,"exchanges":[]}"#,
    ] {
        std::fs::write(file.path(), content).unwrap();
        let error = Recording::load(file.path()).unwrap_err().to_string();
        assert!(error.contains("recording") && !error.contains("hunter2"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(Recording::load(folder.path()).is_err());
}

#[tokio::test]
async fn a_dry_run_asks_nobody_and_writes_down_what_would_be_asked() {
    let config = SimulationConfig { mode: SimulationMode::DryRun, ..Default::default() };
    let simulation = SimulationProvider::new(config, clock()).unwrap();
    simulation.set_mock_secret("json", "{}");
    assert_eq!(text(&simulation, "a", current()).await.unwrap(), "dry-run");
    assert_eq!(text(&simulation, "json", current()).await.unwrap(), "{}");
    assert!(!simulation.rotate_secret("a").await.unwrap().triggered);
    let asked: Vec<_> = simulation.get_access_log().into_iter().map(|record| record.question).collect();
    let get = |path: &str| Question::Get { path: path.into(), options: current() };
    assert_eq!(asked, [get("a"), get("json"), Question::Rotate { path: "a".into() }]);
}

#[tokio::test(start_paused = true)]
async fn faults_come_as_scheduled_and_are_logged() {
    let config: SimulationConfig = serde_json::from_value(serde_json::json!({
        "secrets": {"a": "v"},
        "faults": [
            {"fault": {"throttled": {"retry_after": "2s"}}, "to": 1},
            {"fault": {"slow": {"by": "3s"}}, "from": 2, "to": 2},
            {"fault": "denied", "path": "b"},
        ],
    }))
    .unwrap();
    let simulation = SimulationProvider::new(config, clock()).unwrap();
    assert_eq!(text(&simulation, "a", current()).await.unwrap_err().error_type(), "provider_rate_limited");
    let began = Instant::now();
    assert_eq!(text(&simulation, "a", current()).await.unwrap(), "v");
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(text(&simulation, "b", current()).await.unwrap_err().error_type(), "access_denied");
    assert_eq!(simulation.health_check().await, Ok(()));
    let errors: Vec<_> = simulation.get_access_log().into_iter().map(|record| record.error).collect();
    assert_eq!(errors, [Some("provider_rate_limited"), None, Some("access_denied"), None]);
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    let refused = |config| SimulationProvider::new(config, clock()).unwrap_err().to_string();
    assert!(
        refused(SimulationConfig { mode: SimulationMode::Record, ..Default::default() })
            .contains("no provider")
    );
    assert!(
        refused(SimulationConfig { mode: SimulationMode::Replay, ..Default::default() })
            .contains("no recording")
    );
    let chance = ScheduledFault { chance: f64::NAN, ..ScheduledFault::always(Fault::Internal) };
    assert!(refused(SimulationConfig { faults: vec![chance], ..Default::default() }).contains("NaN"));
    let secrets = [("a".to_owned(), "hunter2".into())].into();
    assert!(!format!("{:?}", SimulationConfig { secrets, ..Default::default() }).contains("hunter2"));
}

#[tokio::test]
async fn a_mock_secret_can_be_had_as_it_was() {
    let times = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let now = times.clone();
    let clock = WallClock::new(move || {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(now.load(std::sync::atomic::Ordering::Relaxed))
    });
    let simulation = SimulationProvider::new(SimulationConfig::default(), clock).unwrap();
    for value in ["one", "two"] {
        times.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
        simulation.set_mock_secret("a", value);
    }
    let at = |seconds| GetSecretOptions {
        at: Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)),
        ..current()
    };
    assert_eq!(text(&simulation, "a", at(15)).await.unwrap(), "one");
    assert_eq!(text(&simulation, "a", at(20)).await.unwrap(), "two");
    assert_eq!(text(&simulation, "a", at(5)).await.unwrap_err().error_type(), "not_found_version");
}

#[test]
fn every_store_with_http_has_an_answer_for_what_is_an_answer() {
    for provider in [
        ProviderType::Aws,
        ProviderType::Vault,
        ProviderType::Azure,
        ProviderType::Gcp,
        ProviderType::Covault,
    ] {
        for fault in Fault::ALL {
            let Some(answer) = fault.wire_answer(provider) else { continue };
            let well_formed = serde_json::from_str::<serde_json::Value>(&answer.body).is_ok();
            assert_eq!(well_formed, fault != Fault::Malformed, "{provider}: {fault:?}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_mock_secrets_versions_are_listed_newest_first_and_a_recording_gives_them_again() {
    let mocks = Arc::new(SimulationProvider::default());
    mocks.set_mock_secret("a", "1");
    mocks.set_mock_secret("a", "2");
    mocks.set_pending_secret("a", "3");
    let recorder = SimulationProvider::record(mocks, SimulationConfig::default(), clock()).unwrap();
    let listed = recorder.list_versions("a").await.unwrap();
    let told: Vec<_> = listed.iter().map(|one| (&*one.version, &*one.stages[0])).collect();
    assert_eq!(told, [("mock-v2", "AWSCURRENT"), ("mock-v1", "AWSPREVIOUS")]);
    let recording = recorder.recording();
    let replay =
        SimulationProvider::replay(recording, SimulationConfig::default(), WallClock::default()).unwrap();
    assert_eq!(replay.list_versions("a").await.unwrap(), listed);
    assert!(replay.list_versions("b").await.unwrap_err().is_not_found());
}
