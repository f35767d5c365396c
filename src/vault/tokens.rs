//! Tokens: the vault lends the key of the active epoch to whoever computes them, decides which of the mappings
//! that are proposed come to exist, and opens those of tokens that are shown. Keeps T3 (a mapping is inserted
//! once), T2 (new ones belong to the active epoch, none to one that was destroyed, and a majority confirms that it
//! was not before tokens are told to exist), T4 (a token that does not say its epoch is looked for in all
//! of them, never guessed) and T6 (what is told to exist is on the disks of a majority, or it is
//! said that it is not; with `spread.rs`).
//! Knows nothing of documents or of how a token is computed.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use covault_model::{
    epoch::{Epoch, Epochs, epochs_of},
    field::FieldRule,
    id::{IssueId, MappingId},
    issue::{Issue, IssueHeader, Mapping, Scope},
    limits::ISSUE_MAPPINGS_MAX,
    name::{CallerName, MasterKeyName},
    record::{Idempotency, key_apart},
    refusal::{CallerMistake, Limit, NoAuthority, NodeFault, Refusal},
    registry::{Outcome, Remembered},
};
use covault_seal::{EpochKey, Misfit, Plaintext};
use covault_store::{Rows, StoreError};
use tokio::try_join;

use super::{
    Asker, IdempotencyKey, Issued, Replication, Standing, Vault, audited::About, digest::recall_in,
    epochs::epochs_in, keys::seal_refusal, marks::is_same_request, storage_refusal,
};
use crate::{
    audit::{Action, Subject},
    tokens::{Proposal, Sought},
};

/// Times a proposal is computed anew when another epoch was activated just before it.
const RECOMPUTED_MAX: usize = 4;
/// Bytes of mappings in one issue; one more always fits.
const ISSUE_BYTES_MAX: usize = 40 * 1024;
/// Bytes of values that one request opens (4 MiB). A token may be named many times, and each time takes its room.
const OPENED_BYTES_MAX: usize = 4 << 20;

/// What is to become tokens: how many values, what makes a retry safe, and what tells a retry from another request.
pub struct TokenRequest<'a> {
    /// How many values.
    pub values: usize,
    /// By which rules, also where the request leaves them to what is configured.
    pub rules: &'a [FieldRule],
    /// The client's idempotency key.
    pub key: Option<IdempotencyKey>,
    /// The request; read only when there is a key.
    pub says: &'a [u8],
}

/// In which epoch a request gets its tokens, and what it is remembered by.
#[derive(Clone, Copy)]
struct Terms {
    epoch: Epoch,
    idempotency: Option<Idempotency>,
    /// Whether the very request was answered before.
    replayed: bool,
}

/// What is known of proposed mappings.
#[derive(Default)]
struct Known {
    /// Those that do not exist here.
    fresh: Vec<Mapping>,
    /// The issues of those that exist, and may do so on too few nodes.
    unspread: BTreeSet<IssueId>,
}

impl Vault {
    /// Has `compute` propose mappings under the key of the active epoch, and makes those exist that did not.
    pub async fn tokenize(
        &self,
        asker: &Asker,
        request: TokenRequest<'_>,
        compute: impl Fn(&EpochKey) -> Result<Proposal, Misfit>,
    ) -> Result<(Proposal, Issued), Refusal> {
        let about = About::subject(Action::Tokenize, Subject::Values(request.values as u64));
        let tokenize = async {
            self.require_pace(asker, request.values)?;
            for _ in 0..RECOMPUTED_MAX {
                let terms = self.terms(asker, &request)?;
                let key = self.epoch_key(&asker.session.caller, terms.epoch)?;
                let proposal = compute(&key).map_err(|Misfit| NodeFault::Corrupt)?;
                match self.issue(&proposal, &terms).await {
                    Err(Refusal::Caller(CallerMistake::EpochConflict)) => {}
                    issued => return Ok((proposal, issued?)),
                }
            }
            Err(NoAuthority::StaleTime.into())
        };
        self.audited(asker, about, |_| None, tokenize).await
    }

