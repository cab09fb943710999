//! The signature of Omni's webhooks: HMAC-SHA256 over `timestamp.body`. Pure; the moment is handed in.

use std::time::Duration;

use crate::runtime::millis;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Carries `sha256=<digest>`.
pub const SIGNATURE_HEADER: &str = "x-omni-signature";
/// Carries the Unix time that is part of what is signed.
pub const TIMESTAMP_HEADER: &str = "x-omni-signature-timestamp";

const SCHEME: &str = "sha256=";
/// Timestamps above are milliseconds: in seconds they would lie beyond the year 5000.
const LARGEST_SECONDS: u64 = 100_000_000_000;

const EITHER_PADDING: GeneralPurposeConfig =
    general_purpose::NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_PADDING);

/// Why a webhook was turned away. For our own counters; the sender learns none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    #[error("find the signature headers")]
    Missing,
    #[error("read the signature headers")]
    Malformed,
    #[error("accept a signature this old")]
    Stale,
    #[error("accept a signature from the future")]
    Future,
    #[error("match the signature with a secret")]
    Mismatch,
}

impl Rejection {
    /// One word of a closed set, for metrics.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::Mismatch => "mismatch",
        }
    }
}

/// Checks signatures against every secret that is in force.
pub struct Verifier {
    keys: Vec<Hmac<Sha256>>,
    tolerance_ms: u64,
}

/// The headers of one webhook, well formed and of an acceptable age; nothing is proven yet.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    timestamp: &'a str,
    digest: [u8; 32],
}

impl Verifier {
    /// Empty secrets are passed over: anybody could sign with them. Without a secret nothing verifies.
    pub fn new(secrets: &[SecretString], tolerance: Duration) -> Self {
        let keys = secrets.iter().filter(|secret| !secret.expose_secret().is_empty()).map(keyed).collect();
        Self { keys, tolerance_ms: millis(tolerance) }
    }

    /// `timestamp_header` and `signature_header` as they came, `body` before any decoding.
    pub fn verify(
        &self,
        timestamp_header: &str,
        signature_header: &str,
        body: &[u8],
        now_ms: u64,
    ) -> Result<(), Rejection> {
        let claim = self.claim(timestamp_header, signature_header, now_ms)?;
        self.prove(&claim, body)
    }

    /// What can be said before the body is there.
    pub(super) fn claim<'a>(&self, timestamp: &'a str, signature: &str, now_ms: u64) -> Result<Claim<'a>, Rejection> {
        let at_ms = milliseconds(timestamp).ok_or(Rejection::Malformed)?;
        let digest = digest(signature).ok_or(Rejection::Malformed)?;
        if now_ms.saturating_sub(at_ms) > self.tolerance_ms {
            return Err(Rejection::Stale);
        }
        if at_ms.saturating_sub(now_ms) > self.tolerance_ms {
            return Err(Rejection::Future);
        }
        Ok(Claim { timestamp, digest })
    }

    pub(super) fn prove(&self, claim: &Claim<'_>, body: &[u8]) -> Result<(), Rejection> {
        // Every secret is tried, so that the time taken does not tell which one signed.
        let proven = self.keys.iter().fold(false, |proven, key| {
            proven | message(key.clone(), claim.timestamp, body).verify_slice(&claim.digest).is_ok()
        });
        if proven { Ok(()) } else { Err(Rejection::Mismatch) }
    }
}

/// The value of [`SIGNATURE_HEADER`] for a body: what Omni sends, made by us for tests and tools.
pub fn sign(secret: &SecretString, timestamp: &str, body: &[u8]) -> String {
    let digest = message(keyed(secret), timestamp, body).finalize().into_bytes();
    format!("{SCHEME}{}", hex::encode(digest))
}

fn keyed(secret: &SecretString) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes keys of any length")
}

