//! Every operation gets a line, and its line's room before it begins. Keeps U1: no line, no answer.
//! Knows nothing of what operations do.

use std::future::Future;

use covault_model::{
    name::{CallerName, SecretName, SecretPath},
    refusal::{NoAuthority, NodeFault, Refusal},
};
use tokio::task::yield_now;

use super::{Asker, RequestId, Vault};
use crate::audit::{Action, Entry, Outcome, Subject, Ticket, VersionRef};

/// What an operation is about, for its line.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub action: Action,
    pub owner: Option<&'a CallerName>,
    pub subject: Subject<'a>,
}

impl<'a> About<'a> {
    /// An operation on a secret.
    pub fn secret(action: Action, target: &'a SecretPath) -> Self {
        Self { action, owner: Some(&target.owner), subject: Subject::Secret(&target.name) }
    }

    /// An operation on something that no namespace holds.
    pub fn subject(action: Action, subject: Subject<'a>) -> Self {
        Self { action, owner: None, subject }
    }
}

impl Vault {
    /// Runs `operation` between taking room for its line and writing it.
    pub(super) async fn audited<T>(
        &self,
        asker: &Asker,
        about: About<'_>,
        version_of: impl FnOnce(&T) -> Option<VersionRef>,
        operation: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let ticket = self.ticket()?;
        let result = operation.await;
        let version = result.as_ref().ok().and_then(version_of);
        let line = ticket.enter(&Entry {
            at: self.now(),
            request: Some(&asker.request),
            caller: Some(&asker.session.caller),
            action: about.action,
            owner: about.owner,
            subject: about.subject,
            version,
            outcome: outcome_of(&result),
        });
        // Other operations that are ready enter their lines meanwhile, and one write takes all of them.
        yield_now().await;
        line.write().map_err(|_| Refusal::from(NodeFault::AuditUnavailable))?;
        result
    }

    /// As [`audited`](Self::audited), for what a node asked for and no caller did.
    pub(super) async fn audited_of_node<T>(
        &self,
        about: About<'_>,
        operation: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let ticket = self.ticket()?;
        let result = operation.await;
        let entry = Entry {
            at: self.now(),
            request: None,
            caller: None,
            action: about.action,
            owner: about.owner,
            subject: about.subject,
            version: None,
            outcome: outcome_of(&result),
        };
        ticket.record(&entry).map_err(|_| Refusal::from(NodeFault::AuditUnavailable))?;
        result
    }

    /// As [`audited`](Self::audited), with a line for each name; without names it has one line. `line_of` says
    /// what became of each when the whole was not refused.
    pub(super) async fn audited_each<T>(
        &self,
        asker: &Asker,
        action: Action,
        owner: &CallerName,
        names: &[&SecretName],
        line_of: impl Fn(&T, usize) -> (Option<VersionRef>, Outcome),
        operation: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let subjects: Vec<_> = match names {
            [] => vec![Subject::Nothing],
            names => names.iter().map(|name| Subject::Secret(name)).collect(),
        };
        let tickets = subjects.iter().map(|_| self.ticket()).collect::<Result<Vec<_>, _>>()?;
        let result = operation.await;
        let mut lines = Vec::with_capacity(tickets.len());
        for (at, (ticket, subject)) in tickets.into_iter().zip(subjects).enumerate() {
            let (version, outcome) = match &result {
                Ok(done) if !names.is_empty() => line_of(done, at),
                whole => (None, outcome_of(whole)),
            };
            lines.push(ticket.enter(&Entry {
                at: self.now(),
                request: Some(&asker.request),
                caller: Some(&asker.session.caller),
                action,
                owner: Some(owner),
                subject,
                version,
                outcome,
            }));
        }
        yield_now().await;
        for line in lines {
            line.write().map_err(|_| Refusal::from(NodeFault::AuditUnavailable))?;
        }
        result
    }

    /// Records what somebody did whom no token identified.
    pub(super) fn record_unidentified(
        &self,
        request: &RequestId,
        action: Action,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        let entry = Entry {
            at: self.now(),
            request: Some(request),
            caller: None,
            action,
            owner: None,
            subject: Subject::Nothing,
            version: None,
            outcome,
        };
        self.ticket()?.record(&entry).map_err(|_| NodeFault::AuditUnavailable.into())
    }

    fn ticket(&self) -> Result<Ticket<'_>, Refusal> {
        self.parts.audit.reserve().map_err(|_| NodeFault::AuditUnavailable.into())
    }
}

fn outcome_of<T>(result: &Result<T, Refusal>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(refusal @ Refusal::NotNow(NoAuthority::OutcomeUnknown(_))) => Outcome::Unknown(refusal.code()),
        Err(refusal @ Refusal::Caller(_)) => Outcome::Refused(refusal.code()),
        Err(refusal) => Outcome::Failed(refusal.code()),
    }
}
