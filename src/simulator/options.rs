//! How a simulator is set up: address, keys, budget, pace, users.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::behaviour::Behaviour;

/// Everything a simulator is started with. No `Debug`: it holds keys.
#[derive(Clone)]
pub struct Options {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Accepted bearer tokens; empty: any token that is not empty.
    pub api_keys: Vec<String>,
    /// Requests one key may send in any 60 seconds; 0: no limit.
    pub requests_per_minute: u32,
    /// What counts as those 60 seconds, for those who cannot wait as long.
    pub minute: Duration,
    /// How long a request is on its way here, drawn anew for each.
    pub latency: RangeInclusive<Duration>,
    /// How long a job runs from creation to its final state.
    pub duration: RangeInclusive<Duration>,
    /// Decides the durations drawn from that range. Ids are never drawn from it: two simulators sharing one relay must
    /// not make the same job twice.
    pub seed: u64,
    /// Embed users SCIM knows. A `userId` that is none of them is refused with 403.
    pub users: Vec<User>,
    /// Accept a `userId` SCIM does not know; such a user sees every region.
    pub accept_unknown_users: bool,
    /// Answer the user list as if no filter had been sent, as some instances do.
    pub ignore_scim_filter: bool,
    /// What every job does unless told otherwise.
    pub behaviour: Behaviour,
    /// How often a webhook is sent until it is answered with 200.
    pub webhook_tries: u32,
    /// Pause before the second try; it doubles with each further one.
    pub webhook_backoff: Duration,
    /// One line per request on stdout: method, path, status; and one per webhook sent.
    pub log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_keys: Vec::new(),
            requests_per_minute: 60,
            minute: Duration::from_mins(1),
            latency: Duration::ZERO..=Duration::ZERO,
            duration: Duration::from_secs(1)..=Duration::from_secs(4),
            seed: 0,
            users: vec![
                User::new("demo-dana", "Dana Demo"),
                User::new("emea-anna", "Anna Berg"),
                User::new("apac-kenji", "Kenji Mori"),
            ],
            accept_unknown_users: false,
            ignore_scim_filter: false,
            behaviour: Behaviour::default(),
            webhook_tries: 3,
            webhook_backoff: Duration::from_secs(1),
            log: false,
        }
    }
}

/// An embed user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub external_id: String,
    pub name: String,
    /// The membership id: SCIM's `id`, the job's `userId`.
    pub id: Uuid,
    /// The only region whose rows this user sees; none: all of them.
    pub region: Option<String>,
    pub active: bool,
    /// What generate-session said last, name and external id left out.
    pub profile: Map<String, Value>,
}

/// How generate-session makes users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// Whether `/api/v1/…` is known.
    pub v1: bool,
    /// Whether `/api/unstable/…` is known.
    pub unstable: bool,
    /// In so many lists a user does not show up yet who was just made.
    pub unseen: u32,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { v1: true, unstable: true, unseen: 0 }
    }
}

impl User {
    /// A user whose id follows from the external id, so that it is the same in every run. External ids that begin with
    /// `emea-`, `amer-`, `apac-` or `latam-` see the region of that name only.
    pub fn new(external_id: &str, name: &str) -> Self {
        let digest = Sha256::digest(external_id.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self {
            external_id: external_id.to_owned(),
            name: name.to_owned(),
            id: Builder::from_random_bytes(bytes).into_uuid(),
            region: region_of(external_id).map(str::to_owned),
            active: true,
            profile: Map::new(),
        }
    }

    #[must_use]
    pub fn inactive(mut self) -> Self {
        self.active = false;
        self
    }
}

fn region_of(external_id: &str) -> Option<&'static str> {
    match external_id.split_once('-')?.0 {
        "emea" => Some("Europe"),
        "amer" => Some("North America"),
        "apac" => Some("Asia Pacific"),
        "latam" => Some("Latin America"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_always_gets_the_same_id_and_its_region() {
        let anna = User::new("emea-anna", "Anna");
        assert_eq!(anna.id, User::new("emea-anna", "Somebody else").id);
        assert_ne!(anna.id, User::new("emea-bert", "Anna").id);
        assert_eq!(anna.region.as_deref(), Some("Europe"));
        assert_eq!(User::new("demo-dana", "Dana").region, None);
    }
}