fn message(mut mac: Hmac<Sha256>, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn milliseconds(timestamp: &str) -> Option<u64> {
    if !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = timestamp.parse().ok()?;
    Some(if number > LARGEST_SECONDS { number } else { number * 1000 })
}

/// Hex of either case is 64 characters; base64 and base64url of 32 bytes are 43, or 44 with padding.
fn digest(signature: &str) -> Option<[u8; 32]> {
    let text = signature.strip_prefix(SCHEME)?;
    let bytes = match text.len() {
        64 => hex::decode(text).ok()?,
        43 | 44 => BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok()?,
        _ => return None,
    };
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    const TOLERANCE: Duration = Duration::from_mins(5);
    const NOW_MS: u64 = 1_706_123_456_000;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        secret: String,
        timestamp: String,
        body_base64: String,
        signature: String,
        now_ms: u64,
        expect: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../../tests/data/signature/vectors.json")).unwrap()
    }

    fn check(secret: &str, timestamp: &str, signature: &str, body: &[u8], now_ms: u64) -> &'static str {
        match Verifier::new(&[SecretString::from(secret)], TOLERANCE).verify(timestamp, signature, body, now_ms) {
            Ok(()) => "accepted",
            Err(rejection) => rejection.kind(),
        }
    }

    #[test]
    fn vectors_made_elsewhere() {
        let vectors = vectors();
        assert!(vectors.iter().filter(|vector| vector.expect == "accepted").count() >= 10);
        for Vector { name, secret, timestamp, body_base64, signature, now_ms, expect } in vectors {
            let body = general_purpose::STANDARD.decode(body_base64).unwrap();
            assert_eq!(check(&secret, &timestamp, &signature, &body, now_ms), expect, "{name}");
        }
    }

    #[test]
    fn no_vector_survives_one_changed_byte() {
        for vector in vectors().into_iter().filter(|vector| vector.expect == "accepted") {
            let Vector { name, secret, timestamp, body_base64, signature, now_ms, .. } = vector;
            let body = general_purpose::STANDARD.decode(body_base64).unwrap();
            for at in 0..body.len() {
                let mut changed = body.clone();
                changed[at] ^= 1;
                assert_eq!(check(&secret, &timestamp, &signature, &changed, now_ms), "mismatch", "{name}: body[{at}]");
            }
            let longer = [body.as_slice(), b"\n"].concat();
            assert_eq!(check(&secret, &timestamp, &signature, &longer, now_ms), "mismatch", "{name}: longer");
            for at in 0..timestamp.len() {
                let mut changed = timestamp.clone().into_bytes();
                changed[at] ^= 1;
                let changed = String::from_utf8(changed).unwrap();
                assert_ne!(check(&secret, &changed, &signature, &body, now_ms), "accepted", "{name}: time[{at}]");
            }
            for at in 0..signature.len() {
                let mut changed = signature.clone().into_bytes();
                changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
                let changed = String::from_utf8(changed).unwrap();
                assert_ne!(check(&secret, &timestamp, &changed, &body, now_ms), "accepted", "{name}: digest[{at}]");
            }
            let other = format!("{secret}x");
            assert_eq!(check(&other, &timestamp, &signature, &body, now_ms), "mismatch", "{name}: secret");
        }
    }

    #[test]
    fn either_of_two_secrets_will_do_and_an_empty_one_never() {
        let (new, old, none) = (SecretString::from("new"), SecretString::from("old"), SecretString::from(""));
        let verifier = Verifier::new(&[new.clone(), old.clone(), none.clone()], TOLERANCE);
        for (secret, expected) in [(new, Ok(())), (old, Ok(())), (none, Err(Rejection::Mismatch))] {
            let signature = sign(&secret, "1706123456", b"{}");
            assert_eq!(verifier.verify("1706123456", &signature, b"{}", NOW_MS), expected);
        }
        let without = Verifier::new(&[], TOLERANCE);
        let signature = sign(&SecretString::from(""), "1706123456", b"{}");
        assert_eq!(without.verify("1706123456", &signature, b"{}", NOW_MS), Err(Rejection::Mismatch));
    }

    #[test]
    fn the_tolerance_holds_both_ways_and_includes_its_edge() {
        let secret = SecretString::from("s");
        let signature = sign(&secret, "1706123456", b"{}");
        for (now_ms, expected) in [
            (NOW_MS + 300_000, "accepted"),
            (NOW_MS + 300_001, "stale"),
            (NOW_MS - 300_000, "accepted"),
            (NOW_MS - 300_001, "future"),
            (0, "future"),
            (u64::MAX, "stale"),
        ] {
            assert_eq!(check("s", "1706123456", &signature, b"{}", now_ms), expected, "{now_ms}");
        }
    }

    #[test]
    fn headers_that_are_no_signature() {
        let good = sign(&SecretString::from("s"), "1706123456", b"{}");
        let hex = good.trim_start_matches(SCHEME);
        for signature in
            ["", "sha256=", hex, &format!("sha1={hex}"), &format!("{good}, {good}"), &good[..good.len() - 2]]
        {
            assert_eq!(check("s", "1706123456", signature, b"{}", NOW_MS), "malformed", "{signature}");
        }
        for timestamp in
            ["", "-1706123456", "+1706123456", "1706123456.0", " 1706123456", "99999999999999999999999", "now"]
        {
            assert_eq!(check("s", timestamp, &good, b"{}", NOW_MS), "malformed", "{timestamp:?}");
        }
    }

    proptest! {
        #[test]
        fn what_we_sign_we_accept(secret in ".{1,80}", at in 0..4_000_000_000_u64, body: Vec<u8>) {
            let signature = sign(&SecretString::from(secret.clone()), &at.to_string(), &body);
            prop_assert_eq!(check(&secret, &at.to_string(), &signature, &body, at * 1000), "accepted");
        }

        #[test]
        fn one_flipped_bit_is_noticed(body in prop::collection::vec(any::<u8>(), 1..300), bit: prop::sample::Index) {
            let signature = sign(&SecretString::from("s"), "1706123456", &body);
            let mut changed = body.clone();
            let bit = bit.index(body.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(check("s", "1706123456", &signature, &changed, NOW_MS), "mismatch");

            let mut digest = hex::decode(signature.trim_start_matches(SCHEME)).unwrap();
            let bit = bit % 256;
            digest[bit / 8] ^= 1 << (bit % 8);
            let changed = format!("{SCHEME}{}", hex::encode(digest));
            prop_assert_eq!(check("s", "1706123456", &changed, &body, NOW_MS), "mismatch");
        }

        #[test]
        fn every_writing_of_the_digest_is_accepted_and_nothing_near_it(body: Vec<u8>, at: prop::sample::Index, letter in "[ -~]") {
            let signature = sign(&SecretString::from("s"), "1706123456", &body);
            let digest = hex::decode(signature.trim_start_matches(SCHEME)).unwrap();
            let (padded, url) = (general_purpose::STANDARD.encode(&digest), general_purpose::URL_SAFE.encode(&digest));
            let writings = [
                hex::encode(&digest),
                hex::encode_upper(&digest),
                padded.trim_end_matches('=').to_owned(),
                padded,
                url.trim_end_matches('=').to_owned(),
                url,
            ];
            for text in &writings {
                prop_assert_eq!(check("s", "1706123456", &format!("{SCHEME}{text}"), &body, NOW_MS), "accepted");
                let at = at.index(text.len());
                let mut changed = text.clone();
                changed.replace_range(at..=at, &letter);
                let same = writings.contains(&changed) || changed.eq_ignore_ascii_case(&writings[0]);
                let verdict = check("s", "1706123456", &format!("{SCHEME}{changed}"), &body, NOW_MS);
                prop_assert_eq!(verdict == "accepted", same, "{} for {}", changed, text);
            }
        }

        #[test]
        fn the_tolerance_is_exact(now_ms in 0..200_000_000_000_000_u64, tolerance_ms in 1..1_000_000_000_u64, off in -3_i64..=3, ahead: bool, whole: bool) {
            let edge = if ahead { now_ms.saturating_add(tolerance_ms) } else { now_ms.saturating_sub(tolerance_ms) };
            let at_ms = edge.saturating_add_signed(off);
            // Whole seconds where they are meant, milliseconds where they can be told apart.
            let (timestamp, at_ms) = if whole || at_ms <= LARGEST_SECONDS { (at_ms / 1000, at_ms / 1000 * 1000) } else { (at_ms, at_ms) };
            prop_assume!(timestamp <= LARGEST_SECONDS || timestamp == at_ms);
            let secret = SecretString::from("s");
            let signature = sign(&secret, &timestamp.to_string(), b"{}");
            let verifier = Verifier::new(&[secret], Duration::from_millis(tolerance_ms));
            let expected = match at_ms.cmp(&now_ms) {
                _ if at_ms.abs_diff(now_ms) <= tolerance_ms => Ok(()),
                std::cmp::Ordering::Less => Err(Rejection::Stale),
                _ => Err(Rejection::Future),
            };
            prop_assert_eq!(verifier.verify(&timestamp.to_string(), &signature, b"{}", now_ms), expected);
        }

        #[test]
        fn no_header_makes_it_panic(timestamp in ".*", signature in "(sha256=)?.*", now_ms: u64) {
            prop_assert_ne!(check("s", &timestamp, &signature, b"{}", now_ms), "accepted");
        }
    }
}
