//! The index of a node's items, as of what is committed: made once, by a walk through all secrets, and then told of
//! each change. It is made anew only when the store cannot tell what changed, such as when another registry came.
//! Everything is done some secrets at a time: no read of the store is held for long, nor the thread.
//! Keeps X5 with `search`. Knows nothing of peers.

use std::{collections::BTreeSet, ops::Bound};

use covault_model::name::SecretPath;
use covault_store::{Newest, StoreError};
use tokio::task::yield_now;

use super::{
    index::{Index, ItemId},
    message::NAMED_MAX,
    records::Records,
    stretches::Span,
};

/// Secrets looked at, or changes followed, between two turns of other tasks. Few: a request may wait for the thread as
/// long.
pub(super) const SECRETS_PER_TURN: usize = 64;
/// Stretches cut in a turn. Together with what is cut off one at once it is more than the changes of a turn need, wherever
/// they are; it bounds what a turn takes when many stretches become too long together.
const CUTS_PER_TURN: usize = 8;

impl Records {
    /// Has the index follow the next changes that were committed, if there is one; gives how many. To be called every
    /// second, and again soon while there were any, so that there is never much to follow.
    pub(super) async fn follow(&self) -> Result<usize, StoreError> {
        let mut kept = self.kept_index().await;
        let Some(index) = kept.take() else { return Ok(0) };
        let (index, followed) = self.brought_nearer(index).await?;
        *kept = Some(index);
        Ok(followed)
    }

    /// Lets `look` see the index: of what is committed now if it is to be fresh, or of some moment before.
    pub(super) async fn in_index<T>(
        &self,
        fresh: bool,
        look: impl FnOnce(&Index) -> T,
    ) -> Result<T, StoreError> {
        let mut kept = self.kept_index().await;
        // One that an error, or a task that was stopped, left on the way is lost, not kept half done.
        let index = match kept.take() {
            Some(index) if fresh => self.brought_up_to_date(index).await?,
            Some(index) => index,
            None => self.make_index().await?,
        };
        let seen = look(&index);
        *kept = Some(index);
        Ok(seen)
    }

    /// The secrets whose items these are, as far as they are in the index and it says where.
    pub(super) async fn paths(&self, items: &[ItemId]) -> Result<Vec<SecretPath>, StoreError> {
        let whereabouts = self.in_index(false, |index| index.whereabouts(items)).await?;
        let mut found = BTreeSet::new();
        for span in &whereabouts.spans {
            let find = |path| {
                found.extend(whereabouts.has(&path).then_some(path));
                true
            };
            self.each_of(span, find).await?;
        }
        Ok(found.into_iter().take(NAMED_MAX).collect())
    }

    async fn brought_up_to_date(&self, mut index: Index) -> Result<Index, StoreError> {
        let mut followed = SECRETS_PER_TURN;
        while followed == SECRETS_PER_TURN {
            (index, followed) = self.brought_nearer(index).await?;
            yield_now().await;
        }
        Ok(index)
    }

    /// The index with the next changes that were committed, and how many; fewer than it takes in a turn were the last.
    async fn brought_nearer(&self, mut index: Index) -> Result<(Index, usize), StoreError> {
        let Some(mut some) = self.store().take_changes(SECRETS_PER_TURN) else {
            drop(index);
            return Ok((self.make_index().await?, 0));
        };
        // Those of one secret side by side, in the order in which they were made.
        some.sort_by(|one, other| one.path.cmp(&other.path));
        some.chunk_by(|one, other| one.path == other.path).for_each(|of_one| index.follow(of_one));
        for _ in 0..CUTS_PER_TURN {
            let Some((mut cut, span)) = index.begin_cut() else { break };
            let all_laid = self.each_of(&span, |path| index.lay(&mut cut, path)).await?;
            index.end_cut(cut, all_laid);
        }
        Ok((index, some.len()))
    }

    /// Hands to `each` the secrets of a span whose names exist, in their order, until it says that it is enough. Whether it
    /// never did.
    async fn each_of(
        &self,
        Span { from, until }: &Span,
        mut each: impl FnMut(SecretPath) -> bool,
    ) -> Result<bool, StoreError> {
        let (mut last, mut more) = (None::<SecretPath>, true);
        while more {
            let after = last.as_ref().map(Bound::Excluded).or(from.as_ref().map(Bound::Included));
            let range = (after.unwrap_or(Bound::Unbounded), until.as_ref());
            let some = self.store().view()?.rows().secrets_within(range, SECRETS_PER_TURN)?;
            (last, more) = (some.last().cloned(), some.len() == SECRETS_PER_TURN);
            if !some.into_iter().all(&mut each) {
                return Ok(false);
            }
            yield_now().await;
        }
        Ok(true)
    }

    /// The index of all there is.
    pub(super) async fn make_index(&self) -> Result<Index, StoreError> {
        self.store().follow_changes();
        let mut index = Index::default();
        let mut last: Option<SecretPath> = None;
        loop {
            let some = self.store().view()?.rows().secrets_after(last.as_ref(), SECRETS_PER_TURN)?;
            let Some((path, _)) = some.last() else { break };
            last = Some(path.clone());
            for (path, view) in &some {
                if let Some(view) = view {
                    index.append(path, ItemId::new(&path.id(), &Newest::of(view)));
                }
            }
            yield_now().await;
        }
        Ok(index)
    }
}
