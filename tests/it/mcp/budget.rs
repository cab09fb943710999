//! Agents live in the budget of everybody.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::{Bed, list};
use crate::http::problem;
use crate::world::Setting;

#[tokio::test(flavor = "multi_thread")]
async fn agents_wait_for_room() {
    let minute = (Duration::from_millis(1500), Duration::from_millis(100));
    let setting = Setting { minute, ..Setting::default() };
    let bed = Bed::with(setting, |sources| sources.with("omni.requests_per_minute", "5")).await;
    bed.omni.answers(|_| axum::Json(json!({})));
    let began = Instant::now();
    let answers = join_all((0..9).map(|_| bed.post(&list()).send())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 200), "{answers:?}");
    assert!(began.elapsed() > minute.0, "ten requests do not fit into one window");
    let mut times: Vec<Instant> = bed.omni.seen().iter().map(|seen| seen.at).collect();
    times.sort();
    for window in times.windows(6) {
        assert!(window[5] - window[0] > minute.0, "six in one window");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_wait_too_long_is_told_so() {
    let bed = Bed::with(Setting::default(), |sources| sources.with("omni.requests_per_minute", "5")).await;
    bed.omni.answers(|_| axum::Json(json!({})));
    let mut answered = 0;
    let refused = loop {
        let answer = bed.post(&list()).send().await.unwrap();
        match answer.status().as_u16() {
            200 => answered += 1,
            _ => break answer,
        }
    };
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((11..=61).contains(&seconds), "{seconds}");
    assert_eq!(problem(refused, 429).await["code"], "budget");
    assert!((1..=4).contains(&answered), "{answered}");
    assert_eq!(bed.arrived(), answered);
}
