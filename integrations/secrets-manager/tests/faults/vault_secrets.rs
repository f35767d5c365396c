//! Secrets of a scripted Vault: those that are gone, those that may not be looked after, and lists of folders that lead
//! anywhere.

use std::collections::BTreeMap;

use secrets_manager::{GetSecretOptions, ListOptions, SecretNotFoundError, SecretProvider, SecretsError};
use serde_json::{Value, json};

use crate::{
    server::{Asked, Reply, Server, json as reply},
    vault::{app_role, denied, login, with},
};

const AT: &str = "2025-01-01T00:00:00Z";

fn nothing_there() -> Reply {
    reply(404, json!({"errors": []}))
}

/// What a secret's metadata says, whose versions up to `current` are these.
fn described(current: u64, versions: Value) -> Reply {
    reply(
        200,
        json!({"data": {"current_version": current, "created_time": AT, "custom_metadata": {"team": "one"},
            "versions": versions}}),
    )
}

/// What is said of the version that was asked for, and what its secret's metadata says.
async fn error_of_version(version: Option<&str>, data: Reply, metadata: Reply) -> SecretsError {
    let server = Server::answering(move |asked| {
        let of_data = asked.path.contains("/data/").then(|| data.clone());
        login(asked).or(of_data).unwrap_or_else(|| metadata.clone())
    })
    .await;
    let options = GetSecretOptions { version: version.map(Into::into), ..GetSecretOptions::default() };
    with(&server.url, app_role()).get_secret("db", options).await.unwrap_err()
}

fn gone(deleted_at: &str, destroyed: bool) -> Reply {
    let metadata = json!({"created_time": AT, "custom_metadata": null, "deletion_time": deleted_at,
        "destroyed": destroyed, "version": 2});
    reply(404, json!({"data": {"data": null, "metadata": metadata}}))
}

#[tokio::test]
async fn a_version_that_is_gone_says_how() {
    let path = || "db".to_owned();
    let destroyed = SecretNotFoundError::Destroyed { path: path(), version: "2".into() };
    let deleted = SecretNotFoundError::Deleted { path: path() };
    for version in [None, Some("2")] {
        assert_eq!(error_of_version(version, gone("", true), denied()).await, destroyed.clone().into());
        assert_eq!(error_of_version(version, gone(AT, false), denied()).await, deleted.clone().into());
    }
}

#[tokio::test]
async fn a_version_that_is_not_there_is_told_apart_from_a_secret_that_is_not_there() {
    let no_version = SecretNotFoundError::VersionNotFound { path: "db".into(), version: "9".into() };
    let no_secret = SecretNotFoundError::SecretDoesNotExist { path: "db".into() };
    let there = described(1, json!({"1": {"deletion_time": "", "destroyed": false}}));
    let of = async |metadata| error_of_version(Some("9"), nothing_there(), metadata).await;
    assert_eq!(of(there).await, no_version.clone().into());
    assert_eq!(of(nothing_there()).await, no_secret.into());
    assert_eq!(of(denied()).await, no_version.into(), "who may not see the versions is told what was asked");
    let away = of(reply(503, json!({"errors": ["sealed"]}))).await;
    assert_eq!(away.error_type(), "provider_unavailable", "nobody knows what there is");
}

#[tokio::test]
async fn a_value_that_is_no_object_is_refused_and_not_quoted() {
    let metadata = json!({"created_time": AT, "custom_metadata": null, "deletion_time": "", "destroyed": false,
        "version": 1});
    let odd = reply(200, json!({"data": {"data": "swordfish", "metadata": metadata}}));
    let error = error_of_version(None, odd, denied()).await;
    assert_eq!(error.error_type(), "parse_invalid_secret_format");
    assert!(!format!("{error} {error:?}").contains("swordfish"), "{error}");
}

