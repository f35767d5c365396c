//! How issues of mappings come to be on every node: spread when they are made, until a majority has them; and
//! found by whoever missed that. Two nodes compare digests from the whole of an epoch down, byte by byte of the
//! ids, and only below what differs, until what is left is few enough to be listed:
//!
//! ```text
//!   Scopes → Scopes      of which epochs there are issues, and a digest of each
//!   Under  → Under       of some beginnings of ids: the ids if they are few, else digests by the next byte
//!   Issues → Issues      those that are lacked
//! ```
//!
//! Keeps T3 and T5 together with `intake`, and T6 with the vault. Knows nothing of what is in an issue.

use std::{collections::BTreeSet, time::Duration};

use covault_model::{
    epoch::epochs_of,
    id::{IssueId, NodeId},
    issue::{Issue, Scope},
    mutant::Mutant,
};
use covault_net::{CallError, Loss};
use covault_store::{IssueDigest, Rows, StoreError};
use serde_bytes::ByteBuf;
use tokio::{task::JoinSet, time::timeout};

use super::{
    intake::{IntakeError, Taken},
    message::{Ask, LISTED_MAX, NAMED_MAX, RECORDS_BYTES_MAX, SCOPES_MAX, Told, UNDER_MAX, Under},
    outbox::Parcel,
    records::Records,
    search::{FETCH_DEADLINE, SearchError},
};

/// How long a client waits for a majority to have what it issued.
const SPREAD_DEADLINE: Duration = Duration::from_secs(1);
/// Questions about one epoch in one search; the next one goes on.
const QUESTIONS_MAX: usize = 10_000;

impl Records {
    /// Sends issues of this node to all peers, and waits until so many of `voters` have them, this node
    /// among them, or for a moment. Gives how many are known to.
    pub async fn spread(&self, issues: &[Issue], voters: &BTreeSet<NodeId>, wanted: usize) -> usize {
        let parcels = Parcel::of(issues);
        let mut posted = JoinSet::new();
        for peer in self.peers() {
            let kept: Vec<_> = parcels.iter().map(|parcel| self.post(peer, parcel.clone())).collect();
            posted.spawn(async move {
                for kept in kept {
                    kept.await.ok()?;
                }
                Some(peer)
            });
        }
        let mut have = usize::from(voters.contains(&self.me()));
        let waiting = async {
            while have < wanted
                && let Some(ended) = posted.join_next().await
            {
                have += usize::from(matches!(ended, Ok(Some(peer)) if voters.contains(&peer)));
            }
        };
        // What is not there in time may come all the same, and is found by a search if it does not.
        let _ = timeout(SPREAD_DEADLINE, waiting).await;
        have
    }

    /// Takes in what `peer` has of these epochs and this node lacks, while a client waits.
    ///
    /// # Errors
    /// [`SearchError::Left`] if it has something that cannot count here yet: who looks here then misses what there is.
    pub async fn catch_up(&self, peer: NodeId, scopes: &[Scope]) -> Result<(), SearchError> {
        let all = async {
            for scope in scopes {
                let taken = self.take_scope(peer, scope).await?;
                if 0 < taken.left && !Mutant::BlindMiss.is_on() {
                    return Err(SearchError::Left);
                }
            }
            Ok(())
        };
        let caught = timeout(FETCH_DEADLINE, all).await;
        let caught = caught.unwrap_or(Err(SearchError::Call(CallError::Lost(Loss::Deadline))));
        self.judge(peer, caught)
    }

    /// Which of these issues of an epoch `peer` has.
    pub async fn which_has(
        &self,
        peer: NodeId,
        scope: &Scope,
        issues: &BTreeSet<IssueId>,
    ) -> Result<BTreeSet<IssueId>, SearchError> {
        // As good as the whole id, which a question cannot have.
        let begin = |id: &IssueId| ByteBuf::from(&id.0[..IssueId::LEN - 1]);
        let prefixes: Vec<ByteBuf> = issues.iter().map(begin).collect();
        let mut has = BTreeSet::new();
        for asked in prefixes.chunks(UNDER_MAX) {
            let Told::Under(told) = self.ask(peer, &Ask::Under(scope.clone(), asked.to_vec())).await? else {
                return Err(SearchError::Garbled);
            };
            for under in told {
                if let Under::Ids(ids) = under {
                    has.extend(ids.into_iter().filter(|id| issues.contains(id)));
                }
            }
        }
        Ok(has)
    }

