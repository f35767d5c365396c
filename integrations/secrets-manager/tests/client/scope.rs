//! Which store a path belongs to, and what a client may not ask for.

use std::collections::HashMap;

use secrets_manager::{
    Client, ListOptions, ProviderType, SecretMetadata, SecretValue, SecretsClient,
    client::{PathPattern, ScopeConfig},
};

use crate::script::{Script, builder, client, date, fresh, pinned, read, read_with, value};

fn pattern(text: &str) -> PathPattern {
    PathPattern::new(text).unwrap()
}

fn scoped(scope: ScopeConfig) -> (std::sync::Arc<Script>, Client) {
    let script = Script::new(ProviderType::Vault);
    let client = builder(&script).scope(scope).build().unwrap();
    (script, client)
}

async fn names(client: &Client, prefix: &str, options: ListOptions) -> Vec<String> {
    let secrets = client.list_secrets(prefix, options).await.unwrap();
    secrets.into_iter().map(|secret| secret.name).collect()
}

#[tokio::test(start_paused = true)]
async fn the_mapping_that_fixes_most_of_a_path_wins_and_an_option_wins_over_it() {
    let stores = [ProviderType::Vault, ProviderType::Aws, ProviderType::Gcp].map(Script::new);
    for script in &stores {
        for path in ["x", "cloud/x", "cloud/gcp/x"] {
            script.set(path, "1", secrets_manager::SecretProvider::provider_type(&**script).name());
        }
    }
    let [vault, aws, gcp] = stores;
    let client = builder(&vault).provider(aws).provider(gcp).default_provider(ProviderType::Vault);
    let client = client
        .map_path(pattern("cloud"), ProviderType::Aws)
        .map_path(pattern("cloud/gcp/*"), ProviderType::Gcp)
        .build()
        .unwrap();
    assert_eq!(read(&client, "x").await, "vault");
    assert_eq!(read(&client, "cloud/x").await, "aws");
    assert_eq!(read(&client, "cloud/gcp/x").await, "gcp");
    let options =
        secrets_manager::GetSecretOptions { provider: Some(ProviderType::Aws), ..Default::default() };
    assert_eq!(read_with(&client, "cloud/gcp/x", options).await, "aws");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_not_there_is_said_at_once() {
    let script = Script::new(ProviderType::Vault);
    let again = builder(&script).provider(script.clone()).build();
    assert!(again.unwrap_err().to_string().contains("vault is configured twice"));
    assert!(Client::builder().build().unwrap_err().to_string().contains("none is configured"));
    let mapped = builder(&script).map_path(pattern("a"), ProviderType::Aws).build();
    assert!(mapped.unwrap_err().to_string().contains("a is mapped to aws, which is not configured"));
    let options =
        secrets_manager::GetSecretOptions { provider: Some(ProviderType::Gcp), ..Default::default() };
    assert_eq!(read_with(&client(&script), "x", options).await, "configuration_invalid_provider");
}

#[tokio::test(start_paused = true)]
async fn paths_outside_of_the_scope_are_refused_without_asking_the_store() {
    let prefixes = vec![pattern("app/prod/*"), pattern("shared")];
    let (script, client) = scoped(ScopeConfig { prefixes, ..ScopeConfig::default() });
    for path in ["app/prod/db", "shared", "shared/db", "app/dev/db", "app/production", "app/prod", "sharedx"]
    {
        script.set(path, "1", "value");
    }
    for path in ["app/prod/db", "shared", "shared/db"] {
        assert_eq!(read(&client, path).await, "value", "{path}");
    }
    let calls = script.calls();
    for path in ["app/dev/db", "app/production", "app/prod", "sharedx"] {
        assert_eq!(read(&client, path).await, "access_out_of_scope", "{path}");
        assert_eq!(read_with(&client, path, fresh()).await, "access_out_of_scope");
        assert_eq!(read_with(&client, path, pinned("1")).await, "access_out_of_scope");
        assert!(client.describe_secret(path).await.is_err());
        assert!(client.list_versions(path).await.is_err());
        assert!(client.rotate_secret(path).await.is_err());
        assert!(client.list_secrets(path, ListOptions::default()).await.is_err());
    }
    assert_eq!((script.calls(), script.described()), (calls, 0));
    assert!(client.list_secrets("", ListOptions::default()).await.is_err(), "some of it is outside");
    assert_eq!(names(&client, "app/prod/", ListOptions::default()).await, ["app/prod/db"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_could_read_as_another_path_is_refused() {
    let (script, client) = scoped(ScopeConfig { prefixes: vec![pattern("app/*")], ..ScopeConfig::default() });
    for path in ["", "app/../admin", "app/./x", "app/..", "app/\\..\\x", "app/x\ny", "app/\0"] {
        assert_eq!(read(&client, path).await, "configuration_invalid_path_pattern", "{path:?}");
    }
    assert_eq!(script.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_the_tags_is_refused_before_its_value_is_fetched() {
    let tags = HashMap::from([("team".to_owned(), "billing".to_owned())]);
    let (script, client) = scoped(ScopeConfig { tags: tags.clone(), ..ScopeConfig::default() });
    let tagged = |path: &str| SecretValue {
        metadata: SecretMetadata { tags: tags.clone(), ..SecretMetadata::new(path, "1", date(0)) }.into(),
        ..value(path, "1", "value")
    };
    script.set_value("ours", tagged("ours"));
    script.set("theirs", "1", "value");
    assert_eq!(read(&client, "ours").await, "value");
    assert_eq!(read(&client, "theirs").await, "access_out_of_scope");
    assert!(client.describe_secret("theirs").await.is_err());
    assert!(client.list_versions("theirs").await.is_err());
    assert_eq!(client.list_versions("ours").await.unwrap().len(), 1);
    assert!(client.rotate_secret("theirs").await.is_err());
    assert_eq!(script.calls(), 1, "of theirs no value was fetched");
    assert_eq!(names(&client, "", ListOptions::default()).await, ["ours"]);
    let other = HashMap::from([("team".to_owned(), "payments".to_owned())]);
    let other = ListOptions { tags: Some(other), ..ListOptions::default() };
    assert!(names(&client, "", other).await.is_empty());
    script.set("ours", "2", "value");
    assert_eq!(read_with(&client, "ours", fresh()).await, "access_out_of_scope");
    assert_eq!(read(&client, "ours").await, "access_out_of_scope", "the old value went with its tag");
}

#[tokio::test(start_paused = true)]
async fn an_environment_is_put_before_every_path_and_taken_off_every_name() {
    let environment = Some("prod".to_owned());
    let prefixes = vec![pattern("app/*")];
    let (script, client) = scoped(ScopeConfig { environment, prefixes, ..ScopeConfig::default() });
    for environment in ["prod", "dev"] {
        let path = format!("{environment}/app/db");
        script.set(&path, "1", environment);
    }
    let found = client.get_secret("app/db", Default::default()).await.unwrap();
    assert_eq!((found.metadata.name.as_str(), script.asked()[0].0.as_str()), ("app/db", "prod/app/db"));
    assert_eq!(names(&client, "app/", ListOptions::default()).await, ["app/db"]);
    assert_eq!(client.describe_secret("app/db").await.unwrap().name, "app/db");
    assert_eq!(read(&client, "../dev/app/db").await, "configuration_invalid_path_pattern");
    let refused = ScopeConfig { environment: Some("a/../b".into()), ..ScopeConfig::default() };
    assert!(builder(&script).scope(refused).build().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_list_follows_all_pages_or_as_many_as_are_wanted() {
    let script = Script::new(ProviderType::Vault);
    let client = client(&script);
    for number in 0..7 {
        script.set(&format!("a/{number}"), "1", "x");
    }
    assert_eq!(names(&client, "a/", ListOptions::default()).await.len(), 7);
    let five = ListOptions { max_results: Some(5), ..ListOptions::default() };
    assert_eq!(names(&client, "a/", five).await, ["a/0", "a/1", "a/2", "a/3", "a/4"]);
    let none = ListOptions { max_results: Some(0), ..ListOptions::default() };
    assert!(names(&client, "a/", none).await.is_empty());
    let first = client.list_secrets_page("a/", ListOptions::default()).await.unwrap();
    assert_eq!(first.secrets.len(), 2);
    let next = ListOptions { next_token: first.next_token, ..ListOptions::default() };
    assert_eq!(client.list_secrets_page("a/", next).await.unwrap().secrets[0].name, "a/2");
}

#[tokio::test(start_paused = true)]
async fn a_key_of_a_secret_is_had_by_its_name() {
    let script = Script::new(ProviderType::Vault);
    script.set("db", "1", r#"{"user":{"name":"ada"}}"#);
    let client = client(&script);
    let key = client.get_secret_key("db", "user.name").await.unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&key), "ada");
    assert_eq!(client.get_secret_key("db", "none").await.unwrap_err().error_type(), "parse_json");
}
