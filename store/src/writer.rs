//! The one writer. Whatever queued while the last commit was being synced goes into the next one: group
//! commit without a timer. Keeps D1 (answers follow the sync) and D2 (a job is whole or absent).
//!
//! Two modes behind one interface: a thread of its own, or inline in the calling thread, where a
//! simulator needs every step in order. A caller that waits anyway may write in its own thread in either
//! mode, when nobody else is writing. Knows nothing of what jobs do.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SendError, Sender, channel},
    },
    thread::JoinHandle,
    vec::IntoIter,
};

use heed::{Env, WithoutTls};

use crate::{error::StoreError, tables::Tables, txn::Txn};

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
/// A job: changes the transaction, or hears that there is none.
type Job = Box<dyn FnOnce(Result<&mut Txn<'_>, StoreError>) -> Ran + Send>;

/// What came of running a job, before the commit.
struct Ran {
    end: End,
    answer: Answer,
}

#[derive(PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Panicked,
}

/// What the writer works on.
pub(crate) struct Bench {
    pub env: Env<WithoutTls>,
    pub tables: Arc<Tables>,
}

/// The bench, and whether a job has panicked on it. After that nothing more is written: the panic has
/// shown that some rule does not hold, and nobody knows which.
struct Desk {
    bench: Bench,
    closed: bool,
}

/// Takes jobs and commits them, several at a time. Dropping it commits what is queued, then stops.
pub struct Writer {
    desk: Arc<Mutex<Desk>>,
    /// To the thread; absent when jobs run inline.
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(crate) fn start(mode: WriterMode, bench: Bench) -> std::io::Result<Self> {
        let desk = Arc::new(Mutex::new(Desk { bench, closed: false }));
        if mode == WriterMode::Inline {
            return Ok(Self { desk, queue: None, thread: None });
        }
        let (sender, receiver) = channel();
        let at = desk.clone();
        let work = move || drain(&at, &receiver);
        let thread = std::thread::Builder::new().name("covault-writer".into()).spawn(work)?;
        Ok(Self { desk, queue: Some(sender), thread: Some(thread) })
    }

    /// Runs `work` in a write transaction and tells `done` what came of it once that is synced, or that
    /// nothing of it was kept. `done` is told in every case; it may write, `work` may not.
    ///
    /// A `work` that panics is told [`StoreError::Closed`], and so is its whole batch and all that comes
    /// after: the writer is closed. A `done` that panics is its own loss.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let job = job(work, done);
        match &self.queue {
            None => run_now(lock(&self.desk), job),
            Some(queue) => {
                if let Err(SendError(job)) = queue.send(job) {
                    tell(vec![job(Err(StoreError::Closed)).answer], &Err(StoreError::Closed));
                }
            }
        }
    }

    /// As [`Self::write`], and waits: in the caller's own thread when nothing else is being written, which
    /// spares handing the work over and the answer back.
    pub fn write_now<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = channel();
        let done = move |result| drop(sender.send(result));
        match self.desk.try_lock() {
            Ok(desk) => run_now(desk, job(work, done)),
            Err(_) => self.write(work, done),
        }
        receiver.recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.take();
        // The last owner of a store may be an answer, which runs in the writer's own thread.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn job<T: Send + 'static>(
    work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
) -> Job {
    Box::new(move |txn| {
        // A transaction that a panic came out of is only dropped, so nothing half-done is seen again.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            txn.and_then(|txn| {
                let value = work(txn)?;
                txn.settle()?;
                Ok(value)
            })
        }));
        match ran {
            Ok(Ok(value)) => {
                Ran { end: End::Done, answer: Box::new(move |committed| done(committed.map(|()| value))) }
            }
            Ok(Err(error)) => Ran { end: End::Failed, answer: Box::new(move |_| done(Err(error))) },
            Err(_) => Ran { end: End::Panicked, answer: Box::new(move |_| done(Err(StoreError::Closed))) },
        }
    })
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread: whatever waits when its turn comes goes into one commit.
fn drain(desk: &Mutex<Desk>, receiver: &Receiver<Job>) {
    while let Ok(first) = receiver.recv() {
        let mut desk = lock(desk);
        let mut jobs = vec![first];
        jobs.extend(receiver.try_iter().take(JOBS_PER_COMMIT_MAX - 1));
        let (answers, committed) = desk.commit(jobs);
        drop(desk);
        tell(answers, &committed);
    }
}

fn run_now(mut desk: MutexGuard<'_, Desk>, job: Job) {
    let (answers, committed) = desk.commit(vec![job]);
    drop(desk);
    tell(answers, &committed);
}

fn tell(answers: Vec<Answer>, committed: &Result<(), StoreError>) {
    for answer in answers {
        // One that panics must not take the answers behind it along; the panic hook has reported it.
        let _ = catch_unwind(AssertUnwindSafe(|| answer(committed.clone())));
    }
}

impl Desk {
    /// One transaction for all jobs; each in one nested in it, so that one that fails undoes only itself.
    fn commit(&mut self, jobs: Vec<Job>) -> (Vec<Answer>, Result<(), StoreError>) {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        let committed = self.run(&mut jobs, &mut answers);
        if let Err(error) = &committed {
            answers.extend(jobs.map(|job| job(Err(error.clone())).answer));
        }
        (answers, committed)
    }

    fn run(&mut self, jobs: &mut IntoIter<Job>, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        let Bench { env, tables } = &self.bench;
        let mut outer = env.write_txn()?;
        if jobs.len() == 1
            && let Some(job) = jobs.next()
        {
            let begun = Txn::begin(outer, tables);
            return step(begun, job, answers, &mut self.closed);
        }
        for job in jobs {
            let nested = env.nested_write_txn(&mut outer).map_err(StoreError::from);
            let begun = nested.and_then(|txn| Txn::begin(txn, tables));
            step(begun, job, answers, &mut self.closed)?;
        }
        Ok(outer.commit()?)
    }
}

/// Runs one job and commits its own transaction if it is to be kept. An error is for the whole batch.
fn step(
    begun: Result<Txn<'_>, StoreError>,
    job: Job,
    answers: &mut Vec<Answer>,
    closed: &mut bool,
) -> Result<(), StoreError> {
    let mut txn = match begun {
        Ok(txn) => txn,
        Err(error) => {
            answers.push(job(Err(error)).answer);
            return Ok(());
        }
    };
    let Ran { end, answer } = job(Ok(&mut txn));
    answers.push(answer);
    match end {
        End::Done => txn.commit(),
        End::Failed => Ok(()),
        End::Panicked => {
            *closed = true;
            Err(StoreError::Closed)
        }
    }
}
