//! The threads that connections are served on. Each has a runtime of its own, and a connection stays where it was put: to
//! hand its requests from one thread to another costs more than most of them take.
//! What requests come to runs where the node does ([`Home`]), so that it goes on when a worker has ended.
//! Knows nothing of connections or requests.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// Where connections are served. Dropping it ends the workers, and what still runs on them.
pub struct Workers(Vec<Worker>);

struct Worker {
    handle: Handle,
    /// Held by every connection on it.
    load: Arc<()>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A place on a worker, taken until it is dropped.
pub struct Place {
    handle: Handle,
    _load: Arc<()>,
}

impl Workers {
    /// A worker for each core.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        (0..count).map(|_| Worker::start()).collect::<io::Result<_>>().map(Self)
    }

    /// No workers: connections are served by the runtime that accepts them, one step at a time with all else.
    pub fn here() -> Self {
        Self(Vec::new())
    }

    /// A place where the fewest are.
    pub fn place(&self) -> Place {
        match self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.load)) {
            Some(worker) => Place { handle: worker.handle.clone(), _load: worker.load.clone() },
            None => Place { handle: Handle::current(), _load: Arc::default() },
        }
    }
}

impl Place {
    /// The runtime there.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().on_thread_park(let_others_go_first).build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
        let until_stopped = move || drop(runtime.block_on(stopped));
        let thread = thread::Builder::new().name("covault-http".into()).spawn(until_stopped)?;
        Ok(Self { handle, load: Arc::default(), stop: Some(stop), thread: Some(thread) })
    }
}

thread_local! {
    /// Requests that this thread is at.
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
}

/// A request of this thread.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.set(UNDER_WAY.get() + 1);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.set(UNDER_WAY.get().saturating_sub(1));
    }
}

/// Before a worker sleeps. One that has answered all it was asked lets whoever wants the core go first: it may be a client
/// that is about to ask again, and to sleep and be woken costs more. One that waits for an answer itself sleeps at once,
/// since whoever is woken has the core sooner than whoever gave it away.
fn let_others_go_first() {
    if UNDER_WAY.get() == 0 {
        thread::yield_now();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // One that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The runtime of whatever carries requests out.
pub struct Home(Handle);

impl Home {
    /// The runtime that this is called in.
    pub fn here() -> Self {
        Self(Handle::current())
    }

    /// Runs `work` on the thread that waits for it, and at home whatever it spawns and every timer it sets.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let _under_way = UnderWay::begin();
        let mut work = pin!(work);
        poll_fn(|context| {
            let _inside = self.0.enter();
            work.as_mut().poll(context)
        })
        .await
    }

    /// Runs `work` to its end whatever becomes of who waits for it: once nobody does, at home. None if it panicked, which
    /// the panic hook has reported.
    pub fn to_the_end<T>(&self, work: impl Future<Output = T> + Send + 'static) -> ToTheEnd<T>
    where
        T: Send + 'static,
    {
        ToTheEnd { work: Some(Box::pin(work)), home: self.0.clone() }
    }
}

/// Work that is not given up when it is dropped.
pub struct ToTheEnd<T: Send + 'static> {
    /// Absent once it has ended.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    home: Handle,
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(mut work) = self.work.take() else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Ready(done)) => Poll::Ready(Some(done)),
            Ok(Poll::Pending) => {
                self.work = Some(work);
                Poll::Pending
            }
            Err(_) => Poll::Ready(None),
        }
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.home.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeSet, future::pending};

    use super::*;

    fn workers(count: usize) -> Workers {
        Workers((0..count).map(|_| Worker::start().unwrap()).collect())
    }

    fn name() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn a_connection_goes_where_the_fewest_are() {
        let workers = workers(3);
        let thread_of =
            async |place: &Place| place.handle().spawn(async { thread::current().id() }).await.unwrap();
        let mut places = vec![workers.place(), workers.place(), workers.place()];
        let mut threads = Vec::new();
        for place in &places {
            threads.push(format!("{:?}", thread_of(place).await));
        }
        assert_eq!(BTreeSet::from_iter(&threads).len(), 3, "{threads:?}");
        places.remove(1);
        assert_eq!(format!("{:?}", thread_of(&workers.place()).await), threads[1]);
    }

    #[tokio::test]
    async fn workers_that_end_end_what_runs_on_them() {
        let (workers, held) = (workers(1), Arc::new(()));
        let (place, holds) = (workers.place(), held.clone());
        place.handle().spawn(async move {
            let _holds = holds;
            pending::<()>().await
        });
        drop(workers);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_request_spawns_runs_at_home() {
        let (workers, home) = (workers(1), Home::here());
        let names = workers.place().handle().spawn(async move {
            home.run(async { (name(), tokio::spawn(async { name() }).await.unwrap()) }).await
        });
        let (worker, spawned) = names.await.unwrap();
        assert_eq!(worker.as_deref(), Some("covault-http"));
        assert_ne!(spawned.as_deref(), Some("covault-http"));
    }

    #[tokio::test]
    async fn a_worker_knows_what_it_is_at() {
        let (workers, home) = (workers(1), Home::here());
        let place = workers.place();
        let at = async || place.handle().spawn(async { UNDER_WAY.get() }).await.unwrap();
        let (began, has_begun) = oneshot::channel();
        let request = place.handle().spawn(async move {
            let work = async {
                began.send(()).unwrap();
                pending::<()>().await
            };
            home.run(work).await
        });
        has_begun.await.unwrap();
        assert_eq!(at().await, 1);
        request.abort();
        let _ = request.await;
        assert_eq!(at().await, 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_changes_something_is_finished_when_its_connection_or_worker_is_gone() {
        for worker_too in [false, true] {
            let (workers, home) = (workers(1), Home::here());
            let (began, has_begun) = oneshot::channel();
            let (go_on, goes_on) = oneshot::channel();
            let (finished, has_finished) = oneshot::channel();
            let work = home.to_the_end(async move {
                began.send(()).unwrap();
                goes_on.await.unwrap();
                finished.send(()).unwrap();
            });
            let connection = workers.place().handle().spawn(work);
            has_begun.await.unwrap();
            connection.abort();
            if worker_too {
                drop(workers);
            }
            go_on.send(()).unwrap();
            has_finished.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_asked_for_comes_back_unless_it_panicked() {
        let home = Home::here();
        assert_eq!(home.to_the_end(async { 7 }).await, Some(7));
        assert_eq!(home.to_the_end(async { assert_eq!(1, 2, "for the test") }).await, None);
    }
}
