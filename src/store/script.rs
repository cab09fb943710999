//! The scripts: text, and how their replies are read.

use std::sync::LazyLock;

use redis::{FromRedisValue, Script, ScriptInvocation};

use super::{Store, StoreError};

/// A script of `scripts/`, with the shared part in front.
macro_rules! script {
    ($name:literal) => {
        std::sync::LazyLock::new(|| {
            redis::Script::new(concat!(
                include_str!("scripts/lib.lua"),
                include_str!(concat!("scripts/", $name, ".lua"))
            ))
        })
    };
}
pub(super) use script;

/// A script that is compiled once.
pub(super) type Move = LazyLock<Script>;

/// Starts an invocation with its keys.
pub(super) fn with_keys<'a>(script: &'a Script, keys: &[&str]) -> ScriptInvocation<'a> {
    let mut invocation = script.prepare_invoke();
    for key in keys {
        invocation.key(*key);
    }
    invocation
}

impl Store {
    /// Runs a move whose reply is a list of words, the first of which says what happened.
    pub(super) async fn words(&self, invocation: &ScriptInvocation<'_>) -> Result<Vec<String>, StoreError> {
        self.redis.run(invocation).await
    }

    /// Runs a move with another kind of reply.
    pub(super) async fn reply<T: FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        self.redis.run(invocation).await
    }
}

/// A move answered something that this version does not know.
pub(super) const fn unexpected() -> StoreError {
    StoreError::Corrupt { what: "a script's reply" }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_script_ends_with_a_reply_and_declares_its_keys() {
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/scripts")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() == "lib.lua" {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains("-- KEYS 1 "), "{} does not say what its keys are", path.display());
            assert!(text.contains("return"), "{} answers nothing", path.display());
        }
    }
}
