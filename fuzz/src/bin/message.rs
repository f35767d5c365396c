//! What peers ask and tell each other about records, and the messages of a search inside it: bounded, refused
//! or read as they were written, and nothing panics. What is in a message is judged as an arrival.
//! Knows nothing of what is kept.

#![no_main]

use std::sync::LazyLock;

use covault::merge::{
    index::{Index, ItemId, Search},
    message::{Ask, RECORDS_MAX, SEARCH_BYTES_MAX, Sent, Told, write},
};
use covault_model::{
    arrival::Arrival,
    name::{CallerName, SecretName, SecretPath},
};
use covault_store::Newest;
use libfuzzer_sys::fuzz_target;

/// The items of a hundred secrets, which a peer's search is answered from.
static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let owner = CallerName::parse("ann").expect("a caller's name");
    let mut index = Index::default();
    for number in 0..100 {
        let name = SecretName::parse(&format!("s/{number:02}")).expect("a secret's name");
        let path = SecretPath { owner: owner.clone(), name };
        let newest = Newest { heads: Vec::new(), awaited: Vec::new() };
        index.append(&path, ItemId::new(&path.id(), &newest));
    }
    index
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ask) = Ask::read(bytes) {
        assert_eq!(Ask::read(&write(&ask)).as_ref(), Ok(&ask));
        match &ask {
            Ask::Push(sent) => judge(sent),
            Ask::Search(_, message) => search(message),
            Ask::PushIssues(issues) => assert!(issues.len() <= RECORDS_MAX),
            Ask::Paths(items) => drop(INDEX.whereabouts(items)),
            Ask::Lacking(_)
            | Ask::Named(..)
            | Ask::Scopes(_)
            | Ask::Under(..)
            | Ask::Issues(..)
            | Ask::LookThrough(_) => {}
        }
    }
    if let Ok(told) = Told::read(bytes) {
        assert_eq!(Told::read(&write(&told)).as_ref(), Ok(&told));
        match &told {
            Told::Records(sent, _) => judge(sent),
            Told::Searched(message) => search(message),
            Told::Taken
            | Told::Paths(_)
            | Told::Kept(_)
            | Told::Scopes(_)
            | Told::Under(_)
            | Told::Issues(..)
            | Told::LookedThrough(_) => {}
        }
    }
    search(bytes);
});

fn judge(sent: &[Sent]) {
    assert!(sent.len() <= RECORDS_MAX);
    for Sent(path, record, payload) in sent.iter().cloned() {
        if let Ok(arrival) = Arrival::judge(path, &record, payload.map(|bytes| bytes.into_vec())) {
            assert_eq!(arrival.record().to_bytes(), record.into_vec(), "a record has one encoding");
        }
    }
}

fn search(message: &[u8]) {
    if let Ok(answer) = INDEX.answer(message) {
        assert!(answer.len() <= 2 * SEARCH_BYTES_MAX);
    }
    let (mut search, _) = Search::begin(&INDEX);
    // What a peer answers may be no answer.
    let _ = search.take_in(&INDEX, message);
}
