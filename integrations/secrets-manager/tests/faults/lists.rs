//! Lists of each store that do not come to an end, or not soon enough.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use secrets_manager::{Client, ListOptions, SecretsClient, transport::TransportConfig};
use serde_json::{Value, json};

use crate::{
    server::{Asked, Reply, Server, json as reply},
    stores::STORES,
};

/// A page without secrets and versions, in the words of every store, and one more behind it each time.
fn empty_page(asked: &Asked) -> Reply {
    let link = format!("http://{}/secrets?api-version=7.4&page=2", asked.header("host"));
    reply(
        200,
        json!({"secrets": [], "versions": [], "next": "again", "nextPageToken": "again", "name": "projects/p/secrets/a",
            "SecretList": [], "Versions": [], "NextToken": "again", "value": [], "nextLink": link}),
    )
}

#[tokio::test]
async fn a_list_that_leads_back_to_a_page_of_its_own_is_given_up() {
    // Vault tells of no pages.
    for store in STORES.iter().filter(|store| store.name != "vault") {
        let login = store.login;
        let server = Server::answering(move |asked| login(asked).unwrap_or_else(|| empty_page(asked))).await;
        let provider = (store.provider)(&server.url, TransportConfig::default());
        let error = provider.list_secrets("", ListOptions::default()).await.unwrap_err();
        assert_eq!(error.error_type(), "provider_internal_error", "{}: {error}", store.name);
        let of_versions = provider.list_versions("a").await.unwrap_err();
        assert_eq!(of_versions, error, "{}", store.name);
        let client = Client::builder().provider(provider.into()).build().unwrap();
        let of_client = client.list_secrets("", ListOptions::default()).await.unwrap_err();
        assert_eq!(of_client, error, "{}", store.name);
        assert!(server.asked().len() < 15, "{}", store.name);
    }
}

/// A version, in the words of a store.
fn version(store: &str) -> Value {
    let (id, date) = ("0123456789abcdef0123456789abcdef", "2025-01-01T00:00:00Z");
    match store {
        "aws" => json!({"VersionId": id, "CreatedDate": 1}),
        "gcp" => json!({"name": "projects/p/secrets/a/versions/1", "createTime": date, "state": "ENABLED"}),
        "azure" => {
            json!({"id": format!("https://v/secrets/a/{id}"), "attributes": {"enabled": true, "created": 1}})
        }
        _ => {
            json!({"number": 1, "id": id, "valid_from": date, "valid_to": null, "created_at": date, "author": "n",
            "caller": "c", "state": "past", "expires_at": null})
        }
    }
}

/// A page of so many versions, in the words of a store, and whether there is another behind it.
fn page_of_versions(store: &str, count: usize, asked: &Asked, next: Option<usize>) -> Reply {
    let versions = vec![version(store); count];
    let link = next.map(|next| format!("http://{}/secrets/a/versions?page={next}", asked.header("host")));
    let token = next.map(|next| next.to_string());
    reply(
        200,
        match store {
            "aws" => json!({"Versions": versions, "NextToken": token}),
            "gcp" => json!({"name": "projects/p/secrets/a", "versions": versions,
                "nextPageToken": token.unwrap_or_default()}),
            "azure" => json!({"value": versions, "nextLink": link}),
            _ => json!({"versions": versions, "next": token}),
        },
    )
}

#[tokio::test]
async fn a_history_that_is_longer_than_is_read_is_refused_and_not_cut_off() {
    for store in STORES.iter().filter(|store| store.name != "vault") {
        let most = if store.name == "covault" { 100_000 } else { 10_000 };
        for pages in [10, 11] {
            let (login, name, given) = (store.login, store.name, AtomicUsize::new(0));
            let server = Server::answering(move |asked| {
                login(asked).unwrap_or_else(|| {
                    // A secret of Google's is described before its versions are listed.
                    let is_page = name != "gcp" || asked.path.contains("/versions");
                    let page = if is_page { 1 + given.fetch_add(1, SeqCst) } else { pages };
                    page_of_versions(name, most / 10, asked, (page < pages).then_some(page))
                })
            })
            .await;
            let provider = (store.provider)(&server.url, TransportConfig::default());
            let versions = provider.list_versions("a").await.map(|versions| versions.len());
            match pages {
                10 => assert_eq!(versions.unwrap(), most, "{name}"),
                _ => {
                    let error = versions.unwrap_err();
                    assert_eq!(error.error_type(), "configuration_invalid_request", "{name}: {error}");
                    assert!(error.to_string().contains(&most.to_string()), "{name}: {error}");
                }
            }
        }
    }
}
