//! Secrets in files.

use std::{fs, path::Path, time::Duration};

use secrets_manager::{
    Client, GetSecretOptions, ListOptions, SecretProvider, SecretsClient, SecretsConfig, WallClock,
    providers::{LocalProvider, LocalProviderConfig},
};

use crate::script::{fresh, pinned, read, read_with};

fn at(path: &Path) -> Client {
    let config = LocalProviderConfig { path: path.to_owned() };
    let provider = LocalProvider::new(config, WallClock::default()).unwrap();
    Client::builder().provider(std::sync::Arc::new(provider)).build().unwrap()
}

async fn names(client: &Client) -> Vec<String> {
    let secrets = client.list_secrets("", ListOptions::default()).await.unwrap();
    secrets.into_iter().map(|secret| secret.name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_is_a_secret_without_the_newline_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("db")).unwrap();
    fs::write(folder.path().join("db/password"), "pass\n").unwrap();
    fs::write(folder.path().join("binary"), [0xff, 0]).unwrap();
    let client = at(folder.path());
    assert_eq!(read(&client, "db/password").await, "pass");
    let binary = client.get_secret("binary", GetSecretOptions::default()).await.unwrap();
    assert!(binary.binary);
    assert_eq!(*binary.bytes().unwrap(), [0xff, 0]);
    assert_eq!(read(&client, "db/none").await, "not_found_secret");
    assert_eq!(read(&client, "db").await, "not_found_secret");
    assert_eq!(names(&client).await, ["binary", "db/password"]);
}

#[tokio::test(start_paused = true)]
async fn numbered_files_are_versions_and_the_greatest_is_current() {
    let folder = tempfile::tempdir().unwrap();
    for (version, text) in [("1", "one"), ("2", "two"), ("10", "ten")] {
        fs::write(folder.path().join(format!("key@{version}")), text).unwrap();
    }
    let client = at(folder.path());
    assert_eq!(read(&client, "key").await, "ten");
    assert_eq!(read_with(&client, "key", pinned("2")).await, "two");
    assert_eq!(read_with(&client, "key", pinned("3")).await, "not_found_version");
    assert_eq!(client.describe_secret("key").await.unwrap().current_version, "10");
    assert_eq!(names(&client).await, ["key"]);
    fs::write(folder.path().join("key"), "current").unwrap();
    assert_eq!(read_with(&client, "key", fresh()).await, "current");
    assert_eq!(read_with(&client, "key", pinned("1")).await, "one");
    let versions = client.list_versions("key").await.unwrap();
    assert_eq!(versions[0].version, client.describe_secret("key").await.unwrap().current_version);
    let numbered: Vec<_> = versions[1..].iter().map(|version| &*version.version).collect();
    assert_eq!(numbered, ["10", "2", "1"]);
    assert!(client.list_versions("none").await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_written_again_has_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "one").unwrap();
    let client = at(folder.path());
    let first = client.get_secret("key", GetSecretOptions::default()).await.unwrap();
    fs::write(&path, "two").unwrap();
    let later = fs::metadata(&path).unwrap().modified().unwrap() + Duration::from_secs(1);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    let second = client.get_secret("key", fresh()).await.unwrap();
    assert_ne!(first.version, second.version);
    assert_eq!(read_with(&client, "key", pinned(&second.version)).await, "two");
}

#[tokio::test(start_paused = true)]
async fn no_path_leads_out_of_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("outside"), "outside").unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let provider = LocalProvider::new(LocalProviderConfig { path: root }, WallClock::default()).unwrap();
    let absolute = folder.path().join("outside").display().to_string();
    for path in [
        "../outside",
        "a/../../outside",
        &absolute,
        "/etc/passwd",
        "",
        ".hidden",
        "a//b",
        "a\\b",
        "a@1",
        "a\0",
    ] {
        let answer =
            secrets_manager::SecretProvider::get_secret(&provider, path, GetSecretOptions::default()).await;
        assert_eq!(answer.unwrap_err().error_type(), "configuration_invalid_path_pattern", "{path:?}");
    }
    let version = pinned("../../outside");
    let answer = secrets_manager::SecretProvider::get_secret(&provider, "a", version).await;
    assert!(answer.unwrap_err().is_not_found());
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn links_are_followed_within_the_directory_and_refused_out_of_it() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("..2026")).unwrap();
    fs::write(folder.path().join("outside"), "outside").unwrap();
    fs::write(root.join("..2026/key"), "inside").unwrap();
    symlink("..2026", root.join("..data")).unwrap();
    symlink("..data/key", root.join("key")).unwrap();
    symlink("../outside", root.join("file")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    let client = at(&root);
    assert_eq!(read(&client, "key").await, "inside");
    assert_eq!(read(&client, "file").await, "access_denied");
    assert_eq!(read(&client, "up/outside").await, "access_denied");
    let names = names(&client).await;
    assert_eq!(names, ["key"]);
}