    /// The values behind these tokens, in their order: all or none. What is no token, is another's or stands for
    /// nothing is not found, whichever it is.
    pub async fn detokenize(
        &self,
        asker: &Asker,
        sought: &[Sought],
    ) -> Result<(Vec<Plaintext>, Standing), Refusal> {
        let about = About::subject(Action::Detokenize, Subject::Values(sought.len() as u64));
        let detokenize = async {
            self.require_pace(asker, sought.len())?;
            let values = match self.open_tokens(&asker.session.caller, sought) {
                Err(Refusal::Caller(CallerMistake::NotFound)) => {
                    self.confirm_mappings(&asker.session.caller, sought).await?;
                    self.open_tokens(&asker.session.caller, sought)?
                }
                found => found?,
            };
            Ok((values, self.standing()))
        };
        self.audited(asker, about, |_| None, detokenize).await
    }

    fn require_pace(&self, asker: &Asker, values: usize) -> Result<(), Refusal> {
        let takes = self.pace.takes(&asker.session.caller, values, self.now());
        if takes { Ok(()) } else { Err(NoAuthority::RateLimited.into()) }
    }

    /// The epoch that is active as this node knows; or the one in which this very request was answered before.
    fn terms(&self, asker: &Asker, request: &TokenRequest<'_>) -> Result<Terms, Refusal> {
        let caller = &asker.session.caller;
        let says = Plaintext::new(if request.key.is_some() { request.says.to_vec() } else { Vec::new() });
        let fields = ("tokenize", request.rules);
        let idempotency = self.idempotency(caller, request.key.as_ref(), &fields, Some(&says))?;
        let recalled = idempotency.as_ref().map(|it| self.recall(caller, it.key())).transpose()?.flatten();
        if let Some(found) = recalled {
            is_same_request(idempotency.as_ref(), &found)?;
            let Outcome::Issued(epoch) = found.outcome else {
                return Err(CallerMistake::IdempotencyConflict.into());
            };
            return Ok(Terms { epoch, idempotency, replayed: true });
        }
        let epoch = epochs_in(self.look()?.rows(), caller)?.active();
        Ok(Terms { epoch, idempotency, replayed: false })
    }

    fn epoch_key(&self, owner: &CallerName, epoch: Epoch) -> Result<EpochKey, Refusal> {
        let view = self.look()?;
        let epochs = epochs_in(view.rows(), owner)?;
        let entry = epochs.get(epoch).filter(|entry| entry.destroyed_at.is_none());
        let entry = entry.ok_or(CallerMistake::NotFound)?;
        self.key_of(view.rows(), &entry.key, &Scope { owner: owner.clone(), epoch })
    }

    fn key_of(&self, rows: Rows<'_>, key: &MasterKeyName, scope: &Scope) -> Result<EpochKey, Refusal> {
        self.parts.keys.require_right(rows, key)?;
        let found = self.parts.keys.ring()?.epoch_key(key, self.parts.cluster, scope);
        found.ok_or_else(|| NodeFault::MasterKeyUnavailable(Some(key.clone())).into())
    }

    /// Makes those of the proposed mappings exist that do not, in the active epoch only, and sees that a majority
    /// has them all and knows of nothing that undoes them.
    async fn issue(&self, proposal: &Proposal, terms: &Terms) -> Result<Issued, Refusal> {
        let scope = &proposal.scope;
        let confirming = async { Ok(self.parts.consensus.confirms_soon().await) };
        let ((new, replication), is_confirmed) =
            try_join!(self.store_and_spread(proposal, terms), confirming)?;
        if !epochs_in(self.look()?.rows(), &scope.owner)?.holds(scope.epoch) {
            return Err(CallerMistake::EpochConflict.into());
        }
        let is_spread = replication.is_none_or(|replication| replication.quorum <= replication.acknowledged);
        Ok(Issued {
            epoch: scope.epoch,
            is_kept: is_confirmed && is_spread,
            new,
            replication,
            standing: self.standing(),
            replayed: terms.replayed,
        })
    }

    /// Stores the mappings that do not exist, and has a majority store them and those of which it is not known. How
    /// many are new, and how widely they are kept.
    async fn store_and_spread(
        &self,
        proposal: &Proposal,
        terms: &Terms,
    ) -> Result<(usize, Option<Replication>), Refusal> {
        let scope = &proposal.scope;
        let Known { fresh, unspread } = self.known_of(proposal)?;
        let new = fresh.len();
        let mut sent = self.issues_of(scope, &unspread)?;
        if 0 < new || (terms.idempotency.is_some() && !terms.replayed) {
            let issues = self.sign_issues(proposal, fresh, terms.idempotency)?;
            self.insert_issues(scope.clone(), issues.clone(), terms).await?;
            sent.extend(issues);
        }
        Ok((new, if sent.is_empty() { None } else { Some(self.spread(scope, &sent).await) }))
    }

