//! A node's identity is kept in one file that only its owner may open, and is never replaced.

#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use covault_model::key::verifies;
use covault_net::{IdentityError, NODE_KEY_FILE, NodeIdentity};
use tempfile::tempdir;

/// Chance that is not: bytes that begin at `first` and count up.
fn counting(first: u8) -> impl FnMut(&mut [u8]) {
    let mut next = first;
    move |bytes| {
        for byte in bytes {
            *byte = next;
            next = next.wrapping_add(1);
        }
    }
}

#[test]
fn what_was_created_is_loaded_again() {
    let directory = tempdir().unwrap();
    let created = NodeIdentity::create(directory.path(), &mut counting(1)).unwrap();
    let loaded = NodeIdentity::load(directory.path()).unwrap();
    assert_eq!(created.id(), loaded.id());
    assert!(verifies(&created.id(), b"message", &loaded.key().sign(b"message")));
    assert_eq!(loaded.into_key().node_id(), created.id());
}

#[test]
fn the_file_is_what_the_header_says_and_closed_to_others() {
    let directory = tempdir().unwrap();
    NodeIdentity::create(directory.path(), &mut counting(0)).unwrap();
    let path = directory.path().join(NODE_KEY_FILE);
    let seed = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("covault node key 1\n{seed}\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no draft is left behind");
}

#[test]
fn an_identity_is_never_overwritten() {
    let directory = tempdir().unwrap();
    let first = NodeIdentity::create(directory.path(), &mut counting(1)).unwrap();
    let path = directory.path().join(NODE_KEY_FILE);
    let refused = NodeIdentity::create(directory.path(), &mut counting(9)).unwrap_err();
    assert_eq!(refused, IdentityError::Exists(path));
    assert_eq!(NodeIdentity::load(directory.path()).unwrap().id(), first.id());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no draft is left behind");
}

#[test]
fn load_or_create_creates_once() {
    let directory = tempdir().unwrap();
    let first = NodeIdentity::load_or_create(directory.path(), &mut counting(1)).unwrap();
    let second = NodeIdentity::load_or_create(directory.path(), &mut counting(9)).unwrap();
    assert_eq!(first.id(), second.id());
}

#[test]
fn a_missing_directory_is_told_apart_from_a_missing_key() {
    let directory = tempdir().unwrap();
    let path = directory.path().join(NODE_KEY_FILE);
    assert_eq!(NodeIdentity::load(directory.path()).unwrap_err(), IdentityError::Missing(path));
    let nowhere = directory.path().join("nowhere");
    let refused = NodeIdentity::create(&nowhere, &mut counting(1)).unwrap_err();
    assert!(matches!(refused, IdentityError::Unwritable { .. }), "{refused}");
}

#[test]
fn a_file_open_to_others_is_refused() {
    let directory = tempdir().unwrap();
    NodeIdentity::create(directory.path(), &mut counting(1)).unwrap();
    let path = directory.path().join(NODE_KEY_FILE);
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refused = NodeIdentity::load_or_create(directory.path(), &mut counting(9)).unwrap_err();
        assert_eq!(refused, IdentityError::OpenToOthers { path: path.clone(), mode });
    }
}

#[test]
fn a_directory_in_its_place_is_unreadable() {
    let directory = tempdir().unwrap();
    fs::create_dir(directory.path().join(NODE_KEY_FILE)).unwrap();
    let refused = NodeIdentity::load(directory.path()).unwrap_err();
    assert!(matches!(refused, IdentityError::Unreadable { .. }), "{refused}");
}

#[test]
fn anything_else_in_the_file_is_refused_without_repeating_it() {
    let directory = tempdir().unwrap();
    let path = directory.path().join(NODE_KEY_FILE);
    let digits = "ab".repeat(32);
    let texts = [
        String::new(),
        digits.clone(),
        format!("covault node key 2\n{digits}\n"),
        format!("covault node key 1\n{digits}"),
        format!("covault node key 1\n{digits}\n\n"),
        format!("covault node key 1\n{}\n", digits.to_uppercase()),
        format!("covault node key 1\n{}\n", &digits[2..]),
        format!("covault node key 1\n{digits}ab\n"),
    ];
    for text in texts {
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let refused = NodeIdentity::load_or_create(directory.path(), &mut counting(1)).unwrap_err();
        assert_eq!(refused, IdentityError::Malformed(path.clone()));
        assert!(!format!("{refused} {refused:?}").contains("abab"));
    }
}

#[test]
fn debug_of_an_identity_shows_no_seed() {
    let directory = tempdir().unwrap();
    let identity = NodeIdentity::create(directory.path(), &mut counting(0)).unwrap();
    let shown = format!("{identity:?}");
    assert!(!shown.contains("00010203") && !shown.contains("0, 1, 2, 3"), "{shown}");
}
