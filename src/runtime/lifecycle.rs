//! Tasks and their end: a soft stop that lets work finish, a hard one that drops it, and an outcome that tells which.
//!
//! Every task belongs here, so that a stop waits for it and its death is noticed. A task that panics, or ends with an
//! error while nobody asked it to stop, stops the whole process: half a relay is worse than one that is started again.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::chain;

/// How long a hard stop waits for tasks to be dropped. Only one that blocks its thread takes longer.
const HARD_LIMIT: Duration = Duration::from_secs(2);

/// Owns the tasks of the process. Clones share them.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    stop: Stop,
    tasks: TaskTracker,
    failed: Arc<OnceLock<&'static str>>,
    /// Stops the process softly; of the process' own lifecycle it is the stop above.
    process: CancellationToken,
}

/// Tells a task that it should end. Clones belong to the same stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Every task finished by itself.
    Clean,
    /// Some task had to be dropped: the grace was over, or a second signal came.
    Forced,
    /// This task died, and the process was stopped for it.
    TaskFailed(&'static str),
}

impl Lifecycle {
    pub fn new() -> Self {
        let stop = Stop::default();
        Self { process: stop.soft.clone(), stop, tasks: TaskTracker::new(), failed: Arc::default() }
    }

    /// One whose tasks may be stopped alone. It stops with this one, which waits for it; a death in it stops the process.
    #[must_use]
    pub fn child(&self) -> Self {
        let stop = Stop { soft: self.stop.soft.child_token(), hard: self.stop.hard.child_token() };
        let tasks = TaskTracker::new();
        let (ending, left) = (stop.clone(), tasks.clone());
        self.tasks.spawn(async move {
            ending.requested().await;
            left.close();
            left.wait().await;
        });
        Self { stop, tasks, failed: self.failed.clone(), process: self.process.clone() }
    }

    /// The handle to give to a task.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs `task` until it ends or the hard stop drops it. Its death stops the process (see the module).
    pub fn spawn<F, E>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        let lifecycle = self.clone();
        self.tasks.spawn(async move {
            match lifecycle.guarded(task).await {
                None | Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => lifecycle.ended_badly(name, error.into().as_ref()),
                Some(Err(_panic)) => lifecycle.fail(name, "task panicked"),
            }
        });
    }

    /// Runs a piece of work that another task started, so that a stop waits for it too. The handle answers `None` when
    /// the hard stop dropped it. A panic is logged and left to the parent, as the `Err` of the handle.
    pub fn spawn_child<F>(&self, name: &'static str, work: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // Boxed: each of the futures around it would move all of it.
        let (lifecycle, work) = (self.clone(), Box::pin(work));
        self.tasks.spawn(async move {
            match lifecycle.guarded(work).await {
                None => None,
                Some(Ok(output)) => Some(output),
                Some(Err(panic)) => {
                    error!(task = name, "child task panicked");
                    std::panic::resume_unwind(panic)
                }
            }
        })
    }

    /// Waits for the first SIGTERM, SIGINT or death of a task, then stops. A second signal stops hard at once.
    pub async fn run_until_signal(&self, grace: Duration) -> std::io::Result<Outcome> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = term.recv() => info!(signal = "SIGTERM", "stopping"),
            _ = int.recv() => info!(signal = "SIGINT", "stopping"),
            () = self.stop.requested() => info!("stopping"),
        }
        let second = async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            warn!("second signal: dropping what still runs");
        };
        Ok(self.drain(grace, second).await)
    }

    /// Stops without a signal: asks every task to end, waits up to `grace`, then drops what still runs.
    pub async fn stop(&self, grace: Duration) -> Outcome {
        self.drain(grace, std::future::pending()).await
    }

    /// Asks every task to end and returns at once; whoever waits in [`Lifecycle::run_until_signal`] goes on to drain.
    pub fn request_stop(&self) {
        self.stop.soft.cancel();
    }

    async fn drain(&self, grace: Duration, interrupted: impl Future<Output = ()>) -> Outcome {
        self.request_stop();
        self.tasks.close();
        let drained = tokio::select! {
            biased;
            () = self.tasks.wait() => true,
            () = interrupted => false,
            () = sleep(grace) => false,
        };
        if !drained {
            warn!(tasks = self.tasks.len(), "dropping tasks that did not end");
            self.stop.hard.cancel();
            if timeout(HARD_LIMIT, self.tasks.wait()).await.is_err() {
                error!(tasks = self.tasks.len(), "tasks block their threads; leaving them behind");
            }
        }
        match self.failed.get() {
            Some(task) => Outcome::TaskFailed(task),
            None if drained => Outcome::Clean,
            None => Outcome::Forced,
        }
    }

    /// `None` when the hard stop came first. The task is polled before it is dropped, so that it may still react.
    async fn guarded<F: Future>(&self, task: F) -> Option<std::thread::Result<F::Output>> {
        tokio::select! {
            biased;
            ended = AssertUnwindSafe(task).catch_unwind() => Some(ended),
            () = self.stop.hard() => None,
        }
    }

    fn ended_badly(&self, name: &'static str, error: &(dyn Error + Send + Sync + 'static)) {
        if self.stop.is_requested() {
            warn!(task = name, error = %chain(error), "task ended with an error while stopping");
        } else {
            self.fail(name, &chain(error));
        }
    }

    fn fail(&self, name: &'static str, error: &str) {
        error!(task = name, error, "task died; stopping the process");
        // The first death is the cause; later ones are often its consequence.
        let _ = self.failed.set(name);
        self.process.cancel();
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Resolves once the process should end: take nothing new, finish what is begun.
    pub async fn requested(&self) {
        self.soft.cancelled().await;
    }

    pub fn is_requested(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Resolves once the grace is over; the task is dropped at its next wait.
    pub async fn hard(&self) {
        self.hard.cancelled().await;
    }

    /// Sleeps, but not beyond the stop.
    pub async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.requested() => {}
        }
    }
}