    /// What this node knows of the proposed mappings.
    fn known_of(&self, proposal: &Proposal) -> Result<Known, Refusal> {
        let (view, scope) = (self.look()?, &proposal.scope);
        let rows = view.rows();
        let mut known = Known::default();
        for mapping in &proposal.mappings {
            if rows.mapping(scope, &mapping.0).map_err(storage_refusal)?.is_none() {
                known.fresh.push(mapping.clone());
            } else {
                let unspread = rows.unspread(scope, &mapping.0).map_err(storage_refusal)?;
                known.unspread.extend(unspread.filter(|issue| !self.spread.has(issue)));
            }
        }
        Ok(known)
    }

    fn sign_issues(
        &self,
        proposal: &Proposal,
        fresh: Vec<Mapping>,
        idempotency: Option<Idempotency>,
    ) -> Result<Vec<Issue>, Refusal> {
        let now = self.time_to_stamp()?;
        let mut issues = Vec::new();
        let mut rest = fresh.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut mappings, mut bytes) = (Vec::new(), 0);
            while mappings.len() < ISSUE_MAPPINGS_MAX
                && let Some(mapping) =
                    rest.next_if(|next| bytes == 0 || bytes + next.1.len() <= ISSUE_BYTES_MAX)
            {
                bytes += mapping.1.len() + MappingId::LEN + 8;
                mappings.push(mapping);
            }
            let author = &self.parts.author;
            let (time, scope) = (author.stamp(now), proposal.scope.clone());
            let header = IssueHeader { scope, time, author: author.node(), idempotency, mappings };
            issues.push(author.sign_issue(header));
        }
        Ok(issues)
    }

    async fn insert_issues(&self, scope: Scope, issues: Vec<Issue>, terms: &Terms) -> Result<(), Refusal> {
        let bytes = issues.iter().map(|issue| issue.to_bytes().len() as u64).sum::<u64>();
        if !self.parts.store.room().map_err(storage_refusal)?.fits(2 * bytes) {
            return Err(NodeFault::StorageFull.into());
        }
        let (terms, noted) = (*terms, self.may_be_unspread());
        let inserted = self.store_write(move |txn| {
            if let Err(mistake) = may_issue(txn.rows(), &scope.owner, &terms)? {
                return Ok(Err(mistake));
            }
            for issue in &issues {
                if txn.insert_issue(issue)? && noted {
                    txn.note_unspread(issue)?;
                }
            }
            if let Some(Idempotency(key, request)) = terms.idempotency {
                let what = Remembered { request, outcome: Outcome::Issued(terms.epoch) };
                txn.remember(&scope.owner, &key_apart(&key), &what)?;
            }
            Ok(Ok(()))
        });
        Ok(inserted.await??)
    }

    /// Waits until this node has whatever a majority has of what is sought: what was told to exist then does
    /// here, or never did. Without a majority nobody can tell.
    async fn confirm_mappings(&self, owner: &CallerName, sought: &[Sought]) -> Result<(), Refusal> {
        self.confirm().await?;
        let scopes = self.scopes_of(owner, sought)?;
        let (mut have, quorum) = (0, self.replication().quorum);
        let mut voters = Vec::from_iter(self.voters());
        // This node asks itself first, and others only as far as it takes.
        voters.sort_by_key(|voter| *voter != self.node());
        for voter in voters {
            if quorum <= have {
                break;
            }
            let has = voter == self.node() || self.parts.records.catch_up(voter, &scopes).await.is_ok();
            have += u32::from(has);
        }
        if quorum <= have { Ok(()) } else { Err(NoAuthority::Unconfirmed.into()) }
    }

    /// The epochs that tokens may be of; what is no token is looked for as if it were of the active one.
    fn scopes_of(&self, owner: &CallerName, sought: &[Sought]) -> Result<Vec<Scope>, Refusal> {
        let epochs = epochs_in(self.look()?.rows(), owner)?;
        let any = sought.iter().any(|sought| matches!(sought, Sought::InAny(_)));
        let named: BTreeSet<Epoch> = sought
            .iter()
            .map(|sought| match sought {
                Sought::InEpoch(epoch, _) => *epoch,
                Sought::InAny(_) | Sought::Nothing => epochs.active(),
            })
            .collect();
        let wanted = epochs.iter().map(|(epoch, _)| epoch).filter(|epoch| any || named.contains(epoch));
        let held = wanted.filter(|epoch| epochs.holds(*epoch));
        Ok(held.map(|epoch| Scope { owner: owner.clone(), epoch }).collect())
    }

    /// Opens what is sought among what this node has.
    fn open_tokens(&self, owner: &CallerName, sought: &[Sought]) -> Result<Vec<Plaintext>, Refusal> {
        let view = self.look()?;
        let epochs = epochs_in(view.rows(), owner)?;
        let mut opener = Opener { vault: self, rows: view.rows(), owner, epochs, keys: BTreeMap::new() };
        let mut room = OPENED_BYTES_MAX;
        let open = |sought: &Sought| {
            let value = opener.open(*sought)?;
            let left = room.checked_sub(value.len());
            room = left.ok_or(Refusal::from(CallerMistake::TooMany(Limit::OpenedBytes)))?;
            Ok(value)
        };
        sought.iter().map(open).collect()
    }
}

