//! Keeps X5: the index that follows what is written is the one that would be made from it, and says where each
//! secret is.

#![allow(clippy::unwrap_used)]

#[path = "../../../store/tests/support/records.rs"]
mod records;
#[path = "../../../store/tests/support/scratch.rs"]
mod scratch;

use std::{collections::BTreeMap, sync::Arc};

use covault_model::{
    command::{Action, NewSecret},
    id::NodeId,
    marks::Mark,
    name::SecretPath,
    record::Record,
};
use covault_store::{Newest, Store};
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;
use tokio::task::yield_now;

use crate::{
    host::Machine,
    merge::{
        Records,
        index::{Index, ItemId},
        tests::exchange::search,
    },
};

/// A node's records, written to behind their back.
struct Scene {
    _dir: TempDir,
    store: Arc<Store>,
    records: Records,
    /// The last record of every secret.
    last: BTreeMap<SecretPath, Record>,
    time: u64,
}

impl Scene {
    fn new() -> Self {
        let (dir, store) = scratch::empty(scratch::options());
        let store = Arc::new(store);
        let records = Records::new(store.clone(), Arc::new(Machine), NodeId([1; 32]), None);
        Self { _dir: dir, store, records, last: BTreeMap::new(), time: 1000 }
    }

    /// Makes a secret exist, or adds a record to it.
    fn write(&mut self, path: &SecretPath) {
        self.time += 1;
        let at = path.clone();
        let record = match self.last.get(path) {
            None => {
                let version = records::version(path, self.time, &[], path.name.as_bytes());
                let record = version.record.clone();
                let new = NewSecret { path: at, version, marks: None };
                let create = records::command(Action::Create(vec![new]));
                self.store.write_now(move |txn| Ok(txn.apply(&create)?.outcome.unwrap())).unwrap();
                record
            }
            Some(last) => {
                let record = records::marks(path, self.time, &[last], &[Mark::Description(None)]);
                let marks = record.clone();
                assert!(self.store.write_now(move |txn| txn.insert_marks(&at, &marks)).unwrap());
                record
            }
        };
        self.last.insert(path.clone(), record);
    }

    /// Has the index follow everything, a turn after the other.
    async fn follow(&self) {
        while self.records.follow().await.unwrap() != 0 {}
    }

    /// Compares the index with one that is made from what is there now, and looks every secret up.
    async fn check(&self) {
        let made = self.records.make_index().await.unwrap();
        let differ = |index: &Index| search(index, &made).0.len() + search(&made, index).0.len();
        assert_eq!(self.records.in_index(false, differ).await.unwrap(), 0);
        let secrets = self.store.view().unwrap().rows().secrets_after(None, usize::MAX).unwrap();
        assert_eq!(secrets.len(), self.last.len());
        for (path, view) in secrets {
            // Each by itself: what is looked for together is found wherever any of it is said to be.
            let item = ItemId::new(&path.id(), &Newest::of(view.as_ref().unwrap()));
            assert_eq!(self.records.paths(&[item]).await.unwrap(), [path]);
        }
    }
}

fn path(owner: &str, number: usize) -> SecretPath {
    SecretPath { owner: records::caller(owner), name: records::name(&format!("s/{number:04}")) }
}

fn alone<T>(all: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(all)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_that_follows_equals_one_that_is_made(
        writes in vec((any::<bool>(), 0..150_usize, 0..20_u8), 1..400),
        made_after in 0..200_usize,
    ) {
        alone(async {
            let mut scene = Scene::new();
            for (at, (first, number, follows)) in writes.into_iter().enumerate() {
                scene.write(&path(if first { "ann" } else { "bob" }, number));
                if at == made_after {
                    scene.records.in_index(true, |_| ()).await.unwrap();
                } else if follows == 0 {
                    scene.follow().await;
                }
            }
            scene.records.in_index(true, |_| ()).await.unwrap();
            scene.check().await;
        });
    }
}

#[test]
fn what_is_written_while_an_index_is_made_is_in_it_once() {
    alone(async {
        let mut scene = Scene::new();
        (0..1500).step_by(2).for_each(|number| scene.write(&path("ann", number)));
        let records = scene.records.clone();
        let making = tokio::spawn(async move { records.in_index(true, |_| ()).await });
        // Each turn is one of the walk's too: secrets change, and come, before and behind where it is.
        for turn in 0..8 {
            for number in [turn, turn + 1, 700 + turn, 1400 + turn, 1400 + turn] {
                scene.write(&path("ann", number));
            }
            yield_now().await;
        }
        making.await.unwrap().unwrap();
        scene.records.in_index(true, |_| ()).await.unwrap();
        scene.check().await;
    });
}

#[test]
fn many_that_come_between_two_are_found_where_they_stand() {
    alone(async {
        let mut scene = Scene::new();
        scene.write(&path("ann", 0));
        scene.write(&path("bob", 0));
        scene.records.in_index(true, |_| ()).await.unwrap();
        for number in (1..300).chain((300..600).rev()) {
            scene.write(&path("ann", number));
        }
        scene.follow().await;
        scene.check().await;
    });
}

#[test]
fn many_that_come_before_the_first_are_found_where_they_stand() {
    alone(async {
        let mut scene = Scene::new();
        scene.records.in_index(true, |_| ()).await.unwrap();
        scene.write(&path("bob", 0));
        scene.follow().await;
        (0..40).for_each(|number| scene.write(&path("ann", number)));
        scene.follow().await;
        scene.check().await;
    });
}

#[test]
fn another_registry_has_the_index_made_anew() {
    alone(async {
        let (mut scene, mut other) = (Scene::new(), Scene::new());
        for number in 0..3 {
            scene.write(&path("ann", number));
            other.write(&path("ann", number));
        }
        scene.write(&path("ann", 3));
        scene.records.in_index(true, |_| ()).await.unwrap();
        let registry = other.store.export_registry().unwrap();
        scene.store.write_now(move |txn| txn.install_registry(&registry)).unwrap();
        scene.last.remove(&path("ann", 3));
        scene.records.in_index(true, |_| ()).await.unwrap();
        scene.check().await;
    });
}
