//! What a move costs Redis while ever more prompts wait, run and are dead. `--backlog 1000000` takes some minutes.

use anyhow::{Context, ensure};
use omni_relay::model::{Body, Conversation, Defaults, PromptId, Tenant};
use omni_relay::omni::ApiKey;
use omni_relay::store::accept::{Accepted, Intake};
use omni_relay::store::budget::{Errand, Quota};

use crate::Scale;
use crate::bed::Bed;
use crate::replay::dead;
use crate::report::Report;
use crate::seed::{Prompt, question, submitted, told};

/// Of each move, to be timed.
const MOVES: usize = 1_000;

pub(crate) async fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for backlog in [100, 10_000, 1_000_000].into_iter().filter(|backlog| *backlog <= scale.backlog) {
        let bed = Bed::start().await?;
        submitted(&bed, &Prompt::many(backlog)).await?;
        waiting(&bed, backlog).await?;
        dead(&bed, backlog).await?;
        told(&bed, &Prompt::many(backlog.min(10_000))).await?;
        let figures = [
            ("accept µs", accept(&bed).await?),
            ("finish µs", finish(&bed).await?),
            ("grant µs", grant(&bed).await?),
            ("turn µs", turn(&bed).await?),
        ];
        report.add("growth", &backlog.to_string(), &figures);
    }
    Ok(())
}

/// Prompts in line behind one conversation's, and others whose turn has not come.
async fn waiting(bed: &Bed, count: usize) -> anyhow::Result<()> {
    for _ in 0..count.div_ceil(500) {
        let mut pipe = redis::pipe();
        for _ in 0..count.min(500) {
            let id = PromptId::new(jiff::Timestamp::now()).to_string();
            pipe.cmd("RPUSH").arg(bed.store.keys().ready("")).arg(id).ignore();
        }
        pipe.cmd("ZADD").arg(&bed.store.keys().turns).arg("NX").arg(1).arg("").ignore();
        pipe.query_async::<()>(&mut bed.redis.clone()).await?;
    }
    Ok(())
}

async fn accept(bed: &Bed) -> anyhow::Result<f64> {
    let body = Body::parse(question().as_bytes(), Defaults::default()).ok().context("a prompt")?;
    timed(bed, async || {
        let id = PromptId::new(jiff::Timestamp::now());
        let conversation = Conversation::new(&Tenant::default(), &id.to_string()).context("a name")?;
        let intake = Intake {
            id,
            conversation: &conversation,
            body: &body,
            traceparent: "",
            now: 1,
            first_check: 2,
            may_adopt: false,
        };
        ensure!(matches!(bed.store.accept(&intake, None).await?, Accepted::New(_)), "not accepted");
        Ok(())
    })
    .await
}

async fn finish(bed: &Bed) -> anyhow::Result<f64> {
    let prompts = Prompt::many(MOVES);
    submitted(bed, &prompts).await?;
    let next = std::cell::Cell::new(0);
    timed(bed, async || {
        let prompt = &prompts[next.replace(next.get() + 1)];
        bed.store.finish(None, (prompt.id, Some(&prompt.job.to_string())), 1, std::time::Duration::ZERO, None).await?;
        Ok(())
    })
    .await
}

async fn grant(bed: &Bed) -> anyhow::Result<f64> {
    let key = ApiKey::new(&"omni_osk_bench".to_owned().into()).ok().context("a key")?;
    let quota = Quota { limit: 10_000_000, window: std::time::Duration::from_secs(61), owed: 1 };
    timed(bed, async || {
        bed.store.grant(key.id(), Errand::Finish, 1, quota).await?;
        Ok(())
    })
    .await
}

async fn turn(bed: &Bed) -> anyhow::Result<f64> {
    let unread = std::cell::Cell::new(bed.ask::<usize>(&["XLEN", &bed.store.keys().prompts]).await?);
    timed(bed, async || {
        bed.store.take_turns(unread.replace(unread.get() + 1) + 1, |_| 1).await?;
        Ok(())
    })
    .await
}

/// Microseconds of Redis for one script, as Redis counts them.
async fn timed(bed: &Bed, one: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    one().await?;
    bed.ask::<()>(&["CONFIG", "RESETSTAT"]).await?;
    for _ in 1..MOVES {
        one().await?;
    }
    let stats: String = bed.ask(&["INFO", "commandstats"]).await?;
    let scripts = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).context("no scripts")?;
    Ok(scripts.split("usec_per_call=").nth(1).and_then(|text| text.split(',').next()).context("no time")?.parse()?)
}
