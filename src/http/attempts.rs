//! Wrong keys of one address: so many a minute, then nobody there is believed whose key was not right there before.
//!
//! Who shares an address with a guesser (behind one NAT, or one proxy) goes on with keys that were right from there; only a
//! key that comes first waits for the minute's end, and is not told apart from a wrong one. Each process counts for itself.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

/// Wrong keys that one address may send in a window.
const MOST: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses, and callers at their addresses, that are remembered.
const REMEMBERED: usize = 4096;

/// What was tried lately, and from where callers came.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    wrong: HashMap<IpAddr, Wrong>,
    /// Who came with a right key, and from where.
    known: HashSet<(IpAddr, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    since: Instant,
    count: u32,
}

impl Attempts {
    /// Hears of a key that was shown: `caller` whose it is, `None` for nobody's. `Err` says for how long nothing more is
    /// heard from that address.
    pub(super) fn hear(&self, peer: IpAddr, caller: Option<&str>, now: Instant) -> Result<(), Duration> {
        let peer = network(peer);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = table.wrong.get(&peer).filter(|wrong| wrong.count >= MOST).and_then(|wrong| wrong.left(now));
        match (caller, over) {
            (Some(caller), None) => table.know(peer, caller),
            (Some(caller), Some(left)) if !table.known.contains(&(peer, caller.to_owned())) => return Err(left),
            (Some(_), Some(_)) => {}
            (None, Some(left)) => return Err(left),
            (None, None) => table.count(peer, now),
        }
        Ok(())
    }
}

impl Table {
    fn know(&mut self, peer: IpAddr, caller: &str) {
        let one = (peer, caller.to_owned());
        if self.known.contains(&one) {
            return;
        }
        if self.known.len() >= REMEMBERED
            && let Some(other) = self.known.iter().next().cloned()
        {
            self.known.remove(&other);
        }
        self.known.insert(one);
    }

    fn count(&mut self, peer: IpAddr, now: Instant) {
        if self.wrong.len() >= REMEMBERED && !self.wrong.contains_key(&peer) {
            self.wrong.retain(|_, wrong| wrong.left(now).is_some());
            if self.wrong.len() >= REMEMBERED
                && let Some(other) = self.wrong.keys().next().copied()
            {
                self.wrong.remove(&other);
            }
        }
        let wrong = self.wrong.entry(peer).or_insert(Wrong { since: now, count: 0 });
        if wrong.left(now).is_none() {
            *wrong = Wrong { since: now, count: 0 };
        }
        wrong.count += 1;
        if wrong.count == MOST {
            warn!(client.address = %peer, "wrong keys come from one address");
        }
    }
}

impl Wrong {
    /// Until its window is over.
    fn left(self, now: Instant) -> Option<Duration> {
        WINDOW.checked_sub(now.saturating_duration_since(self.since)).filter(|left| !left.is_zero())
    }
}

/// Of IPv6 the first 64 bits: what one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn guess(attempts: &Attempts, peer: IpAddr, now: Instant) -> u32 {
        (0..2 * MOST).map(|_| u32::from(attempts.hear(peer, None, now).is_ok())).sum()
    }

    #[test]
    fn guesses_are_numbered_by_address_and_minute() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        assert_eq!(guess(&attempts, HERE, start), MOST);
        let later = start + Duration::from_secs(45);
        assert_eq!(attempts.hear(HERE, None, later), Err(Duration::from_secs(15)));
        assert_eq!(guess(&attempts, "192.0.2.1".parse().unwrap(), later), MOST, "another address");
        assert_eq!(guess(&attempts, HERE, start + WINDOW), MOST);
        let six = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(guess(&attempts, six("2001:db8::1"), start), MOST);
        assert_eq!(guess(&attempts, six("2001:db8::ffff:2"), start), 0, "the same network");
        assert_eq!(guess(&attempts, six("2001:db8:0:1::1"), start), MOST);
        assert_eq!(guess(&attempts, six("::ffff:127.0.0.1"), start + WINDOW), 0, "the same address as another family");
    }

    #[test]
    fn a_caller_that_was_there_before_is_heard_and_a_new_one_looks_like_a_guess() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        assert_eq!(attempts.hear(HERE, Some("chat"), start), Ok(()));
        assert_eq!(guess(&attempts, HERE, start), MOST);
        assert_eq!(attempts.hear(HERE, Some("chat"), start), Ok(()));
        assert_eq!(attempts.hear(HERE, Some("other"), start), attempts.hear(HERE, None, start));
        assert_eq!(attempts.hear(HERE, Some("other"), start), Err(WINDOW), "being refused makes nobody known");
        assert_eq!(attempts.hear(HERE, Some("other"), start + WINDOW), Ok(()));
    }

    #[test]
    fn memory_has_an_end() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..2 * u32::try_from(REMEMBERED).unwrap() {
            let peer = IpAddr::V4(number.into());
            attempts.hear(peer, None, now).unwrap();
            attempts.hear(peer, Some("chat"), now).unwrap();
        }
        let table = attempts.0.lock().unwrap();
        assert_eq!((table.wrong.len(), table.known.len()), (REMEMBERED, REMEMBERED));
    }
}
