//! The one writer. Whatever queued while the last commit was being synced goes into the next one: group
//! commit without a timer. Keeps D1 (answers follow the sync) and D2 (a job is whole or absent).
//!
//! Gathered jobs are the exception: what they write is on the disk already, in the log. They are answered once
//! they have run, in a transaction that stays open for them, and committed many at a time: when no more come
//! for a moment, when there are enough, or when anybody wants something committed. Until then they are
//! unsettled, and a commit that fails for want of room does them again. Who only asks sees what they wrote.
//!
//! Mappings that have no row among all others yet are filed with commits, and when nothing comes (`filer.rs`).
//!
//! Two modes behind one interface: a thread of its own, or inline in the calling thread, where a
//! simulator needs every step in order; there each job is a commit. A caller that waits anyway may write in
//! its own thread in either mode, when nobody else is writing. Knows nothing of what jobs do.

use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use covault_model::id::SecretId;
use heed::{Env, RwTxn, WithoutTls};

use crate::{
    capacity::why_not_committed,
    changes::{Changed, Feed},
    error::StoreError,
    filer::{Filed, Filer},
    looks::Looks,
    tables::Tables,
    txn::Txn,
    unfiled::{News, Piles},
    unsettled::Unsettled,
    view::Rows,
};

/// Where jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterMode {
    /// In a thread of the writer's own; the caller goes on.
    Thread,
    /// At once, in the caller's thread.
    Inline,
}

/// Jobs that one commit may take, those that only ask included: or asking without end would put it off.
const JOBS_PER_COMMIT_MAX: usize = 256;
/// Secrets and bytes of gathered jobs after which they are committed.
const GATHERED_SECRETS_MAX: usize = 128;
const GATHERED_BYTES_MAX: u64 = 4 << 20;
/// How long to wait for another job to gather.
const GATHER_FOR: Duration = Duration::from_millis(2);
/// What was gathered is committed within this time, but for the commit itself.
pub const SETTLES_WITHIN: Duration = GATHER_FOR.saturating_mul(JOBS_PER_COMMIT_MAX as u32);
/// How long to wait before trying again to commit what was gathered, or to file, when there was no room for it.
const RETRY_WHEN_FULL: Duration = Duration::from_millis(250);
/// How long nothing must have come before mappings are filed for want of anything else to do.
const FILE_WHEN_IDLE_FOR: Duration = Duration::from_millis(50);

/// What a job is asked to do.
enum Step<'a, 'e> {
    /// Change the transaction.
    Run(&'a mut Txn<'e>),
    /// Tell its caller: what came of running it, or of the commit.
    Tell(Result<(), StoreError>),
}

/// A job, asked to run, more than once if it is gathered, and to tell once.
type Job = Box<dyn FnMut(Step<'_, '_>) -> End + Send>;

#[derive(PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Panicked,
}

/// What waits for its turn.
struct Turn {
    job: Job,
    kind: Kind,
}

enum Kind {
    /// Told once it is committed.
    Awaited,
    /// Told when it has run, which writes so many bytes about these secrets.
    Gathered(Vec<SecretId>, u64),
    /// Told when it has run; writes nothing.
    Asks,
}

/// A job that is to be told after the commit, and what went wrong before it could run.
struct Untold {
    job: Job,
    begun: Result<(), StoreError>,
}

/// What the writer works on.
pub(crate) struct Bench {
    pub env: Env<WithoutTls>,
    pub tables: Arc<Tables>,
    pub unsettled: Arc<Unsettled>,
    /// Where it is told which histories a commit changed.
    pub feed: Arc<Feed>,
    pub looks: Arc<Looks>,
}

/// What came of a commit.
struct Committed {
    changed: Changed,
    filed: Option<Filed>,
    news: Vec<News>,
}

/// The bench, and whether a job has panicked on it. After that nothing more is written: the panic has
/// shown that some rule does not hold, and nobody knows which.
struct Desk {
    bench: Bench,
    /// Gathered jobs whose commit found no room.
    again: Vec<Job>,
    /// Who asks after what is being committed: the first of the next transaction.
    held: Option<Turn>,
    filer: Filer,
    closed: bool,
}

/// Takes jobs and commits them, several at a time. Dropping it commits what is queued, then stops.
pub struct Writer {
    desk: Arc<Mutex<Desk>>,
    /// To the thread; absent when jobs run inline.
    queue: Option<Sender<Turn>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(crate) fn start(mode: WriterMode, bench: Bench, filer: Filer) -> std::io::Result<Self> {
        let patience = filer.has_work().then_some(FILE_WHEN_IDLE_FOR);
        let desk = Arc::new(Mutex::new(Desk { bench, again: Vec::new(), held: None, filer, closed: false }));
        if mode == WriterMode::Inline {
            return Ok(Self { desk, queue: None, thread: None });
        }
        let (sender, receiver) = channel();
        let at = desk.clone();
        let work = move || drain(&at, &receiver, patience);
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
        self.take(Turn { job: job(once(work), done), kind: Kind::Awaited });
    }

