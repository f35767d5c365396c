//! A store without the cluster that it comes from: what the log of its node had beyond it is taken in, and one
//! that was restored goes on as a cluster of one behind the last entry it has, so that who joins is sent all that
//! came before. The old members are taken away for good. Keeps M4.
//! Knows nothing of files or identities.

use std::collections::{BTreeMap, BTreeSet};

use covault_model::{id::NodeId, registry::Registry};
use covault_store::{Meta, Rows, Store, StoreError, Txn};
use openraft::{BasicNode, Membership, Vote};

use super::{
    machine::{applied_as_of, apply},
    types::{Entry, StoredMembership, encode},
};

/// Entries carried out in one transaction.
const ENTRIES_PER_WRITE: u64 = 64;

/// What a store that was restored goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// The index of the last log entry it has.
    pub last_log: u64,
    /// The members as of that entry.
    pub members: Vec<NodeId>,
}

/// What `store` would go on from; absent when nothing was ever agreed in it.
pub fn legacy(store: &Store) -> Result<Option<Legacy>, StoreError> {
    let (applied, membership) = applied_as_of(&store.view()?.rows())?;
    let members = || membership.nodes().map(|(node, _)| *node).collect();
    Ok(applied.map(|applied| Legacy { last_log: applied.index, members: members() }))
}

/// Carries out in `copy`, a copy of `store`, what is in the log of `store` beyond what `store` has carried out,
/// and says how many entries.
pub fn take_in_log(copy: &Store, store: &Store) -> Result<u64, StoreError> {
    let (_, end) = store.log()?.bounds();
    let (applied, _) = applied_as_of(&copy.view()?.rows())?;
    let first = applied.map_or(0, |applied| applied.index + 1);
    let mut next = first;
    while next < end {
        let until = end.min(next + ENTRIES_PER_WRITE);
        let stored = store.log()?.read(next..=until - 1)?;
        let decode = |bytes: &[u8]| covault_model::decode::<Entry>(bytes);
        let entries: Result<Vec<Entry>, _> = stored.iter().map(|entry| decode(&entry.bytes)).collect();
        let entries = entries.map_err(|why| StoreError::Corrupt { table: "raft log", why })?;
        copy.write_now(move |txn| apply(txn, &entries).map(drop))?;
        next = until;
    }
    Ok(end.saturating_sub(first))
}

/// Makes a store that was restored, and never ran, that of a cluster of `node` alone, reached at `address`.
pub fn go_on_alone(store: &Store, node: NodeId, address: &str) -> Result<(), StoreError> {
    if !is_restored(&store.view()?.rows())? {
        return Ok(());
    }
    let address = address.to_owned();
    store.write_now(move |txn| succeed(txn, node, address))
}

/// A node that ran has voted, if only for itself; a backup keeps what was agreed, and no votes.
fn is_restored(rows: &Rows<'_>) -> Result<bool, StoreError> {
    Ok(rows.meta(Meta::Vote)?.is_none() && rows.meta(Meta::Applied)?.is_some())
}

fn succeed(txn: &mut Txn<'_>, node: NodeId, address: String) -> Result<(), StoreError> {
    let (applied, membership) = applied_as_of(&txn.rows())?;
    let Some(applied) = applied else { return Ok(()) };
    let old = membership.nodes().map(|(old, known)| (*old, known.addr.parse().ok()));
    let roster = txn.rows().roster()?.bequeathed(old);
    txn.replace_roster(&roster)?;
    let alone =
        Membership::new(vec![BTreeSet::from([node])], BTreeMap::from([(node, BasicNode::new(address))]));
    txn.put_meta(Meta::Membership, &encode(&StoredMembership::new(Some(applied), alone)))?;
    txn.put_meta(Meta::Purged, &encode(&applied))?;
    // Later than every term in which anything here was agreed.
    txn.put_meta(Meta::Vote, &encode(&Vote::new(applied.leader_id.term + 1, node)))
}
