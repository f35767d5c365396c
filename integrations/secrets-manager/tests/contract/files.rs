//! The local provider's store: a directory of files, which needs nobody to start it. There is no vendor's client; the
//! files are what they were written as.

use serde_json::json;

use crate::{
    holdings::Holdings,
    secrets::{OUTSIDE, PLAIN, PREFIX, secrets},
};

/// A directory with the contract's secrets, gone when the holdings are.
pub fn holdings() -> Holdings {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, number: usize, value: &[u8]| {
        std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(format!("{path}@{number}")), value).unwrap();
    };
    let mut held = Vec::new();
    for secret in secrets() {
        for (value, number) in secret.values.iter().zip(1..) {
            put(&secret.path, number, value);
        }
        held.push(secret.held((1..).map(|number| number.to_string())));
    }
    put(OUTSIDE, 1, b"another prefix");
    let refused = json!([
        {"what": "a secret that never was", "path": "contract/nothing", "version": null, "error": "not_found_secret"},
        {"what": "a version that never was", "path": PLAIN, "version": "99", "error": "not_found_version"},
        {"what": "a path out of the directory", "path": "contract/../../x", "version": null,
            "error": "configuration_invalid_path_pattern"},
    ]);
    let told = json!({"provider": "local", "config": {"path": folder.path()}, "prefix": PREFIX, "secrets": held,
        "refused": refused, "friends": [], "strangers": [], "lacks": ["stage", "at", "rotation"]});
    Holdings::within(folder, told)
}
