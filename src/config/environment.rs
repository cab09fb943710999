//! The layer on top: `OMNI_RELAY__A__B` sets `a.b`.

use std::collections::BTreeMap;

use super::Origin;
use super::keys::PREFIX;
use super::layer::{Layer, Value};

pub(super) const RUST_LOG: &str = "RUST_LOG";

/// Whether a variable of this name is ours to read.
pub(super) fn concerns(name: &str) -> bool {
    name.starts_with(PREFIX) || name == RUST_LOG
}

pub(super) fn read(env: &BTreeMap<String, String>) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in env {
        if let Some(path) = name.strip_prefix(PREFIX) {
            let path = path.to_lowercase().replace("__", ".");
            layer.insert(path, Value::One(value.trim().to_owned()), Origin::Environment(name.clone()), None);
        }
    }
    layer
}
