//! The life of one job: it moves on with time, and its end is told as its behaviour says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::behaviour::{EventIds, Timing, WebhookPlan};
use super::clock;
use super::core::Core;
use super::job::{JobState, Step};
use super::webhook::{self, Message};

/// How long a reordered webhook waits for another job's.
const REORDER_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the job to its end and tells of it. Does nothing further once the simulator stops.
pub(super) async fn run(core: Arc<Core>, id: Uuid) {
    core.stop
        .run_until_cancelled(async {
            finish(&core, id).await;
            tell(&core, id).await;
        })
        .await;
}

async fn finish(core: &Arc<Core>, id: Uuid) {
    let mut told = 0;
    loop {
        let now = Instant::now();
        let Step::Wait(until) = core.change(|world| world.step(id, now, clock::now())) else { return };
        let Some((wake, iteration)) = core.world().job(id).map(|job| {
            let progress = job.state == JobState::Executing && job.webhook.as_ref().is_some_and(|w| w.progress);
            (Arc::clone(&job.wake), progress.then(|| (job.pace.iteration(now), job.pace.iteration_end(now))))
        }) else {
            return;
        };
        if let Some((iteration, _)) = iteration.filter(|(iteration, _)| *iteration > told) {
            told = iteration;
            let core = Arc::clone(core);
            core.clone().tasks.spawn(async move { webhook::once(&core, id, Message::Progress(iteration)).await });
        }
        match [until, iteration.map(|(_, end)| end)].into_iter().flatten().min() {
            Some(until) => drop(timeout(until.saturating_duration_since(now), wake.notified()).await),
            None => wake.notified().await,
        }
    }
}

/// Tells of the job's end as its behaviour says; returns when the last copy is answered or given up.
async fn tell(core: &Core, id: Uuid) {
    let Some((plan, state)) = core.world().job(id).map(|job| (job.behaviour.webhook.clone(), job.state)) else {
        return;
    };
    if plan.forged {
        webhook::once(core, id, Message::Forged).await;
    }
    if plan.copies == 0 || (state == JobState::Cancelled && !plan.on_cancel) {
        return;
    }
    if plan.timing == Timing::AfterAnotherJob {
        another_delivery(core).await;
    }
    sleep_until(Instant::now() + plan.delay).await;
    copies(core, id, &plan).await;
}

async fn copies(core: &Core, id: Uuid, plan: &WebhookPlan) {
    let message = |copy: u32| match plan.event_ids {
        EventIds::Fresh if copy > 0 => Message::Final { fresh_id: true },
        _ => Message::Final { fresh_id: false },
    };
    if plan.concurrently {
        join_all((0..plan.copies).map(|copy| webhook::until_accepted(core, id, message(copy)))).await;
    } else {
        for copy in 0..plan.copies {
            webhook::until_accepted(core, id, message(copy)).await;
        }
    }
}

async fn another_delivery(core: &Core) {
    let mut changes = core.changes();
    let before = core.world().delivered;
    let wait = async { while core.world().delivered == before && changes.changed().await.is_ok() {} };
    timeout(REORDER_PATIENCE, wait).await.ok();
}

/// Tells of a finished job once more.
pub(super) async fn resend(core: &Core, id: Uuid) {
    if core.world().job(id).is_some_and(|job| job.state.is_final()) {
        core.stop.run_until_cancelled(webhook::until_accepted(core, id, Message::Final { fresh_id: false })).await;
    }
}
