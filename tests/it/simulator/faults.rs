//! Creates with an unknown outcome, and requests that fail whatever they ask for.

use std::time::Duration;

use omni_relay::simulator::{Behaviour, Fault, FaultKind, JobState};
use tokio::time::timeout;

use super::bench::{Bench, JOBS};

#[tokio::test]
async fn a_refused_create_leaves_no_job_and_a_lost_one_does() {
    let bench = Bench::start().await;
    let order = bench.order("revenue by region");
    bench.sim.next_job(Behaviour::new().refused(503));
    assert_eq!(bench.call("POST", JOBS, Some(&order)).await.status, 503);
    assert!(bench.sim.jobs().is_empty());

    bench.sim.next_job(Behaviour::new().lost(502));
    assert_eq!(bench.call("POST", JOBS, Some(&order)).await.status, 502);
    bench.sim.next_job(Behaviour::new().dropped());
    let error = bench.call_with("key", "POST", JOBS, Some(&order)).await.err().expect("no answer");
    assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
    let jobs = bench.sim.jobs();
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        bench.until(job.id, |view| view.state == JobState::Complete && view.last_delivery == Some(200)).await;
    }
}

#[tokio::test]
async fn a_fault_answers_for_the_handler_so_many_times() {
    let bench = Bench::start().await;
    let (job, _) = bench.ask("revenue by region").await;
    let path = format!("{JOBS}/{job}/result");
    bench.sim.fault(Fault::new("GET", "/result", FaultKind::Status(429, Some(7))));
    bench.sim.fault(Fault::new("GET", "/result", FaultKind::Status(500, None)).times(2));
    let refused = bench.get(&path).await;
    assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(bench.get(&format!("{JOBS}/{job}")).await.status, 200);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(bench.get(&path).await.status);
    }
    assert_eq!(statuses, [500, 500, 200]);
}

#[tokio::test]
async fn a_dropped_connection_may_have_done_its_work() {
    let bench = Bench::start().await;
    let order = bench.order("revenue by region");
    for (processed, jobs) in [(false, 0), (true, 1)] {
        bench.sim.fault(Fault::new("POST", "/jobs", FaultKind::DropBeforeReply(processed)));
        assert!(bench.call_with("key", "POST", JOBS, Some(&order)).await.is_err());
        assert_eq!(bench.sim.jobs().len(), jobs);
    }
    assert!(bench.sim.requests().iter().all(|request| request.status.is_none()));
}

#[tokio::test]
async fn a_hanging_request_ends_with_the_simulator() {
    let bench = Bench::start().await;
    bench.sim.fault(Fault::new("GET", "/Users", FaultKind::Hang));
    let hanging = bench.call_with("key", "GET", "/api/scim/v2/embed/Users", None);
    let stopping = async {
        bench.sim.until(|sim| (sim.count("GET", "/Users") == 1).then_some(())).await;
        bench.sim.clone().stop().await;
    };
    let (answer, ()) = timeout(Duration::from_secs(10), async { tokio::join!(hanging, stopping) }).await.unwrap();
    assert!(answer.is_err());
}