    /// Finds what `peer` has issued and this node lacks, and takes it in.
    pub(super) async fn reconcile_issues(&self, peer: NodeId) -> Result<Taken, SearchError> {
        let (mut taken, mut last): (Taken, Option<Scope>) = (Taken::default(), None);
        loop {
            let Told::Scopes(scopes) = self.ask(peer, &Ask::Scopes(last.clone())).await? else {
                return Err(SearchError::Garbled);
            };
            for (scope, theirs) in &scopes {
                if last.as_ref().is_some_and(|last| scope <= last) {
                    return Err(SearchError::Garbled);
                }
                last = Some(scope.clone());
                match self.differs(scope, theirs)? {
                    Some(true) => taken += self.take_scope(peer, scope).await?,
                    Some(false) => {}
                    None => taken.left += 1,
                }
            }
            if scopes.len() < SCOPES_MAX {
                return Ok(taken);
            }
        }
    }

    /// Whether there may be something to take in of an epoch of which a peer has this digest; nobody can tell of one
    /// that this node does not know yet.
    fn differs(&self, scope: &Scope, theirs: &IssueDigest) -> Result<Option<bool>, StoreError> {
        let view = self.store().view()?;
        let epochs = epochs_of(&view.rows(), &scope.owner)?;
        let Some(entry) = epochs.as_ref().and_then(|epochs| epochs.get(scope.epoch)) else { return Ok(None) };
        Ok(Some(entry.destroyed_at.is_none() && whole(&view.rows().issue_digests(scope)?) != *theirs))
    }

    /// Takes in what is lacked of one epoch.
    async fn take_scope(&self, peer: NodeId, scope: &Scope) -> Result<Taken, SearchError> {
        let (mut taken, mut wanted) = (Taken::default(), Vec::new());
        let mut open: Vec<ByteBuf> = vec![ByteBuf::new()];
        for _ in 0..QUESTIONS_MAX {
            let asked: Vec<ByteBuf> = open.drain(open.len().saturating_sub(UNDER_MAX)..).collect();
            if asked.is_empty() {
                break;
            }
            let Told::Under(told) = self.ask(peer, &Ask::Under(scope.clone(), asked.clone())).await? else {
                return Err(SearchError::Garbled);
            };
            if told.len() != asked.len() {
                return Err(SearchError::Garbled);
            }
            for (prefix, under) in asked.into_iter().zip(told) {
                self.compare(scope, &prefix, under, &mut open, &mut wanted)?;
            }
            while NAMED_MAX <= wanted.len() {
                taken += self.take_issues(peer, scope, wanted.split_off(wanted.len() - NAMED_MAX)).await?;
            }
        }
        taken += self.take_issues(peer, scope, wanted).await?;
        taken.left += open.len();
        Ok(taken)
    }

    /// Adds to `wanted` what is lacked here of what is listed, and to `open` what is to be looked at closer.
    fn compare(
        &self,
        scope: &Scope,
        prefix: &[u8],
        under: Under,
        open: &mut Vec<ByteBuf>,
        wanted: &mut Vec<IssueId>,
    ) -> Result<(), SearchError> {
        let view = self.store().view()?;
        let rows = view.rows();
        match under {
            Under::Ids(ids) => {
                for id in ids {
                    if !id.0.starts_with(prefix) {
                        return Err(SearchError::Garbled);
                    }
                    if rows.issue(scope, &id)?.is_none() {
                        wanted.push(id);
                    }
                }
            }
            Under::Digests(_) if IssueId::LEN <= prefix.len() + 1 => return Err(SearchError::Garbled),
            Under::Digests(theirs) => {
                let ours = digests_under(rows, scope, prefix)?;
                let differing = theirs.into_iter().filter(|digest| !ours.contains(digest));
                open.extend(differing.map(|(byte, _)| ByteBuf::from([prefix, &[byte]].concat())));
            }
        }
        Ok(())
    }