impl Outcome {
    /// 0 clean, 1 a task died, 3 work was dropped.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Clean => ExitCode::SUCCESS,
            Self::TaskFailed(_) => ExitCode::FAILURE,
            Self::Forced => ExitCode::from(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);
    const SHORT: Duration = Duration::from_millis(20);

    type Ends = Result<(), std::io::Error>;

    #[tokio::test]
    async fn a_soft_stop_lets_work_finish() {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop_handle();
        let finished = Arc::new(AtomicBool::new(false));
        let (worker, done) = (lifecycle.clone(), finished.clone());
        lifecycle.spawn("worker", async move {
            stop.requested().await;
            // Begun during the stop, and waited for all the same.
            worker.spawn_child("handler", async move {
                tokio::task::yield_now().await;
                done.store(true, Ordering::SeqCst);
            });
            Ends::Ok(())
        });
        assert_eq!(lifecycle.stop(LONG).await, Outcome::Clean);
        assert!(finished.load(Ordering::SeqCst), "the stop did not wait for the handler");
        assert!(lifecycle.stop_handle().hard().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_does_not_end_is_dropped_and_told() {
        let lifecycle = Lifecycle::new();
        let (kept, dropped) = oneshot::channel::<()>();
        lifecycle.spawn("stubborn", async move {
            let _kept = kept;
            std::future::pending::<()>().await;
            Ends::Ok(())
        });
        let child = lifecycle.spawn_child("stubborn handler", std::future::pending::<()>());
        assert_eq!(lifecycle.stop(SHORT).await, Outcome::Forced);
        assert!(dropped.await.is_err(), "the sender was dropped with its task");
        assert_eq!(child.await.unwrap(), None);
        assert!(lifecycle.stop_handle().hard().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_task_may_react_to_the_hard_stop() {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop_handle();
        let (tell, told) = oneshot::channel();
        lifecycle.spawn("tidy", async move {
            stop.hard().await;
            tell.send("tidied").map_err(std::io::Error::other)
        });
        let _ = lifecycle.stop(SHORT).await;
        assert_eq!(told.await, Ok("tidied"));
    }

    #[tokio::test]
    async fn a_panic_stops_the_process() {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop_handle();
        lifecycle.spawn("bystander", async move {
            stop.requested().await;
            Ends::Ok(())
        });
        lifecycle.spawn("doomed", async { if true { panic!("on purpose") } else { Ends::Ok(()) } });
        assert_eq!(lifecycle.run_until_signal(LONG).await.unwrap(), Outcome::TaskFailed("doomed"));
    }

    #[tokio::test]
    async fn an_error_stops_the_process_and_the_first_one_is_named() {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop_handle();
        lifecycle.spawn("second", async move {
            stop.requested().await;
            Err(std::io::Error::other("consequence"))
        });
        lifecycle.spawn("first", async { Err(std::io::Error::other("cause")) });
        assert_eq!(lifecycle.run_until_signal(LONG).await.unwrap(), Outcome::TaskFailed("first"));
    }

    #[tokio::test]
    async fn an_error_while_stopping_is_no_death() {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop_handle();
        lifecycle.spawn("late", async move {
            stop.requested().await;
            Err(std::io::Error::other("connection closed"))
        });
        assert_eq!(lifecycle.stop(LONG).await, Outcome::Clean);
    }

    #[tokio::test]
    async fn a_child_s_panic_is_its_parent_s_to_judge() {
        let lifecycle = Lifecycle::new();
        let child = lifecycle.spawn_child("handler", async { panic!("on purpose") });
        assert!(child.await.unwrap_err().is_panic());
        assert!(!lifecycle.stop_handle().is_requested());
        assert_eq!(lifecycle.stop(LONG).await, Outcome::Clean);
    }

    #[tokio::test]
    async fn a_child_stops_alone_and_is_gone() {
        let lifecycle = Lifecycle::new();
        let child = lifecycle.child();
        let stop = child.stop_handle();
        child.spawn("worker", async move {
            stop.requested().await;
            Ends::Ok(())
        });
        assert_eq!(child.stop(LONG).await, Outcome::Clean);
        assert!(!lifecycle.stop_handle().is_requested());
        lifecycle.tasks.close();
        timeout(LONG, lifecycle.tasks.wait()).await.expect("nothing of the child is left in the process");
        let stubborn = lifecycle.child();
        stubborn.spawn("stubborn", std::future::pending::<Ends>());
        assert_eq!(stubborn.stop(SHORT).await, Outcome::Forced);
        assert!(lifecycle.stop_handle().hard().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_child_stops_with_the_process_which_waits_for_it() {
        let lifecycle = Lifecycle::new();
        let child = lifecycle.child();
        let (stop, finished) = (child.stop_handle(), Arc::new(AtomicBool::new(false)));
        let done = finished.clone();
        child.spawn("worker", async move {
            stop.requested().await;
            sleep(SHORT).await;
            done.store(true, Ordering::SeqCst);
            Ends::Ok(())
        });
        assert_eq!(lifecycle.stop(LONG).await, Outcome::Clean);
        assert!(finished.load(Ordering::SeqCst), "the stop did not wait for the child");
        let lifecycle = Lifecycle::new();
        let (kept, dropped) = oneshot::channel::<()>();
        lifecycle.child().spawn("stubborn", async move {
            let _kept = kept;
            std::future::pending::<()>().await;
            Ends::Ok(())
        });
        assert_eq!(lifecycle.stop(SHORT).await, Outcome::Forced);
        assert!(dropped.await.is_err(), "the sender was dropped with its task");
    }

    #[tokio::test]
    async fn a_death_in_a_child_stops_the_process() {
        let lifecycle = Lifecycle::new();
        lifecycle.child().spawn("doomed", async { Err(std::io::Error::other("cause")) });
        assert_eq!(lifecycle.run_until_signal(LONG).await.unwrap(), Outcome::TaskFailed("doomed"));
    }

    #[tokio::test]
    async fn a_second_signal_does_not_wait_for_the_grace() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn("stubborn", std::future::pending::<Ends>());
        assert_eq!(lifecycle.drain(LONG, std::future::ready(())).await, Outcome::Forced);
    }
}
