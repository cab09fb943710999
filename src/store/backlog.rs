//! The backlog: prompts that were accepted and have neither ended nor died. Scripts count a prompt in when it is accepted or
//! replayed and out when it is settled or buried; its record remembers that it is in. How full it is, and when it is full.

use super::{Store, StoreError};

/// When nothing new is accepted. A limit that is reached is full: the prompt that reaches it is taken whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Most prompts.
    pub prompts: u64,
    /// Most bytes of requests and metadata.
    pub bytes: u64,
    /// Percent of either that one tenant may have. What comes without a tenant has no share, only the whole.
    pub tenant_share: u32,
}

impl Limit {
    /// A tenant's part of the `whole`; never nothing.
    pub fn of_tenant(self, whole: u64) -> u64 {
        let share = u128::from(whole) * u128::from(self.tenant_share) / 100;
        u64::try_from(share).unwrap_or(whole).max(1)
    }
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The tenant's.
    Tenant,
    /// The one of all together.
    All,
}

impl Share {
    /// A label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::All => "all",
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Tenant => "the tenant has its share of unfinished prompts; try again later",
            Self::All => "there are too many unfinished prompts; try again later",
        }
    }
}

/// What the backlog holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Prompts.
    pub prompts: u64,
    /// Bytes of their requests and metadata.
    pub bytes: u64,
}

impl Store {
    /// What the backlog holds in all.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.keys.backlog).arg("prompts").arg("bytes");
        let (prompts, bytes): (Option<u64>, Option<u64>) = self.redis.query(&command).await?;
        Ok(Backlog { prompts: prompts.unwrap_or_default(), bytes: bytes.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_and_never_nothing() {
        let limit = |tenant_share| Limit { prompts: 0, bytes: 0, tenant_share };
        assert_eq!(limit(20).of_tenant(100_000), 20_000);
        assert_eq!(limit(100).of_tenant(u64::MAX), u64::MAX);
        assert_eq!(limit(1).of_tenant(1), 1);
    }
}