    /// Asks for these issues until there are no more of them, or nothing more is of use.
    async fn take_issues(
        &self,
        peer: NodeId,
        scope: &Scope,
        mut wanted: Vec<IssueId>,
    ) -> Result<Taken, SearchError> {
        let mut taken = Taken::default();
        while !wanted.is_empty() {
            let ask = Ask::Issues(scope.clone(), wanted.clone());
            let Told::Issues(sent, more) = self.ask(peer, &ask).await? else {
                return Err(SearchError::Garbled);
            };
            if sent.is_empty() && more {
                return Err(SearchError::Garbled);
            }
            let of_these = self.take_in_issues(sent).await?;
            taken += of_these;
            if !more {
                break;
            }
            if of_these.new == 0 {
                taken.left += wanted.len();
                break;
            }
            let view = self.store().view()?;
            let lacked = wanted.into_iter().map(|id| Ok((view.rows().issue(scope, &id)?.is_none(), id)));
            let lacked = lacked.collect::<Result<Vec<_>, StoreError>>()?;
            wanted = lacked.into_iter().filter(|(lacked, _)| *lacked).map(|(_, id)| id).collect();
        }
        Ok(taken)
    }

    /// Answers a peer's question about issues.
    pub(super) async fn tell_of_issues(&self, ask: Ask) -> Result<Told, IntakeError> {
        Ok(match ask {
            Ask::PushIssues(sent) => Told::Kept(self.take_in_issues(sent).await?.kept as u64),
            Ask::Scopes(after) => Told::Scopes(self.scopes_after(after)?),
            Ask::Under(scope, prefixes) => {
                let mut told = Vec::with_capacity(prefixes.len());
                for prefix in prefixes {
                    told.push(self.under(&scope, &prefix)?);
                    // An epoch may have millions.
                    tokio::task::yield_now().await;
                }
                Told::Under(told)
            }
            Ask::Issues(scope, ids) => self.issues(&scope, &ids)?,
            Ask::LookThrough(nodes) => Told::LookedThrough(self.look_through(&nodes).await),
            _ => return Err(self.intake().malformed()),
        })
    }

    fn scopes_after(&self, after: Option<Scope>) -> Result<Vec<(Scope, IssueDigest)>, StoreError> {
        let view = self.store().view()?;
        let (mut scopes, mut last) = (Vec::new(), after);
        while scopes.len() < SCOPES_MAX
            && let Some(scope) = view.rows().next_scope(last.as_ref())?
        {
            scopes.push((scope.clone(), whole(&view.rows().issue_digests(&scope)?)));
            last = Some(scope);
        }
        Ok(scopes)
    }

    fn under(&self, scope: &Scope, prefix: &[u8]) -> Result<Under, StoreError> {
        let view = self.store().view()?;
        let ids = view.rows().issue_ids(scope, prefix, LISTED_MAX + 1)?;
        if ids.len() <= LISTED_MAX {
            return Ok(Under::Ids(ids));
        }
        Ok(Under::Digests(digests_under(view.rows(), scope, prefix)?))
    }

    fn issues(&self, scope: &Scope, ids: &[IssueId]) -> Result<Told, StoreError> {
        let view = self.store().view()?;
        let (mut sent, mut bytes) = (Vec::new(), 0);
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let Some(issue) = view.rows().issue(scope, id)? else { continue };
            bytes += issue.len();
            if RECORDS_BYTES_MAX < bytes {
                return Ok(Told::Issues(sent, true));
            }
            sent.push(ByteBuf::from(issue));
        }
        Ok(Told::Issues(sent, false))
    }
}

/// Digests by the byte that follows `prefix`: those that are kept, or added up for the purpose.
fn digests_under(rows: Rows<'_>, scope: &Scope, prefix: &[u8]) -> Result<Vec<(u8, IssueDigest)>, StoreError> {
    if prefix.is_empty() { rows.issue_digests(scope) } else { rows.issue_digests_under(scope, prefix) }
}

fn whole(digests: &[(u8, IssueDigest)]) -> IssueDigest {
    digests.iter().fold(IssueDigest::default(), |whole, (_, digest)| whole.and(digest))
}