#[tokio::test(start_paused = true)]
async fn documents_hold_secrets_by_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"db":{"password":"pass","port":5432},"api/key":"k"}"#;
    let toml = "\"api/key\" = \"k\"\n[db]\npassword = \"pass\"\nport = 5432\n";
    for (name, text) in [("secrets.json", json), ("secrets.toml", toml)] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let client = at(&path);
        assert_eq!(read(&client, "db/password").await, "pass");
        assert_eq!(read(&client, "db/port").await, "5432");
        assert_eq!(read(&client, "api/key").await, "k");
        assert_eq!(read(&client, "db/none").await, "not_found_secret");
        let password = client.get_secret_key("db", "password").await.unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&password), "pass");
        assert_eq!(names(&client).await, ["api/key", "db/password", "db/port"]);
        assert_eq!(read_with(&client, "db/port", pinned("1")).await, "not_found_version");
    }
}

#[tokio::test(start_paused = true)]
async fn an_env_file_holds_secrets_by_their_variables() {
    let folder = tempfile::tempdir().unwrap();
    for name in [".env", "dev.env"] {
        let path = folder.path().join(name);
        fs::write(&path, "# comment\nexport DB_PASSWORD='p a s s'\nPORT=5432\n").unwrap();
        let client = at(&path);
        assert_eq!(read(&client, "DB_PASSWORD").await, "p a s s");
        assert_eq!(names(&client).await, ["DB_PASSWORD", "PORT"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_before_a_document_is_no_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in
        [("a.env", "A=value\r\nB=2\r\n"), ("a.json", r#"{"A": "value"}"#), ("a.toml", "A = 'value'")]
    {
        let path = folder.path().join(name);
        fs::write(&path, format!("\u{feff}{text}")).unwrap();
        assert_eq!(read(&at(&path), "A").await, "value", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_document_is_named_with_its_line_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, line) in [
        ("a.json", "{\"a\":\n hunter2}", 2),
        ("a.toml", "a = \"x\"\nb = hunter2", 2),
        ("a.env", "A='hunter2", 1),
        ("b.env", "# one\n\nC='1\n2'\nhunter2\nA=hunter2\n", 5),
        ("c.env", "hunter2=1\nhunter2", 2),
        ("d.env", "A=1\nB='hunter2\n\nC=3\n", 2),
        ("b.json", "[\"hunter2\"]", 1),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let client = at(&path);
        let error = client.list_secrets("", ListOptions::default()).await.unwrap_err().to_string();
        assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        assert!(error.contains(&format!("line {line}")), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("large"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert_eq!(read(&at(folder.path()), "large").await, "parse_invalid_secret_format");
}

#[tokio::test]
async fn a_list_of_more_files_than_it_may_have_is_refused_and_a_part_of_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["a", "b"] {
        fs::create_dir(folder.path().join(part)).unwrap();
    }
    for number in 0..10_000 {
        fs::write(folder.path().join(format!("a/{number}")), "").unwrap();
    }
    let config = LocalProviderConfig { path: folder.path().into() };
    let provider = LocalProvider::new(config, WallClock::default()).unwrap();
    let list = async |prefix: &str| {
        let page = provider.list_page(prefix, ListOptions::default()).await;
        page.map(|page| page.secrets.len())
    };
    assert_eq!(list("").await.unwrap(), 100, "a page");
    fs::write(folder.path().join("b/one"), "1").unwrap();
    fs::write(folder.path().join("b/two@3"), "2").unwrap();
    let error = list("").await.unwrap_err();
    assert_eq!(error.error_type(), "configuration_invalid_request");
    assert!(error.to_string().contains("10000"), "{error}");
    for (prefix, count) in [("b", 2), ("b/", 2), ("b/o", 1), ("a/999", 11), ("c", 0)] {
        assert_eq!(list(prefix).await.unwrap(), count, "{prefix}");
    }
    provider.health_check().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_is_built_from_toml_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "value").unwrap();
    let text = format!("[[providers]]\ntype = \"local\"\npath = {:?}", folder.path());
    let client = Client::builder().config(SecretsConfig::from_toml(&text).unwrap()).build().unwrap();
    assert_eq!(read(&client, "key").await, "value");
    let missing = "[[providers]]\ntype = \"local\"\npath = \"/nowhere/at/all\"";
    let config = SecretsConfig::from_toml(missing).unwrap();
    let error = Client::builder().config(config).build().unwrap_err();
    assert_eq!(error.error_type(), "configuration_missing_endpoint");
}
