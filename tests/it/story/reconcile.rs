//! What nobody tells us is found out, and ends in time.

use omni_relay::pipeline::reconcile::Tuning;
use omni_relay::simulator::{Behaviour, CancelRace, Fault, FaultKind, JobState, User};
use serde_json::{Value, json};
use std::time::Duration;

use crate::world::{Asked, MODEL, Setting, World, eventually};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Times as configured, looked at often; the clock is shifted past them.
fn attentive(settings: &'static [(&'static str, &'static str)]) -> Setting {
    let setting = Setting::config(move |sources| {
        // The simulator's clock is not shifted along.
        let sources = sources.with("webhook.tolerance", "14d");
        settings.iter().fold(sources, |sources, (name, value)| sources.with(name, *value))
    });
    Setting { tuning: Tuning { idle: Duration::from_millis(10), ..Tuning::default() }, ..setting }
}

/// Everything in milliseconds.
fn hasty(settings: &'static [(&'static str, &'static str)]) -> Setting {
    let ms = Duration::from_millis;
    let tuning = Tuning {
        poll: (ms(60), ms(40)),
        lookups: (ms(150), ms(400)),
        slowest: ms(300),
        insist: ms(300),
        idle: ms(10),
        ..Tuning::default()
    };
    Setting { tuning, ..attentive(settings) }
}

async fn ends(world: &World, asked: &Asked) -> Vec<Value> {
    let entries = world.entries(&asked.conversation).await;
    entries.into_iter().filter(|entry| entry["data"]["promptId"] == asked.id.as_str()).collect()
}

/// The types of a prompt's entries.
async fn types(world: &World, asked: &Asked) -> Vec<String> {
    ends(world, asked).await.iter().map(|entry| crate::world::text(entry, "type")).collect()
}

