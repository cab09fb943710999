//! The scripts: text, and how their replies are read.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, ToRedisArgs};

use super::{Store, StoreError};

/// A script of `scripts/`.
macro_rules! script {
    ($name:literal) => {
        std::sync::LazyLock::new(|| $crate::store::script::with_lib(include_str!(concat!("scripts/", $name, ".lua"))))
    };
}
pub(super) use script;

/// What scripts share: functions, each of which calls only those above it.
const LIB: &str = include_str!("scripts/lib.lua");

/// A script with what it calls of the shared part in front: Redis makes every function anew with each call.
pub(super) fn with_lib(script: &str) -> Script {
    let mut text = script.to_owned();
    for part in LIB.rsplit("\n\n") {
        let called = |name: &str| text.contains(&format!("{name}("));
        let head = part.split_once("local function ").and_then(|(_, head)| head.split_once('('));
        if head.is_some_and(|(name, _)| called(name)) {
            text = format!("{part}\n{text}");
        }
    }
    Script::new(&text)
}

/// A script that is compiled once.
pub(super) type Move = LazyLock<Script>;

/// Words and bytes that most calls have no more of.
const ROOM: (usize, usize) = (40, 1000);

/// One call of a script.
pub(super) struct Call<'a> {
    script: &'a Script,
    command: Cmd,
}

/// Starts a call with its keys, which share a slot.
pub(super) fn with_keys<'a>(script: &'a Script, keys: &[&str]) -> Call<'a> {
    let mut command = Cmd::with_capacity(ROOM.0, ROOM.1);
    command.arg("EVALSHA").arg(script.get_hash()).arg(keys.len()).arg(keys);
    Call { script, command }
}

impl Call<'_> {
    /// Adds an argument.
    pub(super) fn arg<T: ToRedisArgs>(&mut self, arg: T) -> &mut Self {
        self.command.arg(arg);
        self
    }

    /// What is sent; its first key says where it runs.
    pub(super) const fn command(&self) -> &Cmd {
        &self.command
    }

    /// Runs it. Where Redis does not know the script, it is loaded first.
    pub(super) async fn invoke<T: FromRedisValue>(&self, connection: &mut MultiplexedConnection) -> RedisResult<T> {
        let result = self.command.query_async(connection).await;
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        if result.as_ref().err().is_none_or(|error| error.kind() != unknown) {
            return result;
        }
        self.script.load_async(connection).await?;
        self.command.query_async(connection).await
    }
}

impl Store {
    /// Runs a move whose reply is a list of words, the first of which says what happened.
    pub(super) async fn words(&self, call: &Call<'_>) -> Result<Vec<String>, StoreError> {
        self.reply(call).await
    }

    /// Runs a move that counts once as many replicas hold it as the configuration demands. Moves of one slot share `mark`.
    pub(super) async fn durably<T: FromRedisValue>(&self, call: &Call<'_>, mark: &str) -> Result<T, StoreError> {
        self.fits().await?;
        self.redis.run(call, Some(mark)).await
    }

    /// Runs a move with another kind of reply.
    pub(super) async fn reply<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        self.fits().await?;
        self.redis.run(call, None).await
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
