//! What a node asks the others for: where their histories differ from its own, what it lacks of those, and single
//! records that it needs now. It only ever asks for what it lacks; what the other lacks, the other finds.
//!
//! ```text
//!   Search ⇄ Searched    until it is known which items differ: a few messages, some kilobytes
//!   Paths  → Paths       of which secrets these are
//!   Lacking → Records    what is lacked of them, again while there is more
//! ```
//!
//! Keeps X5 with `index` and `lacking`. Knows nothing of when to ask.

use std::time::Duration;

use covault_model::{
    id::{NodeId, RecordId},
    name::SecretPath,
};
use covault_net::{CallError, Channel, Loss};
use covault_store::StoreError;
use tokio::time::timeout;

use super::{
    index::{Garbled, Search},
    intake::{IntakeError, Settled},
    lacking::{self, Floor},
    message::{Ask, NAMED_MAX, Sent, Told, write},
    records::Records,
};

/// How long a peer may take over one question.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(10);
/// The same while a client waits.
pub(super) const FETCH_DEADLINE: Duration = Duration::from_secs(3);
/// Messages that one search may take: far more than any sound peer needs.
const MESSAGES_MAX: usize = 10_000;

/// Why a peer gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// This node is alone.
    #[error("this node has no peers")]
    Alone,
    /// It could not be asked, or did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What it answered is no answer.
    #[error("the peer's answer cannot be read")]
    Garbled,
    /// It has what cannot count here yet, or more than is looked at in one go.
    #[error("what the peer has is not all of it here yet")]
    Left,
    /// What it sent cannot be taken in.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl From<StoreError> for SearchError {
    fn from(error: StoreError) -> Self {
        Self::Intake(error.into())
    }
}

impl From<Garbled> for SearchError {
    fn from(_: Garbled) -> Self {
        Self::Garbled
    }
}

impl Records {
    /// Finds what `peer` has and this node lacks, and takes it in. Gives the number of records gained.
    pub async fn reconcile(&self, peer: NodeId) -> Result<usize, SearchError> {
        let gained = self.try_reconcile(peer).await;
        self.judge(peer, gained)
    }

    /// The same, of records and of issues of mappings.
    pub async fn reconcile_all(&self, peer: NodeId) -> Result<usize, SearchError> {
        let records = self.reconcile(peer).await?;
        let issues = self.reconcile_issues(peer).await;
        Ok(records + self.judge(peer, issues)?.new)
    }

    /// Takes in these records of a secret from whichever peer has them.
    pub async fn fetch(&self, path: &SecretPath, ids: &[RecordId]) {
        for peer in self.peers() {
            let gained = self.try_fetch(peer, path, ids).await;
            match self.judge(peer, gained) {
                Ok(gained) if ids.len() <= gained => return,
                Ok(_) => {}
                Err(error) => tracing::debug!(%peer, %error, "records could not be fetched"),
            }
        }
    }

    /// Turns away a peer that answered what no peer answers.
    pub(super) fn judge<T>(&self, peer: NodeId, gained: Result<T, SearchError>) -> Result<T, SearchError> {
        match &gained {
            Err(SearchError::Garbled) => self.refuse(peer, &self.intake().malformed()),
            Err(SearchError::Intake(error)) => self.refuse(peer, error),
            _ => {}
        }
        gained
    }

    async fn try_reconcile(&self, peer: NodeId) -> Result<usize, SearchError> {
        let (mut search, mut message) = self.in_index(true, Search::begin).await?;
        for at in 0..MESSAGES_MAX {
            let Told::Searched(answer) = self.ask(peer, &Ask::Search(at == 0, message.into())).await? else {
                return Err(SearchError::Garbled);
            };
            match self.in_index(false, |index| search.take_in(index, &answer)).await?? {
                Some(next) => message = next,
                None => break,
            }
        }
        let mut gained = 0;
        for items in search.found().chunks(NAMED_MAX) {
            let Told::Paths(paths) = self.ask(peer, &Ask::Paths(items.to_vec())).await? else {
                return Err(SearchError::Garbled);
            };
            gained += self.take_lacked(peer, paths).await?;
        }
        Ok(gained)
    }

    /// Asks for what is lacked of these secrets, until there is no more or nothing more is of use.
    async fn take_lacked(&self, peer: NodeId, mut paths: Vec<SecretPath>) -> Result<usize, SearchError> {
        let (mut gained, mut floor) = (0, Floor::default());
        for _ in 0..MESSAGES_MAX {
            if paths.is_empty() {
                break;
            }
            let mut known = Vec::with_capacity(paths.len());
            for path in &paths {
                known.push(lacking::known(&self.store().view()?, path)?);
                tokio::task::yield_now().await;
            }
            floor.lift(&mut known[0]);
            let (sent, more) = self.ask_records(peer, &Ask::Lacking(known)).await?;
            let places = sent.iter().map(|sent| paths.iter().position(|path| *path == sent.0));
            let last = places.collect::<Option<Vec<_>>>().ok_or(SearchError::Garbled)?.into_iter().max();
            let Settled { new, counted, .. } = self.take_in_found(sent).await?;
            gained += new;
            if !more {
                break;
            }
            // A peer goes through them in order: of those before the last one that it sent of it has no more. Of that one
            // nothing more is of use if all that came does not count yet, and would only come again.
            let done = last.ok_or(SearchError::Garbled)?;
            if 0 < done {
                paths.drain(..done);
                floor = Floor::default();
            } else if new == 0 && !floor.rises(counted) {
                paths.remove(0);
                floor = Floor::default();
            }
        }
        Ok(gained)
    }

    async fn try_fetch(
        &self,
        peer: NodeId,
        path: &SecretPath,
        ids: &[RecordId],
    ) -> Result<usize, SearchError> {
        let ask = Ask::Named(path.clone(), ids.to_vec());
        let late = SearchError::Call(CallError::Lost(Loss::Deadline));
        let told = timeout(FETCH_DEADLINE, self.ask_records(peer, &ask)).await;
        let (sent, _) = told.unwrap_or(Err(late))?;
        Ok(self.take_in_found(sent).await?.new)
    }

    /// Takes in what a peer has. What a record states of its parents could not be judged where these were not there when
    /// it came: that it is not true is not held against who has it.
    async fn take_in_found(&self, sent: Vec<Sent>) -> Result<Settled, IntakeError> {
        let settled = self.take_in_each(sent).await?;
        if let Some(fault) = settled.refused {
            tracing::warn!(code = fault.code(), "a record that another node has was refused");
        }
        Ok(settled)
    }

    async fn ask_records(&self, peer: NodeId, ask: &Ask) -> Result<(Vec<Sent>, bool), SearchError> {
        match self.ask(peer, ask).await? {
            Told::Records(sent, more) => Ok((sent, more)),
            _ => Err(SearchError::Garbled),
        }
    }

    pub(super) async fn ask(&self, peer: NodeId, ask: &Ask) -> Result<Told, SearchError> {
        let endpoint = self.endpoint().ok_or(SearchError::Alone)?;
        let told = endpoint.call(peer, Channel::Records, write(ask).into(), ASK_DEADLINE).await?;
        Told::read(&told).map_err(|_| SearchError::Garbled)
    }
}
