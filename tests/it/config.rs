//! What the configuration of a node may not say, and that it is told where. Nothing is made by a start that is refused.
//! Knows nothing of what is configured.

use std::fs;

use crate::support::covault;

/// What is said, and what must be in the answer.
const WRONG: &[(&str, &str)] = &[
    ("data = \"d\"\nlissten = \"127.0.0.1:0\"\n", "lissten"),
    ("data = \"d\"\nlisten = \"localhost\"\n", ":2:"),
    ("data = \"d\"\n[quic]\nlisten = \"0.0.0.0:8401\"\n", "quic.advertise"),
    ("data = \"d\"\n[quic]\nlisten = \"127.0.0.1:8401\"\nadvertise = \"10.0.0.1:0\"\n", "quic.advertise"),
    ("data = \"d\"\n[quic]\nlisten = \"127.0.0.1:8401\"\nround_trip_ms = 0\n", "quic.round_trip_ms"),
    ("data = \"d\"\n[quic]\nlisten = \"127.0.0.1:8401\"\nround_trip_ms = 301\n", "quic.round_trip_ms"),
    ("data = \"d\"\n[quic]\nlisten = \"127.0.0.1:8401\"\nround_trip_ms = \"far\"\n", ":4:"),
    ("data = \"d\"\n[limits]\nmap_bytes = 4096\n", "limits.map_bytes"),
    ("data = \"d\"\n[limits]\nvalue_bytes_max = 1048577\n", "limits.value_bytes_max"),
    ("data = \"d\"\n[log]\nlevel = \"covault=loud\"\n", "log.level"),
    ("listen = \"127.0.0.1:0\"\n", "data"),
    ("data = \"d\n", ":1:"),
];

#[test]
fn a_configuration_that_cannot_be_is_refused_by_its_place_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    for (text, place) in WRONG {
        fs::write(&file, text).unwrap();
        let done = covault(&["node", "--config", file.to_str().unwrap()]);
        assert_eq!(done.code, 1, "{text}: {}", done.stderr);
        assert!(done.stderr.contains("(config_invalid)"), "{text}: {}", done.stderr);
        assert!(done.stderr.contains(place), "{text}: {}", done.stderr);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{text}");
    }
}
