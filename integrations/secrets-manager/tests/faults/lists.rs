//! Lists of each store that do not come to an end.

use secrets_manager::{Client, ListOptions, SecretsClient, transport::TransportConfig};
use serde_json::json;

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