fn looks(world: &World) -> usize {
    let of_jobs = |path: &str| path.starts_with("/api/v1/ai/jobs/") && !path.ends_with("/result");
    world.sim.requests().iter().filter(|request| request.method == "GET" && of_jobs(&request.path)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_never_comes_delays_an_answer() {
    let world = World::with(hasty(&[("reconcile.after", "150ms")])).await;
    world.sim.next_job(Behaviour::new().never());
    let asked = world.ask("revenue by region").await;
    world.eventually_answered(&asked).await;
    assert_eq!((world.sim.jobs()[0].deliveries, looks(&world)), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_webhook_lost_every_prompt_is_answered() {
    let world = World::with(hasty(&[("reconcile.after", "100ms")])).await;
    world.sim.set_default(Behaviour::new().never());
    let mut all = Vec::new();
    for n in 0..20 {
        all.push(world.ask_in(&format!("thread-{}", n % 12), &format!("revenue by region {n}")).await);
    }
    for asked in &all {
        world.eventually_answered(asked).await;
    }
    assert_eq!(world.sim.count("POST", "/jobs"), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_for_webhooks_jobs_are_polled() {
    let world = World::with(hasty(&[("webhook.public_url", "")])).await;
    let answered = world.ask("revenue by region").await;
    world.eventually_answered(&answered).await;
    assert!(world.sim.jobs()[0].webhook_metadata.is_none(), "a webhook was asked for");
    world.sim.next_job(Behaviour::new().failed("QUERY_TIMEOUT", "the warehouse did not answer"));
    let failed = world.ask("revenue by month").await;
    let entry = world.eventually_ends(&failed).await;
    assert_eq!(entry["data"]["error"], json!({"code": "QUERY_TIMEOUT", "message": "the warehouse did not answer"}));
    world.sim.next_job(Behaviour::new().cancelled());
    let cancelled = world.ask("revenue by product").await;
    assert_eq!(world.eventually_ends(&cancelled).await["type"], "omni.cancelled", "cancelled by somebody in Omni");
    world.sim.next_job(Behaviour::new().slow(Duration::from_millis(400)));
    let before = looks(&world);
    let slow = world.ask("orders by region").await;
    world.eventually_answered(&slow).await;
    assert!(looks(&world) > before + 2, "it was looked at once: {}", looks(&world) - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_and_a_webhook_are_one_entry() {
    let world = World::with(hasty(&[("reconcile.after", "80ms")])).await;
    // Found at 80 ms or so; the result is waited for while the webhooks come.
    world.sim.set_default(Behaviour::new().at_once(3).late(Duration::from_millis(120)).missing_result(7));
    let mut all = Vec::new();
    for n in 0..10 {
        all.push(world.ask(&format!("revenue by region {n}")).await);
    }
    for asked in &all {
        world.eventually_answered(asked).await;
    }
    world.sim.until(|sim| sim.jobs().iter().all(|job| job.deliveries == 3).then_some(())).await;
    assert!(looks(&world) > 0, "nothing was polled");
}

#[tokio::test(flavor = "multi_thread")]
async fn omni_that_does_not_say_is_asked_again_and_counts_nothing() {
    let world = World::with(hasty(&[("reconcile.after", "80ms")])).await;
    world.sim.next_job(Behaviour::new().never());
    world.sim.fault(Fault::new("GET", "", FaultKind::Status(503, None)).times(6));
    world.sim.fault(Fault::new("GET", "", FaultKind::Status(403, None)).times(2));
    let asked = world.ask("revenue by region").await;
    world.eventually_answered(&asked).await;
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_omni_does_not_know_any_more_ends_the_prompt() {
    let world = World::with(hasty(&[("reconcile.after", "80ms")])).await;
    world.sim.next_job(Behaviour::new().never());
    world.sim.fault(Fault::new("GET", "", FaultKind::Status(404, None)).times(2));
    let known = world.ask("revenue by region").await;
    world.eventually_answered(&known).await;
    world.sim.next_job(Behaviour::new().held());
    world.sim.fault(Fault::new("GET", "", FaultKind::Status(404, None)).times(3));
    let gone = world.ask("revenue by month").await;
    assert_eq!(world.eventually_ends(&gone).await["data"]["error"]["code"], "job_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_looks() {
    let world = World::with(attentive(&[("reconcile.after", "1h"), ("jobs.deadline", "2d")])).await;
    let other = world.replica().await;
    world.sim.set_default(Behaviour::new().held());
    let mut all = Vec::new();
    for n in 0..20 {
        all.push(world.ask(&format!("revenue by region {n}")).await);
    }
    for asked in &all {
        world.eventually_in(asked, "submitted").await;
    }
    world.clock.shift(HOUR + MINUTE);
    eventually("every job was looked at", async || {
        let due: usize = world
            .redis(
                redis::cmd("ZCOUNT")
                    .arg(format!("{{{}}}:deadlines", world.namespace))
                    .arg("-inf")
                    // Behind the leases: somebody has looked, and has said when to look again.
                    .arg(world.clock.now_ms() + 180_000),
            )
            .await;
        (due == 0 && looks(&world) >= 20).then_some(())
    })
    .await;
    assert_eq!(looks(&world), 20, "both looked at the same prompts");
    for job in world.sim.jobs() {
        world.sim.release(job.id);
    }
    for asked in &all {
        world.eventually_answered(asked).await;
    }
    let _ = other.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_looked_up_and_adopted() {
    for lost in [Behaviour::new().lost(503), Behaviour::new().dropped()] {
        let world = World::with(hasty(&[("reconcile.after", "80ms")])).await;
        world.sim.next_job(lost.clone().never());
        let asked = world.ask_in("thread", "revenue by region").await;
        let answer = world.eventually_answered(&asked).await;
        let job = &world.sim.jobs()[0];
        assert_eq!(answer["data"]["jobId"], job.id.to_string());
        assert_eq!(answer["data"]["conversationId"], job.conversation_id.to_string());
        let listed = world.sim.count("GET", "/ai/conversations");
        assert!(listed > 0, "found without looking");

        // Where Omni's conversation is known, only that one is read.
        world.sim.next_job(lost.never());
        let follow_up = world.ask_in("thread", "and by month?").await;
        world.eventually_answered(&follow_up).await;
        assert_eq!(world.sim.count("POST", "/jobs"), 2, "asked, and paid, twice");
        assert_eq!(world.sim.jobs()[1].conversation_id, world.sim.jobs()[0].conversation_id);
        assert_eq!(world.sim.count("GET", "/ai/conversations"), listed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_that_may_be_one_of_two_is_left_to_a_person() {
    let world = World::with(attentive(&[])).await;
    world.sim.next_job(Behaviour::new().lost(503).never());
    let asked = world.ask_in("thread", "revenue by region").await;
    world.sim.until(|sim| (sim.jobs().len() == 1).then_some(())).await;
    ask_in_omni(&world, "revenue by region").await;
    let next = world.ask_in("thread", "and by month?").await;
    world.clock.shift(Duration::from_secs(21));
    looked_up(&world, &asked, 1).await;
    world.clock.shift(Duration::from_secs(55));
    looked_up(&world, &asked, 2).await;
    let record = world.record(&asked.id).await;
    assert_eq!((record["phase"].as_str(), record.get("jobId")), ("sending", None), "adopted by luck");

    world.clock.shift(5 * MINUTE);
    world.eventually_in(&asked, "dead").await;
    let letter = world.letter(&asked.id).await;
    assert_eq!((letter["reason"].as_str(), letter["stage"].as_str()), ("submit_outcome_unknown", "submit"));
    assert_eq!(letter["attempts"], "1");
    world.eventually_answered(&next).await;
    assert_eq!(types(&world, &asked).await, ["omni.prompt.accepted", "omni.delayed"]);
    eventually("workers are told", async || {
        world.answers().await.into_iter().find(|entry| entry["type"] == "omni.delayed")
    })
    .await;
    assert_eq!(world.sim.count("POST", "/jobs"), 3, "the two in doubt and the follow-up");
    let deadline: Option<f64> = deadline(&world, &asked).await;
    assert_eq!(deadline, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_that_left_nothing_behind_is_never_expired() {
    let world = World::with(attentive(&[])).await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::DropBeforeReply(false)));
    let asked = world.ask_with(json!({"prompt": "revenue by region", "deadlineSeconds": 1})).await;
    world.eventually_in(&asked, "sending").await;
    let prompts = format!("{{{}}}:prompts", world.namespace);
    let over = async || (world.redis::<usize>(redis::cmd("XLEN").arg(&prompts)).await == 0).then_some(());
    eventually("its create is given up", over).await;
    // Asked by somebody else, or for something else, or a prompt's: none of them is it.
    let other = User::new("emea-anna", "Anna");
    ask_as(&world, &other, "revenue by region").await;
    ask_in_omni(&world, "revenue by month").await;
    let own = world.ask("revenue by region").await;
    world.eventually_answered(&own).await;
    world.clock.shift(Duration::from_secs(21));
    looked_up(&world, &asked, 1).await;
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("sending"), "given up before the second look");
    world.clock.shift(MINUTE);
    world.eventually_in(&asked, "dead").await;
    assert_eq!(world.letter(&asked.id).await["reason"], "submit_outcome_unknown");
    let told = async || (types(&world, &asked).await == ["omni.prompt.accepted", "omni.delayed"]).then_some(());
    eventually("its readers are told", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_whose_time_is_over_in_line_expires_there() {
    let world = World::with(attentive(&[])).await;
    world.sim.next_job(Behaviour::new().held());
    let first = world.ask_in("thread", "revenue by region").await;
    world.eventually_in(&first, "submitted").await;
    let hurried =
        world.ask_with(json!({"prompt": "and by month?", "conversation": "thread", "deadlineSeconds": 30})).await;
    let last = world.ask_in("thread", "and by product?").await;
    world.clock.shift(Duration::from_secs(31));
    assert_eq!(world.eventually_ends(&hurried).await["type"], "omni.expired");
    world.eventually_in(&hurried, "expired").await;
    assert_eq!(
        world.phase(&first.id).await.as_deref(),
        Some("submitted"),
        "its neighbour's time was over, not its own"
    );
    world.sim.release(world.sim.jobs()[0].id);
    world.eventually_answered(&first).await;
    world.eventually_answered(&last).await;
    assert_eq!(world.sim.count("POST", "/jobs"), 2, "the expired one was asked");
    assert_eq!(types(&world, &hurried).await, ["omni.prompt.accepted", "omni.expired"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_waits_too_long_for_its_turn_expires() {
    let world = World::with(attentive(&[])).await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(7200))));
    let asked = world.ask("revenue by region").await;
    let due = format!("{{{}}}:due", world.namespace);
    eventually("it waits", async || (world.redis::<usize>(redis::cmd("ZCARD").arg(&due)).await == 1).then_some(()))
        .await;
    world.clock.shift(Duration::from_mins(59));
    world.eventually_in(&asked, "queued").await;
    world.clock.shift(2 * MINUTE);
    assert_eq!(world.eventually_ends(&asked).await["type"], "omni.expired");
    assert_eq!(world.redis::<usize>(redis::cmd("ZCARD").arg(&due)).await, 0, "it still waits");
    assert_eq!(world.sim.count("POST", "/jobs"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_too_long_is_cancelled_once_and_a_late_answer_adds_nothing() {
    let world = World::with(attentive(&[])).await;
    world.sim.next_job(Behaviour::new().held().cancel(CancelRace::Overtaken));
    let asked = world.ask_in("thread", "revenue by region").await;
    world.eventually_in(&asked, "submitted").await;
    world.clock.shift(5 * MINUTE + Duration::from_secs(1));
    assert_eq!(world.eventually_ends(&asked).await["type"], "omni.expired");
    world.eventually_in(&asked, "expired").await;
    let job = world.sim.jobs()[0].id;
    assert!(world.sim.job(job).unwrap().cancel_asked);
    world.sim.release(job);
    world.sim.until(|sim| sim.job(job).filter(|job| job.last_delivery == Some(200)).map(drop)).await;
    let next = world.ask_in("thread", "and by month?").await;
    world.eventually_answered(&next).await;
    assert_eq!(world.sim.count("POST", "/cancel"), 1);
    assert_eq!(types(&world, &asked).await, ["omni.prompt.accepted", "omni.job.submitted", "omni.expired"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_we_cancelled_in_time_is_expired_whoever_tells_of_it() {
    let world = World::with(attentive(&[])).await;
    world.sim.set_default(Behaviour::new().held().cancel(CancelRace::AtOnce).tell_of_cancel());
    let mut all = Vec::new();
    for n in 0..10 {
        let prompt = format!("revenue by region {n}");
        all.push(world.ask_with(json!({"prompt": prompt, "deadlineSeconds": 60})).await);
    }
    for asked in &all {
        world.eventually_in(asked, "submitted").await;
    }
    // Half of the answers get lost: then the webhook is the first to tell.
    world.sim.fault(Fault::new("POST", "/cancel", FaultKind::DropBeforeReply(true)).times(5));
    world.clock.shift(MINUTE);
    for asked in &all {
        assert_eq!(world.eventually_ends(asked).await["type"], "omni.expired");
    }
    assert_eq!(world.sim.count("POST", "/cancel"), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_omni_tells_when_it_is_asked_to_cancel_goes_before_an_expiry() {
    let world = World::with(attentive(&[("reconcile.after", "1h")])).await;
    for (behaviour, wanted) in [
        (Behaviour::new().never(), "omni.answer"),
        (Behaviour::new().never().failed("QUERY_TIMEOUT", "no"), "omni.failed"),
        (Behaviour::new().never().held_in(JobState::Delivering).cancel(CancelRace::TooLate), "omni.expired"),
    ] {
        world.sim.next_job(behaviour.clone());
        let asked = world.ask("revenue by region").await;
        world.eventually_in(&asked, "submitted").await;
        let far = |state: JobState| state.is_final() || behaviour.hold == Some(state);
        world.sim.until(|sim| sim.jobs().last().filter(|job| far(job.state)).map(drop)).await;
        world.clock.shift(5 * MINUTE + Duration::from_secs(1));
        assert_eq!(world.eventually_ends(&asked).await["type"], wanted);
    }
    world.sim.release(world.sim.jobs()[2].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_omni_that_cannot_be_asked_to_cancel_holds_up_no_expiry() {
    let world = World::with(attentive(&[("reconcile.after", "1h")])).await;
    world.sim.next_job(Behaviour::new().held());
    let asked = world.ask("revenue by region").await;
    world.eventually_in(&asked, "submitted").await;
    world.sim.fault(Fault::new("POST", "/cancel", FaultKind::Status(503, Some(3600))).times(1000));
    world.clock.shift(5 * MINUTE + Duration::from_secs(1));
    let asked_for = async || (world.sim.count("POST", "/cancel") == 1).then_some(());
    eventually("omni is asked to cancel", asked_for).await;
    eventually("the intent stands", async || world.record(&asked.id).await.remove("expiring")).await;
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("submitted"), "given up at the first error");
    world.clock.shift(2 * MINUTE);
    assert_eq!(world.eventually_ends(&asked).await["type"], "omni.expired");
    world.sim.release(world.sim.jobs()[0].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_is_to_be_cancelled_is_followed_to_its_end() {
    let world = World::with(hasty(&[])).await;
    for (race, wanted) in [
        (CancelRace::AfterIteration, "omni.cancelled"),
        (CancelRace::Conflict(2), "omni.cancelled"),
        (CancelRace::Overtaken, "omni.answer"),
    ] {
        world.sim.next_job(Behaviour::new().held().never().cancel(race));
        let asked = world.ask("revenue by region").await;
        world.eventually_in(&asked, "submitted").await;
        let now = world.clock.now_ms();
        let record = format!("{{{}}}:prompt:{}", world.namespace, asked.id);
        let _: i64 = world.redis(redis::cmd("HSET").arg(record).arg("cancelRequested").arg(now)).await;
        let deadlines = format!("{{{}}}:deadlines", world.namespace);
        let _: i64 = world.redis(redis::cmd("ZADD").arg(deadlines).arg(now).arg(&asked.id)).await;
        let job = world.sim.jobs().last().unwrap().id;
        if race == CancelRace::Overtaken {
            world.sim.until(|sim| sim.job(job).filter(|job| job.cancel_asked).map(drop)).await;
            world.sim.release(job);
        }
        assert_eq!(world.eventually_ends(&asked).await["type"], wanted, "{race:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_telling_was_lost_is_found_again() {
    let world = World::with(attentive(&[])).await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, Some(3600))));
    let asked = world.ask("revenue by region").await;
    let due = [format!("{{{}}}:due", world.namespace), format!("{{{}}}:due:entries", world.namespace)];
    eventually("it waits", async || (world.redis::<usize>(redis::cmd("ZCARD").arg(&due[0])).await == 1).then_some(()))
        .await;
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("finishing"));
    let _: i64 = world.redis(redis::cmd("DEL").arg(&due)).await;
    // Looked at, and left alone.
    world.clock.shift(HOUR);
    eventually("it is looked at", async || {
        let next = deadline(&world, &asked).await?;
        #[expect(clippy::cast_precision_loss, reason = "unix milliseconds")]
        let now = world.clock.now_ms() as f64;
        (next > now + 1_800_000.0).then_some(())
    })
    .await;
    world.clock.shift(HOUR);
    world.eventually_answered(&asked).await;
}

async fn deadline(world: &World, asked: &Asked) -> Option<f64> {
    world.redis(redis::cmd("ZSCORE").arg(format!("{{{}}}:deadlines", world.namespace)).arg(&asked.id)).await
}

/// Waits until the conversations were listed so many times, and the prompt's next look lies ahead.
async fn looked_up(world: &World, asked: &Asked, times: usize) {
    let listed = async || (world.sim.count("GET", "/ai/conversations") >= times).then_some(());
    eventually("the conversations are listed", listed).await;
    eventually("the look-up is over", async || {
        let at = deadline(world, asked).await?;
        #[expect(clippy::cast_precision_loss, reason = "unix milliseconds")]
        let now = world.clock.now_ms() as f64;
        // A lease would be longer than the pause between the look-ups.
        (at > now && at < now + 100_000.0).then_some(())
    })
    .await;
}

/// Somebody asks in Omni itself.
async fn ask_in_omni(world: &World, prompt: &str) {
    ask_as(world, &User::new("dana", "Dana"), prompt).await;
}

async fn ask_as(world: &World, user: &User, prompt: &str) {
    let request = reqwest::Client::new().post(format!("{}/api/v1/ai/jobs?userId={}", world.sim.url(), user.id));
    let request = request.bearer_auth("omni_osk_test").json(&json!({"modelId": MODEL, "prompt": prompt}));
    assert_eq!(request.send().await.unwrap().status(), 201);
}
