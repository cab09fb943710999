//! What an answer costs at Omni, which grants sixty requests a minute: told by webhooks, and found where all of them are lost.

use std::time::{Duration, Instant};

use anyhow::ensure;
use omni_relay::simulator::{Behaviour, Options, Simulator};

use crate::bed::{Bed, eventually};
use crate::load::{request, send};
use crate::report::Report;
use crate::seed::question;

const A_MINUTE: u32 = 60;
/// The first minute is full from the beginning: the second is what goes on.
const MINUTES: u32 = 2;
const LOST: usize = 10;

pub(crate) async fn run(report: &mut Report) -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let options = || Options { requests_per_minute: A_MINUTE, accept_unknown_users: true, ..Options::default() };
    let sim = Simulator::start(Options { duration: seconds(1)..=seconds(3), ..options() }).await?;
    let relay = bed.relay_of(&sim.url(), A_MINUTE).await?;
    let asked = vec![request("POST", "/v1/prompts", &[], &question()); (A_MINUTE * MINUTES) as usize];
    let began = Instant::now();
    ensure!(send(relay.address(), &asked, None).await?.good == asked.len(), "not all were accepted");
    tokio::time::sleep(Duration::from_secs(61 * u64::from(MINUTES)).saturating_sub(began.elapsed())).await;
    let answers = answers(&bed).await?;
    let (created, all) = (sim.count("POST", "/jobs"), sim.requests().len());
    ensure!(refused(&sim) == 0, "a 429 was provoked");
    report.add(
        "economy",
        "webhooks",
        &[
            ("answers a minute", answers as f64 / f64::from(MINUTES)),
            ("requests an answer", (all - created + answers) as f64 / answers.max(1) as f64),
            ("429", refused(&sim) as f64),
        ],
    );
    drop(relay);
    sim.stop().await;
    bed.clear().await?;

    let sim = Simulator::start(Options { duration: seconds(30)..=seconds(30), ..options() }).await?;
    sim.set_default(Behaviour::new().never().slow(seconds(30)));
    let relay = bed.relay_of(&sim.url(), A_MINUTE).await?;
    ensure!(send(relay.address(), &asked[..LOST], None).await?.good == LOST, "not all were accepted");
    let all = async || (self::answers(&bed).await.ok()? == LOST).then_some(());
    eventually("all are answered", all).await?;
    report.add(
        "economy",
        "all lost",
        &[("requests an answer", sim.requests().len() as f64 / LOST as f64), ("429", refused(&sim) as f64)],
    );
    drop(relay);
    sim.stop().await;
    Ok(())
}

async fn answers(bed: &Bed) -> anyhow::Result<usize> {
    bed.ask(&["XLEN", &bed.store.keys().answers]).await
}

fn refused(sim: &Simulator) -> usize {
    sim.requests().iter().filter(|request| request.status == Some(429)).count()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
