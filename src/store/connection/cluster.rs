//! Which node of a Cluster holds which slot.

use std::collections::HashMap;
use std::sync::Arc;

use redis::{Client, ConnectionInfo, ErrorKind, RedisError, Value};
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;

use super::PAUSE;
use super::address::{Address, address, at};
use super::ask::first;
use super::node::{Node, Place};
use crate::store::StoreError;

/// A Cluster, by what its nodes say of it.
pub(super) struct Cluster {
    /// How to connect to any node, but for its address.
    like: ConnectionInfo,
    map: RwLock<Map>,
    /// Held while asking the nodes; when they were asked last.
    asking: Mutex<Option<Instant>>,
}

/// Outlives its nodes' troubles: while no better one is to be had, the old one serves the nodes that work.
struct Map {
    stale: bool,
    slots: Vec<Range>,
    /// Every node that was named, and those of the URL.
    nodes: HashMap<Address, Arc<Node>>,
    seeds: Vec<Address>,
}

#[derive(Debug, PartialEq)]
struct Range {
    slots: std::ops::RangeInclusive<u16>,
    /// The master, then its replicas.
    nodes: Vec<Address>,
}

impl Cluster {
    pub(super) fn new(seeds: &[ConnectionInfo]) -> Result<Self, StoreError> {
        let mut nodes = HashMap::new();
        for seed in seeds {
            nodes.insert(address(seed)?, Arc::new(Node::new(Place::Fixed(Client::open(seed.clone())?))));
        }
        let map = Map { stale: true, slots: Vec::new(), seeds: nodes.keys().cloned().collect(), nodes };
        Ok(Self { like: seeds[0].clone(), map: RwLock::new(map), asking: Mutex::new(None) })
    }

    /// The node that holds a slot, as far as is known.
    pub(super) async fn node(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        match self.known(slot, false).await {
            Some(node) => Ok(node),
            None => Box::pin(self.find(slot)).await,
        }
    }

    async fn find(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        let mut asked = self.asking.lock().await;
        if let Some(node) = self.known(slot, false).await {
            return Ok(node);
        }
        if asked.is_none_or(|at| at.elapsed() >= PAUSE) {
            let answer = self.ask().await;
            *asked = Some(Instant::now());
            if let Err(error) = answer
                && self.map.read().await.slots.is_empty()
            {
                return Err(error);
            }
        }
        let unheld = || StoreError::from(RedisError::from((ErrorKind::Io, "no node is known to hold the slot")));
        self.known(slot, true).await.ok_or_else(unheld)
    }

    /// Something went wrong at a node: it may not be what the map says.
    pub(super) async fn doubt(&self) {
        self.map.write().await.stale = true;
    }

    async fn known(&self, slot: u16, stale: bool) -> Option<Arc<Node>> {
        let map = self.map.read().await;
        if map.stale && !stale {
            return None;
        }
        let range = map.slots.iter().find(|range| range.slots.contains(&slot))?;
        map.nodes.get(range.nodes.first()?).cloned()
    }

    async fn ask(&self) -> Result<(), StoreError> {
        let nodes: Vec<_> =
            self.map.read().await.nodes.iter().map(|(address, node)| (address.0.clone(), node.clone())).collect();
        let asked = nodes.into_iter().map(|(host, node)| async move {
            let reply: Value = node.query(redis::cmd("CLUSTER").arg("SLOTS")).await?;
            ranges(&reply, &host).ok_or(StoreError::Corrupt { what: "the slots of the cluster" })
        });
        let slots = first(asked.collect()).await?;
        let mut map = self.map.write().await;
        let named: Vec<_> = slots.iter().flat_map(|range| &range.nodes).chain(&map.seeds).cloned().collect();
        let mut nodes = HashMap::new();
        for address in named {
            let node = match map.nodes.get(&address) {
                Some(node) => node.clone(),
                None => Arc::new(Node::new(Place::Fixed(Client::open(at(&self.like, &address.0, address.1))?))),
            };
            nodes.insert(address, node);
        }
        (map.slots, map.nodes, map.stale) = (slots, nodes, false);
        Ok(())
    }
}

/// The reply to CLUSTER SLOTS. A node without a name is where the one that was asked is; `None` for no ranges at all.
fn ranges(reply: &Value, asked: &str) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else { return None };
    let ranges: Option<Vec<_>> = ranges.iter().map(|range| read_range(range, asked)).collect();
    ranges.filter(|ranges| !ranges.is_empty())
}

fn read_range(range: &Value, asked: &str) -> Option<Range> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), nodes @ ..] = parts.as_slice() else { return None };
    let slots = u16::try_from(*first).ok()?..=u16::try_from(*last).ok()?;
    let nodes: Option<Vec<_>> = nodes.iter().map(|node| read_node(node, asked)).collect();
    Some(Range { slots, nodes: nodes? })
}

fn read_node(node: &Value, asked: &str) -> Option<Address> {
    let Value::Array(parts) = node else { return None };
    let [host, Value::Int(port), ..] = parts.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        _ => String::new(),
    };
    let host = if host.is_empty() || host == "?" { asked.to_owned() } else { host };
    Some((host, u16::try_from(*port).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: i64) -> Value {
        Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), Value::BulkString("id".into())])
    }

    #[test]
    fn slots_are_read_with_masters_first() {
        let range = Value::Array(vec![Value::Int(0), Value::Int(5460), node("a", 1), node("", 2)]);
        let read = ranges(&Value::Array(vec![range]), "asked").unwrap();
        assert_eq!(read, [Range { slots: 0..=5460, nodes: vec![("a".into(), 1), ("asked".into(), 2)] }]);
    }

    #[test]
    fn what_is_no_map_is_none() {
        for reply in [Value::Nil, Value::Array(vec![]), Value::Array(vec![Value::Int(1)])] {
            assert_eq!(ranges(&reply, "asked"), None, "{reply:?}");
        }
        let beyond = Value::Array(vec![Value::Int(0), Value::Int(70_000), node("a", 1)]);
        assert_eq!(ranges(&Value::Array(vec![beyond]), "asked"), None);
    }
}
