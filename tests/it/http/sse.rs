//! A reader of server-sent events that knows the format and nothing of the relay.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;
use url::Position;

use crate::contract::{Call, Contract};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Events {
    response: Response,
    contract: &'static Contract,
    received: String,
    /// As a browser would send it after a break.
    pub(super) last_id: String,
}

#[derive(Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) event: String,
    pub(super) id: String,
    pub(super) data: Value,
}

impl Events {
    pub(super) async fn open(request: Call) -> Self {
        // Each event comes in time; all of them together take as long as they take.
        let response = request.timeout(PATIENCE * 6).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let contract = Contract::of(&response.url()[..Position::BeforePath]).await;
        Self { response, contract, received: String::new(), last_id: String::new() }
    }

    /// The next frame with data; `None` once the connection ended cleanly.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.step().await? {
                self.contract.check_message("events", &frame.event, &frame.data);
                return Some(frame);
            }
        }
    }

    /// The next frame, which may be without data.
    async fn step(&mut self) -> Option<Option<Frame>> {
        while !self.received.contains("\n\n") {
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event in time").unwrap()?;
            self.received.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let (block, rest) = self.received.split_once("\n\n").unwrap();
        let (block, rest) = (block.to_owned(), rest.to_owned());
        self.received = rest;
        Some(self.read(&block))
    }

    /// Where a browser would go on, as soon as the server told it.
    pub(super) async fn position(&mut self) -> String {
        while self.last_id.is_empty() {
            assert_eq!(self.step().await, Some(None), "no event before the position");
        }
        self.last_id.clone()
    }

    pub(super) async fn take(&mut self, count: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(self.next().await.expect("the stream goes on"));
        }
        frames
    }

    /// The next answer. `omni.job.submitted` may be missing before it: it is never told after an end.
    pub(super) async fn answer(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if frame.event == "omni.answer" {
                return frame;
            }
        }
    }

    fn read(&mut self, block: &str) -> Option<Frame> {
        let (mut event, mut data) = (String::new(), String::new());
        let mut id = String::new();
        for line in block.lines() {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("event", value) => value.clone_into(&mut event),
                ("data", value) => data.push_str(value),
                ("id", value) => value.clone_into(&mut id),
                ("" | ":", _) => {}
                other => panic!("no field of server-sent events: {other:?}"),
            }
        }
        if !id.is_empty() {
            id.clone_into(&mut self.last_id);
        }
        (!data.is_empty()).then(|| Frame { event, id, data: serde_json::from_str(&data).expect("JSON") })
    }
}
