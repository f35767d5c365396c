//! The client with references, simulations and the disk cache: what they promise together.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use secrecy::ExposeSecret;
use secrets_manager::{
    Client, GetSecretOptions, ParseError, SecretsClient, SecretsConfig, SecretsError, WallClock,
    cache::disk::{DiskCache, DiskCacheConfig},
    simulation::{Fault, ScheduledFault, SimulationProvider},
};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn store() -> Arc<SimulationProvider> {
    let store = Arc::new(SimulationProvider::default());
    store.set_mock_secret("app/db", r#"{"user":"ada","password":"s3cret"}"#);
    store
}

fn current() -> GetSecretOptions {
    GetSecretOptions::default()
}

#[tokio::test]
async fn references_are_read_through_the_cache_and_within_the_scope() {
    let store = store();
    let config = SecretsConfig::from_toml("scope = { prefixes = [\"app/*\"] }").unwrap();
    let client = Client::builder().config(config).provider(store.clone()).build().unwrap();
    let text = "{{secret:app/db#user}}:{{secret:simulation:app/db#password}}";
    for _ in 0..2 {
        let resolved = client.resolve_references(text).await.unwrap();
        assert_eq!(resolved.expose_secret(), "ada:s3cret");
    }
    assert_eq!(store.get_access_log().len(), 1, "the cache answered the others");
    let error = client.resolve_references("{{secret:other}}").await.unwrap_err();
    let SecretsError::Parse(ParseError::InvalidReference { cause, .. }) = &error else { panic!("{error}") };
    assert_eq!(cause.as_ref().unwrap().error_type(), "access_out_of_scope");
    let error = client.resolve_references("{{secret:aws:app/db}}").await.unwrap_err();
    assert!(error.to_string().contains("aws"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_value_on_the_disk_bridges_a_restart_while_the_store_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let config = DiskCacheConfig {
        key: Some(KEY.into()),
        key_file: None,
        ..DiskCacheConfig::new(folder.path().join("cache"), "")
    };
    let store = store();
    let started = || {
        let disk = DiskCache::open(&config, WallClock::default()).unwrap();
        Client::builder().provider(store.clone()).cache_behind(Arc::new(disk)).build().unwrap()
    };
    let first = started().get_secret("app/db", current()).await.unwrap();
    store.set_faults(vec![ScheduledFault::always(Fault::Unavailable { retry_after: None })]).unwrap();
    let again = started().get_secret("app/db", current()).await.unwrap();
    assert_eq!(again.value.expose_secret(), first.value.expose_secret());

    started().invalidate_cache("app/db");
    let error = started().get_secret("app/db", current()).await.unwrap_err();
    assert_eq!(error.error_type(), "provider_unavailable");
}

#[tokio::test(start_paused = true)]
async fn what_a_store_denies_is_gone_from_the_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = DiskCacheConfig {
        key: Some(KEY.into()),
        key_file: None,
        ..DiskCacheConfig::new(folder.path().join("cache"), "")
    };
    let disk = Arc::new(DiskCache::open(&config, WallClock::default()).unwrap());
    let store = store();
    let client = Client::builder().provider(store.clone()).cache_behind(disk.clone()).build().unwrap();
    client.get_secret("app/db", current()).await.unwrap();
    store.set_faults(vec![ScheduledFault::always(Fault::Denied)]).unwrap();
    let past_the_cache = GetSecretOptions { skip_cache: true, ..current() };
    client.get_secret("app/db", past_the_cache).await.unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path().join("cache")).unwrap().count(), 0);
}

#[test]
fn every_kind_of_store_can_be_written_down_in_one_configuration() {
    let config = SecretsConfig::from_toml(
        r#"
        default_provider = "simulation"

        [[providers]]
        type = "aws"
        region = "eu-central-1"

        [[providers]]
        type = "vault"
        address = "https://vault.example:8200"
        auth = { token = "token" }

        [[providers]]
        type = "azure"
        vault_url = "https://myvault.vault.azure.net"
        credentials = { managed_identity = {} }

        [[providers]]
        type = "gcp"
        project = "p"
        credentials = "metadata"

        [[providers]]
        type = "covault"
        addresses = ["https://vault-1.example:8400"]
        token = "token"
        consistency = "quorum"
        transport = { timeout = "5s" }

        [[providers]]
        type = "simulation"
        mode = "dry_run"
        faults = [{ fault = { throttled = { retry_after = "2s" } }, chance = 0.1 }]
        "#,
    )
    .unwrap();
    Client::builder().config(config).build().unwrap();
}
