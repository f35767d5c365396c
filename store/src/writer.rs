//! The one writer. Whatever queued while the last commit was being synced goes into the next one: group
//! commit without a timer. Keeps D1 (answers follow the sync) and D2 (a job is whole or absent).
//!
//! Two modes behind one interface: a thread of its own, or inline in the calling thread, where a
//! simulator needs every step in order. Knows nothing of what jobs do.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use heed::{Env, RwTxn, WithoutTls};

use crate::{
    error::StoreError,
    tables::Tables,
    txn::{ChangeOf, Txn},
};

/// Where jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterMode {
    /// In a thread of the writer's own; the caller goes on.
    Thread,
    /// At once, in the caller's thread.
    Inline,
}

/// Jobs that one commit may take.
const JOBS_PER_COMMIT_MAX: usize = 1024;

/// What a job leaves to be told once its commit is known.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A job: changes the transaction, or hears that there is none; says whether its changes are to be kept,
/// and what to tell.
type Job = Box<dyn FnOnce(Result<&mut Txn<'_>, StoreError>) -> (bool, Answer) + Send>;

/// What the writer works on.
pub(crate) struct Bench {
    pub env: Env<WithoutTls>,
    pub tables: Arc<Tables>,
    pub change_of: ChangeOf,
}

/// Takes jobs and commits them, several at a time. Dropping it commits what is queued, then stops.
pub struct Writer {
    queue: Queue,
    thread: Option<JoinHandle<()>>,
}

enum Queue {
    Thread(Option<Sender<Job>>),
    Inline(Mutex<Bench>),
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(crate) fn start(mode: WriterMode, bench: Bench) -> std::io::Result<Self> {
        match mode {
            WriterMode::Inline => Ok(Self { queue: Queue::Inline(Mutex::new(bench)), thread: None }),
            WriterMode::Thread => {
                let (sender, receiver) = channel();
                let work = move || drain(&bench, &receiver);
                let thread = std::thread::Builder::new().name("covault-writer".into()).spawn(work)?;
                Ok(Self { queue: Queue::Thread(Some(sender)), thread: Some(thread) })
            }
        }
    }

    /// Runs `work` in a write transaction and tells `done` what came of it once that is synced, or that
    /// nothing of it was kept.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let job: Job = Box::new(move |txn| match txn.and_then(work) {
            Ok(value) => (
                true,
                Box::new(move |committed: Result<(), StoreError>| done(committed.map(|()| value))) as Answer,
            ),
            Err(error) => (false, Box::new(move |_| done(Err(error)))),
        });
        match &self.queue {
            Queue::Inline(bench) => {
                let bench = bench.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                commit(&bench, vec![job]);
            }
            Queue::Thread(sender) => {
                // The thread ends only when this sender is gone; a job it dropped by panicking tells its
                // caller by dropping `done`.
                let _ = sender.as_ref().map(|sender| sender.send(job));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Queue::Thread(sender) = &mut self.queue {
            sender.take();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn drain(bench: &Bench, receiver: &Receiver<Job>) {
    while let Ok(first) = receiver.recv() {
        let mut jobs = vec![first];
        jobs.extend(receiver.try_iter().take(JOBS_PER_COMMIT_MAX - 1));
        commit(bench, jobs);
    }
}

/// One transaction for all jobs; each in one nested in it, so that one that fails undoes only itself.
fn commit(bench: &Bench, jobs: Vec<Job>) {
    let mut answers = Vec::with_capacity(jobs.len());
    let committed = match bench.env.write_txn() {
        Ok(txn) => run(bench, txn, jobs, &mut answers),
        Err(error) => {
            let error = StoreError::from(error);
            answers.extend(jobs.into_iter().map(|job| job(Err(error.clone())).1));
            Err(error)
        }
    };
    for answer in answers {
        answer(committed.clone());
    }
}

fn run(
    bench: &Bench,
    mut outer: RwTxn<'_>,
    mut jobs: Vec<Job>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
    if jobs.len() == 1
        && let Some(job) = jobs.pop()
    {
        return step(Txn::begin(outer, &bench.tables, bench.change_of), job, answers);
    }
    let mut outcome = Ok(());
    for job in jobs {
        let nested = bench.env.nested_write_txn(&mut outer).map_err(StoreError::from);
        let begun = nested.and_then(|txn| Txn::begin(txn, &bench.tables, bench.change_of));
        outcome = outcome.and(step(begun, job, answers));
    }
    outcome?;
    Ok(outer.commit()?)
}

/// Runs one job and commits its own transaction if it is to be kept.
fn step(begun: Result<Txn<'_>, StoreError>, job: Job, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
    match begun {
        Err(error) => {
            answers.push(job(Err(error)).1);
            Ok(())
        }
        Ok(mut txn) => {
            let (keep, answer) = job(Ok(&mut txn));
            answers.push(answer);
            if keep { txn.commit() } else { Ok(()) }
        }
    }
}