/// A mount with these folders, each with its keys. Secrets whose names have `gone` in them are deleted, those with `lost`
/// are away by the time that they are described.
async fn mount(folders: BTreeMap<&'static str, Vec<&'static str>>) -> Server {
    Server::answering(move |asked: &Asked| {
        if let Some(reply) = login(asked) {
            return reply;
        }
        let path = asked.path.strip_prefix("/v1/secret/metadata").unwrap();
        match path.strip_suffix("?list=true") {
            Some(folder) => folders
                .get(folder.trim_start_matches('/'))
                .map_or_else(nothing_there, |keys| reply(200, json!({"data": {"keys": keys}}))),
            None if path.contains("lost") => nothing_there(),
            None => {
                let deletion = if path.contains("gone") { AT } else { "" };
                described(3, json!({"3": {"deletion_time": deletion, "destroyed": false}}))
            }
        }
    })
    .await
}

fn folders() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("", vec!["z", "app/", "app", "app-1", "gone", "lost"]),
        ("app", vec!["db", "a/", "zz"]),
        ("app/a", vec!["1", "2"]),
    ])
}

async fn names(server: &Server, prefix: &str, options: ListOptions) -> Vec<String> {
    let provider = with(&server.url, app_role());
    let found = provider.list_secrets(prefix, options).await.unwrap();
    found.into_iter().map(|secret| secret.name).collect()
}

#[tokio::test]
async fn a_list_has_all_folders_in_the_order_of_bytes_and_nothing_that_is_gone() {
    let server = mount(folders()).await;
    let all = ["app", "app-1", "app/a/1", "app/a/2", "app/db", "app/zz", "z"];
    assert_eq!(names(&server, "", ListOptions::default()).await, all);
    assert_eq!(names(&server, "app/", ListOptions::default()).await, all[2..6]);
    assert_eq!(names(&server, "app/d", ListOptions::default()).await, ["app/db"]);
    assert_eq!(names(&server, "none/", ListOptions::default()).await, [""; 0]);
    let tags = |team: &str| Some([("team".to_owned(), team.to_owned())].into());
    let one = ListOptions { tags: tags("one"), ..ListOptions::default() };
    assert_eq!(names(&server, "app/a/", one).await, ["app/a/1", "app/a/2"]);
    let two = ListOptions { tags: tags("two"), ..ListOptions::default() };
    assert_eq!(names(&server, "app/a/", two).await, [""; 0]);
}

#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended_and_leaves_out_folders_that_are_past() {
    let server = mount(folders()).await;
    let provider = with(&server.url, app_role());
    let (mut found, mut next_token) = (Vec::new(), None);
    loop {
        let options = ListOptions { max_results: Some(2), next_token, ..ListOptions::default() };
        let page = provider.list_page("", options).await.unwrap();
        assert!(page.secrets.len() <= 2);
        found.extend(page.secrets.into_iter().map(|secret| secret.name));
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    assert_eq!(found, ["app", "app-1", "app/a/1", "app/a/2", "app/db", "app/zz", "z"]);
    // The first page looks there whether there are more, the second has it, the third begins in it; the last is past it.
    assert_eq!(server.times("/app/a?list=true"), 3);
}

#[tokio::test]
async fn a_list_does_not_follow_a_name_out_of_its_mount() {
    let server = mount(BTreeMap::from([("", vec!["../"])])).await;
    let error = with(&server.url, app_role()).list_secrets("", ListOptions::default()).await.unwrap_err();
    assert_eq!(error.error_type(), "configuration_invalid_path_pattern", "{error}");
    assert_eq!(server.times("list=true"), 1);
}

#[tokio::test]
async fn a_mount_whose_folders_have_no_end_is_given_up() {
    let server = Server::answering(|asked| {
        login(asked).unwrap_or_else(|| reply(200, json!({"data": {"keys": ["a/"]}})))
    })
    .await;
    let error = with(&server.url, app_role()).list_secrets("", ListOptions::default()).await.unwrap_err();
    assert_eq!(error.error_type(), "provider_internal_error", "{error}");
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_refused_and_not_shown() {
    let server = Server::answering(|asked| login(asked).unwrap_or_else(denied)).await;
    let auth = secrets_manager::providers::vault::VaultAuth::Token("canary\ntoken".into());
    let error = with(&server.url, auth).get_secret("db", GetSecretOptions::default()).await.unwrap_err();
    assert_eq!(error.error_type(), "authentication_no_credentials");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    assert!(server.asked().is_empty());
}
