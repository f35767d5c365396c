//! When mappings are filed that are piled up: while a pile is full, as many with each commit as it brings new ones, and a
//! few more; and some when nothing has come for a moment. So no commit waits for what others have brought.
//! Keeps D3: where there is no room for filing, writes go on without. Knows nothing of how piles are kept.

use std::sync::Arc;

use heed::{Env, RwTxn, WithoutTls};

use crate::{
    error::StoreError,
    tables::Tables,
    unfiled::{Filing, News, Piles, Unfiled},
};

/// Mappings that are filed for three new ones. A pile takes five quarters of what it holds to be filed and cleared
/// away, so that it is gone a little before the next one is full.
const FILED_FOR_THREE: usize = 4;
/// The same while the next one is full already.
const FILED_FOR_THREE_WHEN_BEHIND: usize = 12;
/// Mappings filed with a commit that there would not be otherwise.
const FILED_WHEN_IDLE: usize = 1 << 10;
/// Commits that go by before it is tried again to file where there was no room.
const COMMITS_WHEN_CRAMPED: usize = 64;

/// How far a commit came with the pile that is filed: to its end, if there is nothing.
pub(crate) struct Filed(Option<Filing>);

/// The writer's part in filing.
pub(crate) struct Filer {
    unfiled: Arc<Unfiled>,
    /// Mappings after which a pile is filed.
    pile_max: usize,
    /// Commits that are not to file anything, for want of room.
    rests: usize,
}

impl Filer {
    pub fn new(unfiled: Arc<Unfiled>, pile_max: usize) -> Self {
        Self { unfiled, pile_max, rests: 0 }
    }

    /// The piles as they are now.
    pub fn piles(&self) -> Arc<Piles> {
        self.unfiled.piles()
    }

    /// Whether there is anything to do when nothing else is.
    pub fn has_work(&self) -> bool {
        !self.unfiled.piles().is_empty()
    }

    /// Whether there is, and there was no room for it the last time.
    pub fn is_cramped(&self) -> bool {
        self.rests != 0 && self.has_work()
    }

    /// Files what is due, in a transaction nested in `outer`, in which `news` has come about.
    pub fn file(
        &mut self,
        env: &Env<WithoutTls>,
        tables: &Tables,
        outer: &mut RwTxn<'_>,
        news: &[News],
        is_idle: bool,
    ) -> Result<Option<Filed>, StoreError> {
        let piles = self.unfiled.piles();
        let due = self.due(&piles, news, is_idle);
        let Some(filing) = piles.filing().filter(|_| due != 0).cloned() else { return Ok(None) };
        let mut txn = env.nested_write_txn(outer)?;
        match filing.step(&mut txn, tables, due) {
            Ok(filed) => {
                txn.commit()?;
                Ok(Some(Filed(filed)))
            }
            Err(StoreError::Full) => {
                self.found_no_room();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn due(&mut self, piles: &Piles, news: &[News], is_idle: bool) -> usize {
        if is_idle {
            return FILED_WHEN_IDLE;
        }
        self.rests = self.rests.saturating_sub(1);
        // What is erased in this transaction must not be filed in it.
        let shreds = news.iter().any(|news| matches!(news, News::Shredded(_)));
        if shreds || self.rests != 0 {
            return 0;
        }
        let is_behind = self.pile_max <= piles.growing();
        let pace = if is_behind { FILED_FOR_THREE_WHEN_BEHIND } else { FILED_FOR_THREE };
        (news.iter().map(News::mappings).sum::<usize>() * pace).div_ceil(3)
    }

    /// Follows a commit: lets whoever looks know of it, and begins to file a pile that is full, or any if nobody waits
    /// for anything.
    pub fn follow(&mut self, filed: Option<Filed>, news: Vec<News>, is_idle: bool) {
        if filed.is_some() {
            self.rests = 0;
        }
        if filed.is_none() && news.is_empty() && !is_idle {
            return;
        }
        let mut piles = Piles::clone(&self.unfiled.piles());
        if let Some(Filed(filed)) = filed {
            piles.follow(filed);
        }
        news.into_iter().for_each(|news| piles.take_in(news));
        if is_idle || self.pile_max <= piles.growing() {
            piles.turn();
        }
        self.unfiled.publish(piles);
    }

    /// Files nothing for a while.
    pub fn found_no_room(&mut self) {
        self.rests = COMMITS_WHEN_CRAMPED;
    }
}