    /// As [`Self::write`], and waits: in the caller's own thread when nothing else is being written, which
    /// spares handing the work over and the answer back. The writer's thread does not hear of it: mappings that
    /// come so are filed with later commits, or when it has had something to do again.
    pub fn write_now<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = channel();
        let done = move |result| drop(sender.send(result));
        let turn = Turn { job: job(once(work), done), kind: Kind::Awaited };
        match self.desk.try_lock() {
            Ok(desk) => run_now(desk, turn),
            Err(_) => self.take(turn),
        }
        receiver.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `work`, which writes `bytes` about these secrets, and tells `done` what came of it; commits it
    /// later. Only for what is kept elsewhere until then. `work` may run again, and must do the same; neither
    /// may write.
    pub fn gather<T: Send + 'static>(
        &self,
        secrets: Vec<SecretId>,
        bytes: u64,
        work: impl FnMut(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        self.take(Turn { job: job(work, done), kind: Kind::Gathered(secrets, bytes) });
    }

    /// Tells `done` what `look` finds in the rows as they will be once everything is committed that was taken
    /// before. Neither may write.
    pub fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(Rows<'_>) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        self.take(Turn { job: job(once(move |txn| look(txn.rows())), done), kind: Kind::Asks });
    }

    fn take(&self, turn: Turn) {
        match &self.queue {
            None => run_now(lock(&self.desk), turn),
            Some(queue) => {
                if let Err(SendError(mut turn)) = queue.send(turn) {
                    (turn.job)(Step::Tell(Err(StoreError::Closed)));
                }
            }
        }
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

fn once<T>(
    work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError>,
) -> impl FnMut(&mut Txn<'_>) -> Result<T, StoreError> {
    let mut work = Some(work);
    move |txn| work.take().map_or(Err(StoreError::Closed), |work| work(txn))
}

fn job<T: Send + 'static>(
    mut work: impl FnMut(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
) -> Job {
    let (mut ran, mut done) = (None, Some(done));
    Box::new(move |step| match step {
        Step::Run(txn) => {
            // A transaction that a panic came out of is only dropped, so nothing half-done is seen again.
            let attempt = catch_unwind(AssertUnwindSafe(|| {
                let value = work(txn)?;
                txn.settle()?;
                Ok(value)
            }));
            let end = match &attempt {
                Ok(Ok(_)) => End::Done,
                Ok(Err(_)) => End::Failed,
                Err(_) => End::Panicked,
            };
            ran = Some(attempt.unwrap_or(Err(StoreError::Closed)));
            end
        }
        Step::Tell(committed) => {
            let told = match ran.take() {
                Some(ran) => ran.and_then(|value| committed.map(|()| value)),
                None => Err(committed.err().unwrap_or(StoreError::Closed)),
            };
            if let Some(done) = done.take() {
                // One that panics must not take those behind it along; the panic hook has reported it.
                let _ = catch_unwind(AssertUnwindSafe(|| done(told)));
            }
            End::Done
        }
    })
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread: whatever waits when its turn comes goes into one commit.
fn drain(desk: &Mutex<Desk>, receiver: &Receiver<Turn>, mut patience: Option<Duration>) {
    loop {
        let held = lock(desk).held.take().map(Ok);
        let first = match held.unwrap_or_else(|| wait(receiver, patience)) {
            Ok(turn) => Some(turn),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut desk = lock(desk);
        let (untold, committed) = desk.commit(first, |may_wait| match may_wait {
            true => receiver.recv_timeout(GATHER_FOR).ok(),
            false => receiver.try_recv().ok(),
        });
        patience = desk.patience();
        drop(desk);
        tell(untold, &committed);
    }
}

fn wait(receiver: &Receiver<Turn>, patience: Option<Duration>) -> Result<Turn, RecvTimeoutError> {
    match patience {
        Some(patience) => receiver.recv_timeout(patience),
        None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn run_now(mut desk: MutexGuard<'_, Desk>, turn: Turn) {
    let (untold, committed) = desk.commit(Some(Turn { kind: Kind::Awaited, ..turn }), |_| None);
    drop(desk);
    tell(untold, &committed);
}

fn tell(untold: Vec<Untold>, committed: &Result<(), StoreError>) {
    for Untold { mut job, begun } in untold {
        job(Step::Tell(begun.and_then(|()| committed.clone())));
    }
}

impl Desk {
    /// One transaction for `first` and what `next` gives, which is told whether it may wait for more; each job
    /// in one nested in it, so that one that fails undoes only itself.
    fn commit(
        &mut self,
        first: Option<Turn>,
        next: impl FnMut(bool) -> Option<Turn>,
    ) -> (Vec<Untold>, Result<(), StoreError>) {
        let (mut untold, mut gathered, is_idle) = (Vec::new(), Vec::new(), first.is_none());
        if self.closed {
            untold.extend(first.map(|turn| Untold { job: turn.job, begun: Err(StoreError::Closed) }));
            return (untold, Err(StoreError::Closed));
        }
        let committed = self.run(first, next, &mut untold, &mut gathered);
        let committed = committed.map(|Committed { changed, filed, news }| {
            self.filer.follow(filed, news, is_idle);
            // First those who look see it, then they are told to look.
            self.bench.looks.committed();
            self.bench.feed.add(changed);
            self.bench.unsettled.clear();
        });
        match &committed {
            Ok(()) => {}
            Err(StoreError::Full) => {
                self.again = gathered;
                self.filer.found_no_room();
            }
            // What was answered is in the log, and done again from there when the store is opened anew.
            Err(_) => self.closed |= !gathered.is_empty(),
        }
        (untold, committed)
    }

    /// How long to wait for a job before doing what can be done without one; absent when that is nothing.
    fn patience(&self) -> Option<Duration> {
        if self.closed {
            return None;
        }
        if !self.again.is_empty() || self.filer.is_cramped() {
            return Some(RETRY_WHEN_FULL);
        }
        self.filer.has_work().then_some(FILE_WHEN_IDLE_FOR)
    }

    fn run(
        &mut self,
        first: Option<Turn>,
        mut next: impl FnMut(bool) -> Option<Turn>,
        untold: &mut Vec<Untold>,
        gathered: &mut Vec<Job>,
    ) -> Result<Committed, StoreError> {
        gathered.append(&mut mem::take(&mut self.again));
        let Bench { env, tables, unsettled, .. } = &self.bench;
        let (mut turn, piles) = (first, self.filer.piles());
        let is_idle = turn.is_none() && gathered.is_empty();
        let mut outer = match Outer::begin_again(env, tables, &piles, gathered) {
            Ok(begun) => begun,
            Err(error) => {
                untold.extend(turn.map(|turn| Untold { job: turn.job, begun: Ok(()) }));
                return Err(error);
            }
        };
        let mut taken = gathered.len();
        while let Some(Turn { mut job, kind }) = turn {
            taken += 1;
            match (outer.attempt(&mut job), kind) {
                (Ok(End::Panicked), _) => {
                    self.closed = true;
                    untold.push(Untold { job, begun: Ok(()) });
                    return Err(StoreError::Closed);
                }
                (Ok(End::Done), Kind::Gathered(secrets, bytes)) => {
                    unsettled.add(&secrets, bytes);
                    job(Step::Tell(Ok(())));
                    gathered.push(job);
                }
                (Ok(End::Done | End::Failed), Kind::Asks) => drop(job(Step::Tell(Ok(())))),
                (ended, _) => untold.push(Untold { job, begun: ended.map(drop) }),
            }
            let is_full = JOBS_PER_COMMIT_MAX <= taken
                || GATHERED_SECRETS_MAX <= unsettled.len()
                || GATHERED_BYTES_MAX <= unsettled.bytes();
            turn = if is_full { None } else { next(untold.is_empty()) };
            // It would be told of what is not committed yet and may never be.
            if let Some(asker) = turn.take_if(|turn| matches!(turn.kind, Kind::Asks) && !untold.is_empty()) {
                self.held = Some(asker);
            }
        }
        let Outer { mut txn, changed, news, .. } = outer;
        let filed = self.filer.file(env, tables, &mut txn, &news, is_idle)?;
        txn.commit().map_err(|error| why_not_committed(env, error))?;
        Ok(Committed { changed, filed, news })
    }
}

/// The transaction that is committed, and what came about in it.
struct Outer<'e> {
    env: &'e Env<WithoutTls>,
    tables: &'e Tables,
    piles: &'e Piles,
    txn: RwTxn<'e>,
    changed: Changed,
    news: Vec<News>,
}

impl<'e> Outer<'e> {
    /// One that holds what was gathered before.
    fn begin_again(
        env: &'e Env<WithoutTls>,
        tables: &'e Tables,
        piles: &'e Piles,
        gathered: &mut [Job],
    ) -> Result<Self, StoreError> {
        let (changed, news) = (Changed::default(), Vec::new());
        let mut outer = Self { env, tables, piles, txn: env.write_txn()?, changed, news };
        for job in gathered {
            if outer.attempt(job)? != End::Done {
                return Err(StoreError::Inconsistent("a write that was done could not be done again"));
            }
        }
        Ok(outer)
    }

    /// Runs a job in a transaction of its own, and keeps what it did if it is to be kept.
    fn attempt(&mut self, job: &mut Job) -> Result<End, StoreError> {
        let nested = self.env.nested_write_txn(&mut self.txn)?;
        let mut txn = Txn::begin(nested, self.tables, self.piles)?;
        let end = job(Step::Run(&mut txn));
        if end == End::Done {
            let (changed, mut news) = txn.commit()?;
            self.changed.extend(changed);
            self.news.append(&mut news);
        }
        Ok(end)
    }
}
