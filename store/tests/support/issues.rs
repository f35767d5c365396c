//! Issues of mappings, made and signed by number.
//! Knows nothing of what becomes of them.

use std::collections::BTreeSet;

use covault_model::{
    epoch::Epoch,
    hlc::Hlc,
    id::MappingId,
    issue::{Issue, IssueHeader, Mapping, Scope},
    key::NodeKey,
    name::CallerName,
};

/// An epoch of an owner.
pub fn scope(owner: &str, epoch: u32) -> Scope {
    Scope { owner: CallerName::parse(owner).expect("a caller's name"), epoch: Epoch(epoch) }
}

/// An issue of these mappings, each to a sealed value of `variant`, by a node of that number.
pub fn issue(scope: &Scope, time: u64, ids: impl IntoIterator<Item = MappingId>, variant: u8) -> Issue {
    let key = NodeKey::from_seed(&[1 + variant; 32]);
    let ids: BTreeSet<MappingId> = ids.into_iter().collect();
    let header = IssueHeader {
        scope: scope.clone(),
        time: Hlc(time),
        author: key.node_id(),
        idempotency: None,
        mappings: ids.into_iter().map(|id| Mapping(id, vec![variant; 20])).collect(),
    };
    Issue::sign(header, &key)
}
