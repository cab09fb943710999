//! Cancel: every race the contract names.

use omni_relay::simulator::{Behaviour, CancelRace, JobState};
use serde_json::Value;
use uuid::Uuid;

use super::bench::{Answer, Bench, JOBS};

async fn cancel(bench: &Bench, job: Uuid) -> Answer {
    bench.call("POST", &format!("{JOBS}/{job}/cancel"), None).await
}

async fn job_in(bench: &Bench, state: JobState, race: CancelRace) -> Uuid {
    bench.sim.next_job(Behaviour::new().held_in(state).cancel(race));
    let job = bench.create("revenue by region").await;
    bench.until_state(job, state).await;
    job
}

fn state(answer: &Answer) -> (u16, &Value) {
    (answer.status, &answer.body["state"])
}

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once() {
    let bench = Bench::start().await;
    let job = job_in(&bench, JobState::Queued, CancelRace::default()).await;
    assert_eq!(state(&cancel(&bench, job).await), (200, &"CANCELLED".into()));
    assert_eq!(state(&cancel(&bench, job).await), (200, &"CANCELLED".into()));
    assert!(bench.view(job).cancel_asked);
}

#[tokio::test]
async fn an_executing_job_is_cancelled_after_its_iteration() {
    let bench = Bench::start().await;
    let job = job_in(&bench, JobState::Executing, CancelRace::AfterIteration).await;
    assert_eq!(state(&cancel(&bench, job).await), (200, &"EXECUTING".into()));
    bench.until_state(job, JobState::Cancelled).await;

    let job = job_in(&bench, JobState::Executing, CancelRace::AtOnce).await;
    assert_eq!(state(&cancel(&bench, job).await), (200, &"CANCELLED".into()));
}

#[tokio::test]
async fn a_cancel_can_be_overtaken_by_the_answer() {
    let bench = Bench::start().await;
    let job = job_in(&bench, JobState::Executing, CancelRace::Overtaken).await;
    assert_eq!(state(&cancel(&bench, job).await), (200, &"EXECUTING".into()));
    bench.sim.release(job);
    bench.until_state(job, JobState::Complete).await;
    assert_eq!(state(&cancel(&bench, job).await), (200, &"COMPLETE".into()));
}

#[tokio::test]
async fn a_delivering_job_cannot_be_cancelled() {
    let bench = Bench::start().await;
    for (race, status) in [(CancelRace::AfterIteration, 200), (CancelRace::TooLate, 400)] {
        let job = job_in(&bench, JobState::Delivering, race).await;
        let answer = cancel(&bench, job).await;
        assert_eq!(answer.status, status);
        if status == 200 {
            assert_eq!(answer.body["state"], "DELIVERING");
        }
        bench.sim.release(job);
        bench.until_state(job, JobState::Complete).await;
    }
}

#[tokio::test]
async fn a_lost_race_is_repeated() {
    let bench = Bench::start().await;
    let job = job_in(&bench, JobState::Executing, CancelRace::Conflict(2)).await;
    assert_eq!(cancel(&bench, job).await.status, 409);
    assert_eq!(cancel(&bench, job).await.status, 409);
    assert_eq!(state(&cancel(&bench, job).await), (200, &"EXECUTING".into()));
    bench.until_state(job, JobState::Cancelled).await;
}

#[tokio::test]
async fn what_is_not_a_job_cannot_be_cancelled() {
    let bench = Bench::start().await;
    assert_eq!(cancel(&bench, Uuid::from_u128(1)).await.status, 404);
    assert_eq!(bench.call("POST", &format!("{JOBS}/7/cancel"), None).await.status, 400);
}

#[tokio::test]
async fn a_cancelled_job_is_told_of_only_when_asked_to() {
    let mut bench = Bench::start().await;
    let silent = job_in(&bench, JobState::Queued, CancelRace::default()).await;
    cancel(&bench, silent).await;
    bench.sim.next_job(Behaviour::new().cancelled().tell_of_cancel());
    let told = bench.create("revenue by region").await;
    let hook = bench.hooks.next().await;
    assert_eq!((&hook.body()["jobId"], &hook.body()["status"]), (&told.to_string().into(), &"CANCELLED".into()));
    assert_eq!(bench.view(silent).deliveries, 0);
}
