//! The local provider's store: a directory of files, which needs nobody to start it. There is no vendor's client; the
//! files are what they were written as.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::holdings::Holdings;

/// A directory with the contract's secrets, gone when the holdings are.
pub fn holdings() -> Holdings {
    let folder = tempfile::tempdir().unwrap();
    let long = "0123456789abcdef".repeat(1000);
    let texts = [
        ("contract/plain", vec!["first", "second", "third"]),
        ("contract/unicode", vec!["pässwörd \u{2603} \u{1f511} \\ \" \n\t end"]),
        ("contract/long", vec![&*long]),
        ("contract/object", vec![r#"{"user":"app","deep":{"list":[1,2.5,null,true]}}"#]),
    ];
    let mut secrets = Vec::new();
    let put = |path: &str, values: &[&[u8]]| {
        std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        for (value, number) in values.iter().zip(1..) {
            std::fs::write(folder.path().join(format!("{path}@{number}")), value).unwrap();
        }
    };
    for (path, values) in texts {
        put(path, &values.iter().map(|value| value.as_bytes()).collect::<Vec<_>>());
        let versions =
            values.iter().zip(1..).map(|(value, number)| json!({"id": number.to_string(), "value": value}));
        secrets.push(
            json!({"path": path, "versions": versions.collect::<Vec<_>>(), "tags": {}, "binary": false}),
        );
    }
    for number in 0..30 {
        let (path, value) = (format!("contract/many/{number:03}"), number.to_string());
        put(&path, &[value.as_bytes()]);
        secrets.push(
            json!({"path": path, "versions": [{"id": "1", "value": value}], "tags": {}, "binary": false}),
        );
    }
    let bytes: Vec<u8> = (0..=255).collect();
    put("contract/binary", &[&bytes]);
    let value = STANDARD.encode(&bytes);
    secrets.push(
        json!({"path": "contract/binary", "versions": [{"id": "1", "value": value}], "tags": {}, "binary": true}),
    );
    put("contractor", &[b"another prefix"]);
    let refused = json!([
        {"what": "a secret that never was", "path": "contract/nothing", "version": null, "error": "not_found_secret"},
        {"what": "a version that never was", "path": "contract/plain", "version": "99", "error": "not_found_version"},
        {"what": "a path out of the directory", "path": "contract/../../x", "version": null,
            "error": "configuration_invalid_path_pattern"},
    ]);
    let told = json!({"provider": "local", "config": {"path": folder.path()}, "prefix": "contract/",
        "secrets": secrets, "refused": refused, "friends": [], "strangers": []});
    Holdings::within(folder, told)
}
