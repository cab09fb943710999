//! The handle: start, stop, steer, look.

use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use uuid::Uuid;

use super::behaviour::Behaviour;
use super::core::Core;
use super::fault::{Fault, Matches};
use super::options::{Options, Sessions, User};
use super::routes;
use super::runner;
use super::socket::{Plug, Sockets};
use super::view::{JobView, Request};

/// How long a stop waits for requests that are being answered.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A running simulator. Clones are the same one; it runs until [`Simulator::stop`] or the end of the runtime.
#[derive(Clone)]
pub struct Simulator {
    core: Arc<Core>,
}

impl Simulator {
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let core = Arc::new(Core::new(options, listener.local_addr()?)?);
        let service = routes::router(Arc::clone(&core)).into_make_service_with_connect_info::<Plug>();
        let stop = core.stop.clone();
        core.tasks.spawn(async move {
            // Serving ends only when it is told to: accept errors are retried.
            axum::serve(Sockets(listener), service).with_graceful_shutdown(stop.cancelled_owned()).await.ok();
        });
        Ok(Self { core })
    }

    /// The base address, without a slash at the end.
    pub fn url(&self) -> String {
        let mut address = self.core.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// Jobs stop where they are; requests that are being answered get two seconds.
    pub async fn stop(self) {
        self.core.stop.cancel();
        self.core.tasks.close();
        tokio::time::timeout(STOP_PATIENCE, self.core.tasks.wait()).await.ok();
    }

    /// Queued: the first call steers the next job that is created, the second the one after it.
    pub fn next_job(&self, behaviour: Behaviour) {
        self.core.change(|world| world.next.push_back(behaviour));
    }

    /// For every later job that nothing was queued for.
    pub fn set_default(&self, behaviour: Behaviour) {
        self.core.change(|world| world.default = behaviour);
    }

    pub fn fault(&self, fault: Fault) {
        self.core.change(|world| world.faults.push(fault));
    }

    /// Forgets every fault that was not used up, and behaviours that wait for a job.
    pub fn heal(&self) {
        self.core.change(|world| {
            world.faults.clear();
            world.next.clear();
        });
    }

    pub fn add_user(&self, user: User) {
        self.core.change(|world| world.users.push(user));
    }

    /// Deletes every user with this external id.
    pub fn remove_user(&self, external_id: &str) {
        self.core.change(|world| world.users.retain(|user| user.external_id != external_id));
    }

    /// The user with this external id.
    pub fn user(&self, external_id: &str) -> Option<User> {
        self.core.world().users.iter().find(|user| user.external_id == external_id).cloned()
    }

    /// How users are made from now on.
    pub fn sessions(&self, sessions: Sessions) {
        self.core.change(|world| world.sessions = sessions);
    }

    /// Finishes a job now, held or not, as it was going to end. Unknown and finished jobs stay as they are.
    pub fn release(&self, job_id: Uuid) {
        self.core.change(|world| {
            if let Some(job) = world.job_mut(job_id) {
                job.pace.released = true;
                job.wake.notify_one();
            }
        });
    }

    /// Tells of a finished job once more, whatever its behaviour says; nothing for other jobs.
    pub fn resend(&self, job_id: Uuid) {
        let core = Arc::clone(&self.core);
        self.core.tasks.spawn(async move { runner::resend(&core, job_id).await });
    }

    /// Every job in the order of creation.
    pub fn jobs(&self) -> Vec<JobView> {
        self.core.world().jobs.iter().enumerate().map(|(order, job)| JobView::of(job, order)).collect()
    }

    pub fn job(&self, job_id: Uuid) -> Option<JobView> {
        let world = self.core.world();
        world.order(job_id).map(|order| JobView::of(&world.jobs[order], order))
    }

    /// Every request in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.core.world().requests.clone()
    }

    /// How many requests with this method came to paths that end so, answered or not.
    pub fn count(&self, method: &str, path_suffix: &str) -> usize {
        let wanted = Matches { method: Some(method.to_owned()), path_suffix: path_suffix.to_owned() };
        self.core.world().requests.iter().filter(|request| wanted.fits(&request.method, &request.path)).count()
    }

    /// Waits until `look` finds something, looking again at every change. Wrap it in a timeout.
    pub async fn until<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        let mut changes = self.core.changes();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if changes.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }
}
