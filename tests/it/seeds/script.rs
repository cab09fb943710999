//! What happens in a story, all of it drawn from one number.

use std::time::Duration;

use fastrand::Rng;
use omni_relay::simulator::FaultKind;

/// Conversations' names; each tenant has all of them.
const TALKS: usize = 8;
/// Who asks: two tenants, and a program without one.
pub(super) const TENANTS: [&str; 3] = ["acme", "umbra", ""];

/// One story.
pub(super) struct Script {
    pub(super) seed: u64,
    /// Whether Omni is given an address for webhooks.
    pub(super) webhooks: bool,
    pub(super) replicas: usize,
    pub(super) keys: usize,
    /// How long a prompt may wait in line: mostly longer than a story, so that one that is forgotten there is seen.
    pub(super) max_wait: Duration,
    pub(super) steps: Vec<Step>,
}

/// What is done, so many milliseconds after the step before it.
pub(super) struct Step {
    pub(super) after: u64,
    pub(super) op: Op,
}

/// A prompt. Its number stands in its text and in its metadata.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) number: usize,
    pub(super) tenant: &'static str,
    pub(super) key: String,
    /// Pushed onto the intake stream, not posted.
    pub(super) pushed: bool,
    pub(super) replica: usize,
    pub(super) idempotent: bool,
    pub(super) deadline: Option<u64>,
    pub(super) marker: &'static str,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Ask(Ask),
    /// The same request once more.
    Repeat {
        number: usize,
        replica: usize,
    },
    /// Another user in a conversation that has one.
    Intrude {
        number: usize,
        replica: usize,
    },
    Cancel {
        number: usize,
        replica: usize,
    },
    /// Its webhook once more.
    Resend {
        number: usize,
    },
    /// A webhook about its job that proves nothing.
    Forge {
        number: usize,
        replica: usize,
        stale: bool,
    },
    /// Lets go of a job that is held.
    Release {
        number: usize,
    },
    /// Reads a prompt: as its own tenant, and as another.
    Read {
        number: usize,
        replica: usize,
    },
    /// A pushed entry that nobody can accept.
    Broken {
        number: usize,
        readable: bool,
    },
    /// A job made without the relay, with its address and secret.
    Elsewhere {
        number: usize,
        replica: usize,
    },
    /// A dead letter is replayed or discarded.
    Judge {
        replica: usize,
        replay: bool,
    },
    /// The next requests to Omni that fit fail.
    Omni {
        method: &'static str,
        path: &'static str,
        kind: FaultKind,
        times: u32,
    },
    /// A consumer group is gone, as after a failover.
    GroupLost {
        stream: &'static str,
    },
    RedisKilled {
        down: u64,
    },
    RedisFrozen {
        silent: u64,
    },
    RelayKilled {
        replica: usize,
        down: u64,
    },
    /// SIGTERM, as a deployment does.
    RelayStopped {
        replica: usize,
        down: u64,
    },
}

impl Op {
    pub(super) fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Omni { .. }
                | Self::GroupLost { .. }
                | Self::RedisKilled { .. }
                | Self::RedisFrozen { .. }
                | Self::RelayKilled { .. }
                | Self::RelayStopped { .. }
        )
    }
}

impl Ask {
    /// The conversation's whole name.
    pub(super) fn conversation(&self) -> String {
        if self.tenant.is_empty() { self.key.clone() } else { format!("{}/{}", self.tenant, self.key) }
    }
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let webhooks = rng.u8(0..5) > 0;
        let replicas = 1 + usize::from(rng.u8(0..5) > 0);
        let keys = rng.usize(1..=2);
        let max_wait = Duration::from_secs(if rng.u8(0..6) == 0 { 3 } else { 40 });
        let count = rng.usize(210..=250);
        let mut author = Author { rng, replicas, asked: 0 };
        let mut steps = Vec::new();
        while steps.len() < count {
            author.scene(&mut steps);
        }
        // Whatever else is drawn: every story has its Redis and a relay killed, and its Redis silent.
        let frozen = if author.rng.u8(0..4) == 0 { 2_300 } else { author.rng.u64(80..700) };
        let must = [
            Op::RedisKilled { down: author.rng.u64(20..500) },
            Op::RelayKilled { replica: author.replica(), down: author.rng.u64(0..400) },
            Op::RedisFrozen { silent: frozen },
        ];
        for op in must {
            let at = author.rng.usize(steps.len() / 6..steps.len());
            steps.insert(at, Step { after: author.rng.u64(0..20), op });
        }
        Self { seed, webhooks, replicas, keys, max_wait, steps }
    }
}

struct Author {
    rng: Rng,
    replicas: usize,
    asked: usize,
}

