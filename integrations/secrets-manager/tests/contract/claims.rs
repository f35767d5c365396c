//! The claims. Each takes a store's holdings and fails with what the store has and should not, or the other way round.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use secrecy::ExposeSecret;
use secrets_manager::{
    GetSecretOptions, ListOptions, ProviderType, SecretMetadata, SecretValue, VersionStatus,
};
use serde_json::Value;

use crate::holdings::{Held, Holdings, Lack};

/// A module with a test for each claim, for one store.
macro_rules! contract {
    ($store:ident $(, $(#[$attribute:meta])+)?) => {
        mod $store {
            contract!(@ $store, [$($(#[$attribute])+)?],
                a_current_value_is_what_the_vendors_client_reads,
                each_version_is_what_the_vendors_client_reads,
                a_binary_value_is_its_bytes,
                what_is_not_given_out_says_why,
                whoever_may_read_reads_the_same,
                who_may_not_read_is_told_so,
                a_list_has_what_begins_with_the_prefix_and_nothing_else,
                a_list_of_nothing_is_empty,
                a_list_in_small_pages_is_the_same_list,
                a_list_has_as_many_as_were_wanted,
                a_list_by_tags_has_those_alone,
                a_description_has_the_current_version_and_the_tags,
                the_versions_are_those_that_the_vendors_client_reads,
                a_secret_read_by_many_at_once_is_the_same_for_all,
                what_the_store_has_no_word_for_is_refused,
                a_store_that_answers_is_well,
            );
        }
    };
    (@ $store:ident, $attributes:tt, $($claim:ident),+ $(,)?) => {
        $(contract!(# $store, $attributes, $claim);)+
    };
    (# $store:ident, [$(#[$attribute:meta])*], $claim:ident) => {
        #[tokio::test]
        $(#[$attribute])*
        async fn $claim() {
            let Some(store) = $crate::holdings::Holdings::of(stringify!($store)).await else { return };
            $crate::claims::$claim(store).await;
        }
    };
}

/// The version, if one is asked for.
fn version(id: Option<&str>) -> GetSecretOptions {
    GetSecretOptions { version: id.map(str::to_owned), ..GetSecretOptions::default() }
}

/// Whether both are the same text, or the same JSON: stores may order keys anew.
fn assert_same(held: &Held, expected: &str, found: &SecretValue) {
    let found = found.value.expose_secret();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    match (parsed(expected), parsed(found)) {
        (Some(expected), Some(found)) => assert_eq!(found, expected, "{}", held.path),
        _ => assert_eq!(found, expected, "{}", held.path),
    }
}

/// All names and what is known, page by page.
async fn listed(store: &Holdings, prefix: &str, options: ListOptions) -> BTreeMap<String, SecretMetadata> {
    let listed = store.provider().list_secrets(prefix, options).await.unwrap();
    let count = listed.len();
    let by_name: BTreeMap<_, _> = listed.into_iter().map(|secret| (secret.name.clone(), secret)).collect();
    assert_eq!(by_name.len(), count, "something is listed twice");
    by_name
}

fn names(store: &Holdings) -> BTreeSet<&str> {
    store.secrets.iter().map(|held| &*held.path).collect()
}

pub async fn a_current_value_is_what_the_vendors_client_reads(store: Holdings) {
    let provider = store.provider();
    for held in &store.secrets {
        let found = provider.get_secret(&held.path, version(None)).await.unwrap();
        assert_same(held, &held.current().value, &found);
        assert_eq!(&*found.version, held.current().id, "{}", held.path);
        assert_eq!(
            (&*found.metadata.name, &found.metadata.current_version),
            (&*held.path, &held.current().id)
        );
    }
}

pub async fn each_version_is_what_the_vendors_client_reads(store: Holdings) {
    let provider = store.provider();
    assert!(store.secrets.iter().any(|held| held.versions.len() > 1));
    for held in &store.secrets {
        for one in &held.versions {
            let found = provider.get_secret(&held.path, version(Some(&one.id))).await.unwrap();
            assert_same(held, &one.value, &found);
            assert_eq!(&*found.version, one.id, "{}", held.path);
            // It need not be told which version is current; what is told is true.
            let current = &*found.metadata.current_version;
            assert!(current.is_empty() || current == held.current().id, "{}: {current}", held.path);
        }
    }
}

pub async fn a_binary_value_is_its_bytes(store: Holdings) {
    let provider = store.provider();
    for held in &store.secrets {
        let found = provider.get_secret(&held.path, version(None)).await.unwrap();
        assert_eq!(found.binary, held.binary, "{}", held.path);
        if held.binary {
            assert_eq!(*found.bytes().unwrap(), (0..=255).collect::<Vec<u8>>());
        }
    }
}

pub async fn what_is_not_given_out_says_why(store: Holdings) {
    let provider = store.provider();
    for refused in &store.refused {
        let error =
            provider.get_secret(&refused.path, version(refused.version.as_deref())).await.unwrap_err();
        assert_eq!(error.error_type(), refused.error, "{}: {error}", refused.what);
        assert!(!error.is_retryable(), "{}: {error}", refused.what);
    }
}

pub async fn whoever_may_read_reads_the_same(store: Holdings) {
    for friend in &store.friends {
        let provider = store.provider_of(&friend.config);
        for held in &store.secrets {
            let found = provider.get_secret(&held.path, version(None)).await;
            let found = found.unwrap_or_else(|error| panic!("{}: {error}", friend.what));
            assert_same(held, &held.current().value, &found);
        }
        provider.health_check().await.unwrap();
    }
}

pub async fn who_may_not_read_is_told_so(store: Holdings) {
    for stranger in &store.strangers {
        let provider = store.provider_of(&stranger.config);
        let error = provider.get_secret(&stranger.path, version(None)).await.unwrap_err();
        assert_eq!(error.error_type(), stranger.error, "{}: {error}", stranger.what);
        assert!(!error.is_retryable(), "{}: {error}", stranger.what);
    }
}

pub async fn a_list_has_what_begins_with_the_prefix_and_nothing_else(store: Holdings) {
    let listed = listed(&store, &store.prefix, ListOptions::default()).await;
    assert_eq!(listed.keys().map(|name| &**name).collect::<BTreeSet<_>>(), names(&store));
    // A prefix may end within a name.
    let begins = format!("{}pl", store.prefix);
    let expected: BTreeSet<_> = names(&store).into_iter().filter(|name| name.starts_with(&begins)).collect();
    let listed = self::listed(&store, &begins, ListOptions::default()).await;
    assert_eq!(listed.keys().map(|name| &**name).collect::<BTreeSet<_>>(), expected);
}

pub async fn a_list_of_nothing_is_empty(store: Holdings) {
    let nothing = format!("{}nothing-", store.prefix);
    assert!(listed(&store, &nothing, ListOptions::default()).await.is_empty());
}

pub async fn a_list_in_small_pages_is_the_same_list(store: Holdings) {
    let provider = store.provider();
    let (mut found, mut options) =
        (Vec::new(), ListOptions { max_results: Some(4), ..ListOptions::default() });
    loop {
        let page = provider.list_page(&store.prefix, options.clone()).await.unwrap();
        found.extend(page.secrets.into_iter().map(|secret| secret.name));
        assert!(found.len() <= names(&store).len(), "something is listed twice");
        let Some(next) = page.next_token else { break };
        options.next_token = Some(next);
    }
    assert_eq!(found.iter().map(|name| &**name).collect::<BTreeSet<_>>(), names(&store));
    assert_eq!(found.len(), names(&store).len());
}

pub async fn a_list_has_as_many_as_were_wanted(store: Holdings) {
    let some = ListOptions { max_results: Some(7), ..ListOptions::default() };
    assert_eq!(listed(&store, &store.prefix, some).await.len(), 7);
}

pub async fn a_list_by_tags_has_those_alone(store: Holdings) {
    let none =
        ListOptions { tags: Some([("team".into(), "nobody".into())].into()), ..ListOptions::default() };
    assert!(listed(&store, &store.prefix, none).await.is_empty());
    // Not every store has tags.
    let Some(tagged) = store.secrets.iter().find(|held| held.tags.len() > 1) else { return };
    let one = tagged.tags.iter().take(1).map(|(name, value)| (name.clone(), value.clone())).collect();
    let options = ListOptions { tags: Some(one), ..ListOptions::default() };
    let listed = listed(&store, &store.prefix, options).await;
    assert_eq!(listed.keys().collect::<Vec<_>>(), [&tagged.path]);
    assert_eq!(listed[&tagged.path].tags, tagged.tags);
}

pub async fn a_description_has_the_current_version_and_the_tags(store: Holdings) {
    let provider = store.provider();
    for held in &store.secrets {
        let found = provider.describe_secret(&held.path).await.unwrap();
        assert_eq!((&found.name, &found.current_version), (&held.path, &held.current().id));
        assert_eq!(found.tags, held.tags, "{}", held.path);
        assert!(found.created_at <= chrono::Utc::now(), "{}", held.path);
    }
    let missing = provider.describe_secret(&format!("{}nothing", store.prefix)).await.unwrap_err();
    assert_eq!(missing.error_type(), "not_found_secret");
}

pub async fn the_versions_are_those_that_the_vendors_client_reads(store: Holdings) {
    let provider = store.provider();
    for held in &store.secrets {
        let listed = provider.list_versions(&held.path).await.unwrap();
        let readable = listed.iter().filter(|version| version.status == VersionStatus::Readable);
        // AWS goes on listing, for a while, versions that may be gone when they are read.
        let readable: BTreeSet<_> =
            readable.take(held.versions.len()).map(|version| &*version.version).collect();
        assert_eq!(readable, held.versions.iter().map(|version| &*version.id).collect(), "{}", held.path);
        assert!(listed.is_sorted_by(|one, next| next.created_at <= one.created_at), "{}", held.path);
    }
    let off = ["access_disabled", "not_found_deleted", "not_found_destroyed"];
    for refused in store.refused.iter().filter(|refused| off.contains(&&*refused.error)) {
        // A secret that is gone as a whole may have none to list; a version may be asked for by another name.
        if refused.version.is_some() {
            let listed = provider.list_versions(&refused.path).await.unwrap();
            let unreadable = listed.iter().any(|version| version.status != VersionStatus::Readable);
            assert!(unreadable, "{}", refused.what);
        }
    }
    let missing = provider.list_versions(&format!("{}nothing", store.prefix)).await.unwrap_err();
    // The server that stands in for AWS fails where AWS says that there is no such secret.
    assert!(missing.is_not_found() || provider.provider_type() == ProviderType::Aws, "{missing}");
}

pub async fn a_secret_read_by_many_at_once_is_the_same_for_all(store: Holdings) {
    let (provider, held) = (store.provider(), &store.secrets[0]);
    let asked = (0..32).map(|_| provider.get_secret(&held.path, version(None)));
    for found in join_all(asked).await {
        assert_same(held, &held.current().value, &found.unwrap());
    }
}

pub async fn what_the_store_has_no_word_for_is_refused(store: Holdings) {
    let (provider, path) = (store.provider(), &*store.secrets[0].path);
    for lack in &store.lacks {
        let stage = GetSecretOptions { stage: Some("AWSCURRENT".into()), ..version(None) };
        let at = GetSecretOptions { at: Some(chrono::Utc::now()), ..version(None) };
        let (error, expected) = match lack {
            Lack::Stage => {
                (provider.get_secret(path, stage).await.unwrap_err(), "configuration_invalid_request")
            }
            Lack::At => (provider.get_secret(path, at).await.unwrap_err(), "configuration_invalid_request"),
            Lack::Rotation => (provider.rotate_secret(path).await.unwrap_err(), "rotation_not_configured"),
        };
        assert_eq!(error.error_type(), expected, "{lack:?}: {error}");
    }
}

pub async fn a_store_that_answers_is_well(store: Holdings) {
    store.provider().health_check().await.unwrap();
}
