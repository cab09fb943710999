//! What this Redis would lose: said once, when it first answers.

use std::collections::HashMap;

use super::{Store, StoreError};

/// Oldest version that has every command used here.
const OLDEST: (u32, u32) = (6, 2);

impl Store {
    /// A line for each way in which this Redis loses what it was given, with what to do about it.
    pub async fn risks(&self) -> Result<Vec<String>, StoreError> {
        let text: String = self.redis.query(&redis::cmd("INFO")).await?;
        Ok(risks(&text, self.redis.replicas()))
    }
}

fn risks(info: &str, replicas: u32) -> Vec<String> {
    let facts: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let fact = |name: &str| facts.get(name).copied().unwrap_or_default();
    let mut found = Vec::new();
    if fact("aof_enabled") == "0" {
        found.push("redis keeps no append-only file: a restart loses prompts; set appendonly yes".to_owned());
    }
    let policy = fact("maxmemory_policy");
    if !policy.is_empty() && policy != "noeviction" {
        found.push(format!("redis evicts keys when memory is short ({policy}): set maxmemory-policy noeviction"));
    }
    let connected: u32 = fact("connected_slaves").parse().unwrap_or_default();
    if replicas > connected {
        found.push(format!(
            "redis has {connected} replicas, durability.replicas asks for {replicas}: nothing is accepted until it has them"
        ));
    }
    let mut version = fact("redis_version").split('.').map(|part| part.parse().unwrap_or(0_u32));
    let version = (version.next().unwrap_or(0), version.next().unwrap_or(0));
    if version != (0, 0) && version < OLDEST {
        found.push(format!("redis {}.{} is older than {}.{}", version.0, version.1, OLDEST.0, OLDEST.1));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_risk_is_named_with_its_remedy() {
        assert!(risks("redis_version:7.0.15\r\naof_enabled:1\r\nmaxmemory_policy:noeviction\r\n", 0).is_empty());
        let all = risks("redis_version:6.0.9\r\naof_enabled:0\r\nmaxmemory_policy:allkeys-lru\r\n", 0);
        assert_eq!(all.len(), 3);
        assert!(
            all[0].contains("appendonly yes") && all[1].contains("allkeys-lru") && all[2].contains("6.0"),
            "{all:?}"
        );
        let short = risks("connected_slaves:1\r\n", 2);
        assert!(short.len() == 1 && short[0].contains("1 replicas") && short[0].contains("asks for 2"), "{short:?}");
        assert!(risks("connected_slaves:2\r\n", 2).is_empty());
        assert!(risks("", 0).is_empty(), "a server that says nothing is not accused");
    }
}