impl Author {
    fn replica(&mut self) -> usize {
        self.rng.usize(0..self.replicas)
    }

    /// One of the last prompts, mostly.
    fn earlier(&mut self) -> usize {
        let back = if self.rng.bool() { 8 } else { 60 };
        self.rng.usize(self.asked.saturating_sub(back)..self.asked)
    }

    fn scene(&mut self, steps: &mut Vec<Step>) {
        let after = self.rng.u64(0..24);
        if self.asked < 4 || self.rng.u8(0..100) < 44 {
            let ask = self.ask();
            let follow_ups = if self.rng.u8(0..12) == 0 { 3 } else { 0 };
            let (tenant, key) = (ask.tenant, ask.key.clone());
            steps.push(Step { after, op: Op::Ask(ask) });
            for _ in 0..follow_ups {
                let ask = Ask { tenant, key: key.clone(), ..self.ask() };
                steps.push(Step { after: self.rng.u64(0..6), op: Op::Ask(ask) });
            }
            return;
        }
        let op = self.incident();
        steps.push(Step { after, op });
    }

    fn ask(&mut self) -> Ask {
        let number = self.asked;
        self.asked += 1;
        let hot = self.rng.u8(0..5) == 0;
        let talk = if hot { 0 } else { self.rng.usize(0..TALKS) };
        Ask {
            number,
            tenant: TENANTS[self.rng.usize(0..TENANTS.len())],
            key: format!("talk-{talk}"),
            pushed: self.rng.u8(0..4) == 0,
            replica: self.replica(),
            idempotent: self.rng.u8(0..3) > 0,
            deadline: (self.rng.u8(0..16) == 0).then(|| self.rng.u64(1..=2)),
            marker: self.marker(),
        }
    }

    fn marker(&mut self) -> &'static str {
        const ODD: &[&str] = &[
            "late=300ms",
            "late=900ms",
            "twice",
            "at-once=4",
            "at-once=3,fresh-ids",
            "copies=3,fresh-ids",
            "never",
            "never",
            "reordered",
            "reordered",
            "early",
            "early",
            "forged",
            "failed",
            "denied",
            "cancelled",
            "slow=900ms",
            "held",
            "refused=422",
            "lost=503",
            "lost=500",
            "dropped",
            "dropped",
            "dropped,never",
            "lost=502,never",
            "missing=2",
            "missing=30",
            "huge=80k",
            "huge=400k",
            "failed-action",
            "truncated",
            "early,dropped",
        ];
        if self.rng.u8(0..5) < 2 { ODD[self.rng.usize(0..ODD.len())] } else { "" }
    }

    fn incident(&mut self) -> Op {
        let (number, replica) = (self.earlier(), self.replica());
        match self.rng.u8(0..100) {
            0..14 => Op::Repeat { number, replica },
            14..17 => Op::Intrude { number, replica },
            17..35 => Op::Cancel { number, replica },
            35..47 => Op::Resend { number },
            47..54 => Op::Forge { number, replica, stale: self.rng.bool() },
            54..58 => Op::Release { number },
            58..67 => Op::Read { number, replica },
            67..70 => Op::Broken { number: self.rng.usize(1_000..9_999), readable: self.rng.bool() },
            70..74 => Op::Elsewhere { number: self.rng.usize(1_000..9_999), replica },
            74..81 => Op::Judge { replica, replay: self.rng.u8(0..3) > 0 },
            81..94 => self.omni_fault(),
            94..95 => Op::GroupLost { stream: ["intake", "prompts", "inbox"][self.rng.usize(0..3)] },
            95..96 => Op::RedisKilled { down: self.rng.u64(20..500) },
            96..97 => Op::RedisFrozen { silent: self.rng.u64(50..500) },
            97..99 => Op::RelayKilled { replica, down: self.rng.u64(0..400) },
            _ => Op::RelayStopped { replica, down: self.rng.u64(0..200) },
        }
    }

    fn omni_fault(&mut self) -> Op {
        let (method, path) =
            [("POST", "/jobs"), ("POST", "/jobs"), ("GET", "/result"), ("GET", ""), ("POST", "/cancel")]
                [self.rng.usize(0..5)];
        let kind = match self.rng.u8(0..12) {
            0 => FaultKind::Status(429, Some(1)),
            1..3 => FaultKind::Status(429, None),
            3..5 => FaultKind::Status(409, None),
            5 => FaultKind::Status(500, None),
            6 => FaultKind::Status(502, None),
            7 => FaultKind::Status(503, None),
            8 => FaultKind::Hang,
            9..11 => FaultKind::DropBeforeReply(true),
            _ => FaultKind::DropBeforeReply(false),
        };
        Op::Omni { method, path, kind, times: self.rng.u32(1..=3) }
    }
}