/// Whether mappings may be issued on these terms still: another epoch may have been activated since, and another request,
/// or this very one, may have come with the key.
fn may_issue(
    rows: Rows<'_>,
    owner: &CallerName,
    terms: &Terms,
) -> Result<Result<(), CallerMistake>, StoreError> {
    let is_held = |epochs: Epochs| {
        if terms.replayed { epochs.holds(terms.epoch) } else { epochs.active() == terms.epoch }
    };
    let found = terms.idempotency.map(|it| recall_in(rows, owner, it.key())).transpose()?.flatten();
    let is_other = |found: &Remembered| terms.idempotency.is_some_and(|it| found.request != *it.request());
    Ok(if found.as_ref().is_some_and(is_other) {
        Err(CallerMistake::IdempotencyConflict)
    } else if !epochs_of(&rows, owner)?.is_some_and(is_held)
        || found.is_some_and(|found| found.outcome != Outcome::Issued(terms.epoch))
    {
        Err(CallerMistake::EpochConflict)
    } else {
        Ok(())
    })
}

/// Looks tokens of one owner up, and opens them.
struct Opener<'v> {
    vault: &'v Vault,
    rows: Rows<'v>,
    owner: &'v CallerName,
    epochs: Epochs,
    keys: BTreeMap<Epoch, EpochKey>,
}

impl Opener<'_> {
    fn open(&mut self, sought: Sought) -> Result<Plaintext, Refusal> {
        let found = match sought {
            Sought::Nothing => None,
            Sought::InEpoch(epoch, id) => self.open_in(epoch, id)?,
            Sought::InAny(id) => self.open_in_any(id)?,
        };
        found.ok_or_else(|| CallerMistake::NotFound.into())
    }

    /// A token that does not say its epoch is looked for in all of them, and never guessed.
    fn open_in_any(&mut self, id: MappingId) -> Result<Option<Plaintext>, Refusal> {
        let mut found: Option<Plaintext> = None;
        let newest_first: Vec<Epoch> = self.epochs.iter().rev().map(|(epoch, _)| epoch).collect();
        for epoch in newest_first {
            let Some(value) = self.open_in(epoch, id)? else { continue };
            match &found {
                Some(other) if !other.is(&value) => return Err(CallerMistake::TokenAmbiguous.into()),
                Some(_) => {}
                None => found = Some(value),
            }
        }
        Ok(found)
    }

    fn open_in(&mut self, epoch: Epoch, id: MappingId) -> Result<Option<Plaintext>, Refusal> {
        if !self.epochs.holds(epoch) {
            return Ok(None);
        }
        let scope = Scope { owner: self.owner.clone(), epoch };
        let Some(sealed) = self.rows.mapping(&scope, &id).map_err(storage_refusal)? else { return Ok(None) };
        let key = match self.keys.entry(epoch) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => {
                let entry = self.epochs.get(epoch).ok_or(NodeFault::Corrupt)?;
                place.insert(self.vault.key_of(self.rows, &entry.key, &scope)?)
            }
        };
        key.open(&id, sealed).map(Some).map_err(|error| seal_refusal(&error))
    }
}
