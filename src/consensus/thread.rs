//! The thread that agreement runs in. Everything between a proposal and its answer, the commit included, then
//! happens in one thread: nothing is handed over on the way, and no task that serves a request waits behind
//! a sync. Knows nothing of what runs in it.

use std::{future::Future, io};

use tokio::{
    runtime::{Builder, Handle},
    sync::watch,
};

/// A thread with a runtime of its own. When it is dropped the thread ends, with all that runs in it.
#[derive(Debug)]
pub struct OwnThread {
    handle: Handle,
    stop: watch::Sender<()>,
    /// Closed once the thread has let go of everything.
    ended: watch::Receiver<()>,
}

impl OwnThread {
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, mut stopped) = watch::channel(());
        let (ending, ended) = watch::channel(());
        let body = move || {
            // Either a word or that nobody is left to say it.
            let _ = runtime.block_on(stopped.changed());
            drop(runtime);
            drop(ending);
        };
        std::thread::Builder::new().name("covault-agree".into()).spawn(body)?;
        Ok(Self { handle, stop, ended })
    }

    /// Runs `work` there. `None` when the thread has ended or the work panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.handle.spawn(work).await.ok()
    }

    /// Ends the thread and waits until it has let go of everything.
    pub async fn stop(&self) {
        let _ = self.stop.send(());
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }
}
