//! The story test: random operations with faults, drawn from a printed seed, held against a model of the promises.
//!
//! `script` draws what happens, `bed` and `relay` are what it happens on (a Redis of its own, the simulator, one or two
//! real processes in haste), `play` does it and writes into `book` what the callers were told, `look` reads what is left,
//! `model` says what must be true of it. `./dev story --seeds N` runs many; what was found stays as a named test elsewhere.

mod bed;
mod book;
mod look;
mod model;
mod play;
mod relay;
mod run;
mod script;

use std::collections::VecDeque;

use tokio::task::JoinSet;

/// Seeds that run with every `cargo test`.
const FIXED: std::ops::Range<u64> = 1..5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_seeds_keep_every_promise() {
    run_all(FIXED.collect(), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "as long as OMNI_RELAY_STORY says, `<first> <last> <side by side>`: use ./dev story"]
async fn every_seed_that_was_asked_for_keeps_every_promise() {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let wanted = std::env::var("OMNI_RELAY_STORY").expect("OMNI_RELAY_STORY says which seeds");
    let numbers: Vec<u64> = wanted.split(' ').map(|word| word.parse().expect("numbers")).collect();
    let [first, last, jobs] = numbers[..] else { panic!("first, last and how many side by side") };
    run_all((first..=last).collect(), usize::try_from(jobs.max(1)).expect("not that many")).await;
}

async fn run_all(mut seeds: VecDeque<u64>, side_by_side: usize) {
    let (all, mut failed) = (seeds.len(), Vec::new());
    let mut running = JoinSet::new();
    while !seeds.is_empty() || !running.is_empty() {
        while running.len() < side_by_side
            && let Some(seed) = seeds.pop_front()
        {
            running.spawn_blocking(move || run::seed(seed));
        }
        let Some(ended) = running.join_next().await else { break };
        let report = ended.expect("a seed reports whatever happens");
        println!("{}", report.line);
        if !report.broken.is_empty() {
            for broken in &report.broken {
                println!("    {broken}");
            }
            println!("    look at {}", run::folder(report.seed).display());
            println!("    again: ./dev story --from {} --seeds 1", report.seed);
            failed.push(report.seed);
        }
    }
    println!("story: {all} seeds, {} failed {failed:?}", failed.len());
    assert!(failed.is_empty(), "seeds that broke a promise: {failed:?}");
}
