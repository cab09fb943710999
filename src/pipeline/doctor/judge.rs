//! What is to be said of what was seen. Pure.

use std::collections::HashMap;
use std::time::Duration;

use super::check::{Check, count};
use crate::omni::OmniError;
use crate::store::state::StreamState;

/// From here on clocks are apart, milliseconds: the default tolerance of signatures is five minutes.
const APART: (u64, u64) = (2_000, 30_000);
/// Whoever reads does so more often.
const READS: Duration = Duration::from_mins(1);

pub(super) fn server(info: &HashMap<String, String>) -> Vec<Check> {
    let fact = |name: &str| info.get(name).map(String::as_str).unwrap_or_default();
    let number = |name: &str| fact(name).parse::<u64>().unwrap_or_default();
    let mut checks = Vec::new();
    let (aof, fork) = (fact("aof_last_write_status"), fact("rdb_last_bgsave_status"));
    if [aof, fork].contains(&"err") {
        let advice = "look at Redis' log and at its disk: it may refuse writes, or lose them";
        checks.push(Check::fail("redis", "the last write to disk failed", advice));
    }
    if number("loading") == 1 {
        checks.push(Check::warn("redis", "it is reading its files", "wait until it is done"));
    }
    let (used, most) = (number("used_memory"), number("maxmemory"));
    let memory = format!(
        "{} MiB used, {}",
        used >> 20,
        if most == 0 { "no limit".to_owned() } else { format!("limit {} MiB", most >> 20) }
    );
    checks.push(if most > 0 && used >= most / 10 * 9 {
        Check::fail("redis memory", memory, "raise maxmemory, or shorten retention; at the limit nothing is accepted")
    } else if most > 0 && used >= most / 4 * 3 {
        Check::warn("redis memory", memory, "raise maxmemory, or shorten retention, before it is full")
    } else {
        Check::ok("redis memory", memory)
    });
    let evicted = number("evicted_keys");
    if evicted > 0 {
        let advice = "set maxmemory-policy noeviction: an evicted key is a lost prompt";
        checks.push(Check::fail("redis memory", format!("{evicted} keys were evicted since it started"), advice));
    }
    let version = fact("redis_version");
    checks.push(Check::ok(
        "redis",
        format!("version {version}, {}", aof_words(fact("aof_enabled"), number("connected_slaves"))),
    ));
    checks
}

fn aof_words(aof: &str, replicas: u64) -> String {
    let file = if aof == "1" { "an append-only file" } else { "no append-only file" };
    format!("{file}, {}", count(usize::try_from(replicas).unwrap_or(usize::MAX), "replica"))
}

pub(super) fn clocks(apart: u64) -> Check {
    let seen = format!("{apart} ms from that of Redis");
    let advice = "have every machine keep time by NTP: signatures, budgets and deadlines depend on it";
    match apart {
        apart if apart >= APART.1 => Check::fail("clock", seen, advice),
        apart if apart >= APART.0 => Check::warn("clock", seen, advice),
        _ => Check::ok("clock", seen),
    }
}

pub(super) fn stage(name: String, state: &StreamState) -> Check {
    let StreamState { length, pending, stuck, consumers, .. } = state;
    let unread = length.saturating_sub(*pending);
    let seen = format!("{unread} unread, {pending} in work");
    if *stuck > 0 {
        let holders: Vec<&str> =
            consumers.iter().filter(|(_, held, _)| *held > 0).map(|(name, ..)| name.as_str()).collect();
        let advice = "relays that run take over what others left behind: look whether one runs, and what it logs";
        return Check::fail(name, format!("{seen}; {stuck} stuck, held by {}", holders.join(", ")), advice);
    }
    // Whoever reads and finds nothing leaves no trace before Redis 7.2.
    if unread > 0 && !consumers.iter().any(|(_, _, idle)| *idle < READS) {
        let advice = "start a relay, or look what holds the running ones back: a pause, the budget, their log";
        return Check::warn(name, format!("{seen}; nobody has read for a minute"), advice);
    }
    Check::ok(name, seen)
}

pub(super) fn remedy(error: &OmniError) -> &'static str {
    match error {
        OmniError::Unauthorized => {
            "have an organization admin look at the key at Omni: it may be revoked, or its owner inactive"
        }
        OmniError::Throttled { .. } => "others use the same key, or omni.requests_per_minute is more than Omni allows",
        OmniError::Refused { .. } => {
            "the key must be an organization's, made by an admin: others may not look users up"
        }
        OmniError::Redirected { .. } => "omni.base_url leads elsewhere: name the address that Omni answers at",
        OmniError::NotFound => {
            "omni.base_url must be the address that people log in to, such as https://acme.omniapp.co"
        }
        _ => "look at omni.base_url, at the network, and at Omni's status page",
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Health;
    use super::*;

    fn info(facts: &[(&str, &str)]) -> HashMap<String, String> {
        facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_full_memory_a_failed_write_and_evictions_are_told_with_a_remedy() {
        let well = server(&info(&[("redis_version", "7.0.15"), ("aof_enabled", "1"), ("used_memory", "1048576")]));
        assert!(well.iter().all(|check| check.state == Health::Ok && check.advice.is_none()), "{well:?}");
        for (facts, state) in [
            (&[("used_memory", "90"), ("maxmemory", "100")][..], Health::Fail),
            (&[("used_memory", "76"), ("maxmemory", "100")], Health::Warn),
            (&[("evicted_keys", "1")], Health::Fail),
            (&[("aof_last_write_status", "err")], Health::Fail),
            (&[("loading", "1")], Health::Warn),
        ] {
            let checks = server(&info(facts));
            let worst = checks.iter().max_by_key(|check| check.state).unwrap();
            assert!(worst.state == state && worst.advice.is_some(), "{facts:?}: {worst:?}");
        }
    }

    #[test]
    fn clocks_may_be_a_little_apart() {
        let states = [0, 1_999, 2_000, 30_000].map(|apart| clocks(apart).state);
        assert_eq!(states, [Health::Ok, Health::Ok, Health::Warn, Health::Fail]);
    }

    #[test]
    fn a_stage_that_nobody_reads_or_that_is_stuck_is_told() {
        let state = |stuck, idle| StreamState {
            length: 5,
            pending: 2,
            stuck,
            consumers: vec![("relay-1".to_owned(), 2, Duration::from_secs(idle))],
            held: Vec::new(),
        };
        let check = |stuck, idle| stage("stage submit".to_owned(), &state(stuck, idle));
        assert_eq!(check(0, 1).state, Health::Ok);
        assert_eq!(check(0, 1).seen, "3 unread, 2 in work");
        assert!(check(2, 1).state == Health::Fail && check(2, 1).seen.contains("held by relay-1"));
        assert!(check(0, 300).state == Health::Warn);
    }
}
