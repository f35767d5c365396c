//! Every operation gets a line, and its line's room before it begins. Keeps U1: no line, no answer.
//! Knows nothing of what operations do.

use std::{
    future::{Future, poll_fn},
    mem,
    task::Poll,
};

use super::{Asker, RequestId, Vault};
use crate::audit::{Action, Entry, Outcome, Subject, Ticket, VersionRef};
use covault_model::{
    name::{CallerName, SecretName, SecretPath},
    refusal::{NoAuthority, NodeFault, Refusal},
};

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
        step_back().await;
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
        step_back().await;
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

/// Lets the tasks go first that are ready. tokio's `yield_now` would look for new events as well, and wake the task once
/// more when whoever waits for it has already come back to it (see `api`).
async fn step_back() {
    let mut stepped = false;
    let back = poll_fn(|context| {
        if mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    back.await;
}

fn outcome_of<T>(result: &Result<T, Refusal>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(refusal @ Refusal::NotNow(NoAuthority::OutcomeUnknown(_))) => Outcome::Unknown(refusal.code()),
        Err(refusal @ Refusal::Caller(_)) => Outcome::Refused(refusal.code()),
        Err(refusal) => Outcome::Failed(refusal.code()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Wake, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_steps_back_is_woken_once_and_comes_back_at_the_next_look() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut stepping = pin!(step_back());
        assert!(stepping.as_mut().poll(&mut context).is_pending());
        assert!(stepping.as_mut().poll(&mut context).is_ready());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }
}
