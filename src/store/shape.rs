//! meet: the version of stored shapes. What a newer version stored is left alone instead of misread.
//!
//! ARCHITECTURE.md ("Stored shapes") says what raises it.

use std::sync::atomic::Ordering;

use super::script::{Move, script, with_keys};
use super::{Store, StoreError};

static MEET: Move = script!("meet");

/// The version of everything that this program stores, and the newest that it reads.
pub const SHAPE: u32 = 1;

/// Nobody has looked yet.
const UNSEEN: u32 = 0;

impl Store {
    /// Looks which version stands there, and writes down its own where that is newer. For those who serve: a command leaves
    /// the running relays alone.
    pub async fn meet(&self) -> Result<(), StoreError> {
        let mut call = with_keys(&MEET, &[&self.keys.shape]);
        call.arg(SHAPE);
        // Not by way of `reply`, which asks here first.
        let stored: String = self.redis.run(&call, None).await?;
        self.seen(Some(stored))
    }

    /// Whether this program may move anything, as the last look says. The first look is made here where none was.
    pub async fn fits(&self) -> Result<(), StoreError> {
        match self.shape.load(Ordering::Relaxed) {
            UNSEEN => {
                let mut command = redis::cmd("GET");
                command.arg(&self.keys.shape);
                self.seen(self.redis.query(&command).await?)
            }
            stored => readable(stored),
        }
    }

    /// What is no number was written by somebody newer.
    fn seen(&self, stored: Option<String>) -> Result<(), StoreError> {
        let stored = stored.map_or(SHAPE, |text| text.parse().unwrap_or(u32::MAX));
        self.shape.store(stored, Ordering::Relaxed);
        readable(stored)
    }
}

const fn readable(stored: u32) -> Result<(), StoreError> {
    if stored <= SHAPE { Ok(()) } else { Err(StoreError::Newer { stored }) }
}
