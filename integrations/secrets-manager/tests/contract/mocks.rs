//! The simulation's store: mock secrets as its configuration has them, and newer versions as a test gives them.

use std::collections::BTreeMap;

use secrets_manager::{
    WallClock,
    simulation::{SimulationConfig, SimulationProvider},
};
use serde_json::{Value, json};

use crate::{
    holdings::{Held, Holdings},
    secrets::{OUTSIDE, PLAIN, PREFIX, Secret, secrets},
};

pub fn holdings() -> Holdings {
    let held: Vec<Held> =
        texts().map(|secret| secret.held((1..).map(|number| format!("mock-v{number}")))).collect();
    let refused = json!([
        {"what": "a secret that never was", "path": "contract/nothing", "version": null, "error": "not_found_secret"},
        {"what": "a version that never was", "path": PLAIN, "version": "mock-v99", "error": "not_found_version"},
        {"what": "a secret that is to be deleted", "path": "gone", "version": null, "error": "not_found_deleted"},
        {"what": "a secret that is to be disabled", "path": "off", "version": null, "error": "access_disabled"},
    ]);
    let dry_run = json!({"what": "a dry run", "config": config(json!({"mode": "dry_run"}))});
    let stranger = |what: &str, fault: &str, error: &str| {
        let config = config(json!({"faults": [{"fault": fault}]}));
        json!({"what": what, "config": config, "path": PLAIN, "error": error})
    };
    let strangers = [
        stranger("one who is to be denied everything", "denied", "access_denied"),
        stranger("one whose time is to be over", "expired_credentials", "authentication_expired_credentials"),
    ];
    let faults = json!([{"fault": "deleted", "path": "gone"}, {"fault": "disabled", "path": "off"}]);
    let told = json!({"provider": "simulation", "config": config(json!({"faults": faults})), "prefix": PREFIX,
        "secrets": held, "refused": refused, "friends": [dry_run], "strangers": strangers, "lacks": []});
    serde_json::from_value(told).unwrap()
}

/// The simulation of this configuration, in which the secrets get their newer versions.
pub fn provider(config: SimulationConfig) -> SimulationProvider {
    let simulation = SimulationProvider::new(config, WallClock::default()).unwrap();
    for secret in texts() {
        for value in secret.values.into_iter().skip(1) {
            simulation.set_mock_secret(&secret.path, String::from_utf8(value).unwrap());
        }
    }
    simulation
}

/// A configuration with the secrets as they are first, and with `more`.
fn config(mut more: Value) -> Value {
    let first = |mut secret: Secret| (secret.path, String::from_utf8(secret.values.swap_remove(0)).unwrap());
    let outside = (OUTSIDE.to_owned(), "another prefix".to_owned());
    more["secrets"] = json!(BTreeMap::from_iter(texts().map(first).chain([outside])));
    more
}

/// Mock secrets are texts.
fn texts() -> impl Iterator<Item = Secret> {
    secrets().into_iter().filter(|secret| !secret.is_binary())
}
