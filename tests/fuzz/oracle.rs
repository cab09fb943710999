//! What should become of a webhook, worked out a second way: HMAC from its definition, and the signatures that would be
//! right written out instead of read.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::input::Input;

/// The moment of every fuzzed webhook, unix milliseconds, and the tolerance around it.
pub(crate) const NOW_MS: u64 = 1_706_123_456_000;
pub(crate) const TOLERANCE_MS: u64 = 300_000;
pub(crate) const SECRETS: [&str; 2] =
    ["the-new-secret-of-the-fuzzer", "the-old-secret-of-the-fuzzer-which-is-longer-than-one-block-of-sha"];
pub(crate) const TIMESTAMP: &str = "x-omni-signature-timestamp";
pub(crate) const SIGNATURE: &str = "x-omni-signature";
const LONGEST: usize = 1024 * 1024;

/// Whether the webhook is to be accepted.
pub(crate) fn accepts(input: &Input) -> bool {
    let Some(timestamp) = only(input, TIMESTAMP) else { return false };
    let Some(signature) = only(input, SIGNATURE) else { return false };
    let Some(at) = milliseconds(&timestamp) else { return false };
    let announced = input.headers().find(|(name, _)| name == "content-length");
    let announced = announced.and_then(|(_, value)| value.to_str().ok()?.parse::<usize>().ok());
    NOW_MS.abs_diff(at) <= TOLERANCE_MS
        && input.body.len() <= LONGEST
        && announced.is_none_or(|length| length <= LONGEST)
        && SECRETS
            .iter()
            .any(|secret| is_of(&signature, hmac(secret.as_bytes(), &[timestamp.as_bytes(), b".", &input.body])))
}

/// A header that is there once, in visible characters.
fn only(input: &Input, name: &str) -> Option<String> {
    let mut values = input.headers().filter(|(known, _)| known == name);
    let (_, value) = values.next()?;
    let visible = value.as_bytes().iter().all(|byte| (32..127).contains(byte) || *byte == b'\t');
    (visible && values.next().is_none()).then(|| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut number = 0_u64;
    for digit in text.chars() {
        number = number.checked_mul(10)?.checked_add(digit.to_digit(10)?.into())?;
    }
    match number {
        _ if text.is_empty() => None,
        0..=100_000_000_000 => Some(number * 1000),
        more => Some(more),
    }
}

fn is_of(signature: &str, digest: [u8; 32]) -> bool {
    let hex = encode(digest, Form::Hex);
    let Some(text) = signature.strip_prefix("sha256=") else { return false };
    let unpadded = text.strip_suffix('=').unwrap_or(text);
    text.eq_ignore_ascii_case(&hex)
        || [Form::Base64, Form::Base64Url].into_iter().any(|form| encode(digest, form) == unpadded)
}

/// How a digest may be written.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Hex,
    Base64,
    Base64Url,
}

/// Without padding.
pub(crate) fn encode(digest: [u8; 32], form: Form) -> String {
    let mut text = String::new();
    let last = match form {
        Form::Hex => {
            for byte in digest {
                write!(text, "{byte:02x}").unwrap();
            }
            return text;
        }
        Form::Base64 => ['+', '/'],
        Form::Base64Url => ['-', '_'],
    };
    let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(last).collect();
    let bits: Vec<u8> = digest.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    for six in bits.chunks(6) {
        let value = (0..6).fold(0, |value, at| value << 1 | usize::from(six.get(at).copied().unwrap_or(0)));
        text.push(letters[value]);
    }
    text
}

/// RFC 2104, over the parts one after the other.
pub(crate) fn hmac(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut key = [0_u8; 64];
    if secret.len() > 64 {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let start = Sha256::new().chain_update(key.map(|byte| byte ^ 0x36));
    let inner = parts.iter().fold(start, Digest::chain_update).finalize();
    Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[test]
fn the_oracle_agrees_with_published_vectors() {
    // RFC 4231, test cases 2 and 6.
    let digest = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(encode(digest, Form::Hex), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    let digest = hmac(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
    assert_eq!(encode(digest, Form::Hex), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    // RFC 4648.
    assert!(encode([0xfb; 32], Form::Base64).starts_with("+/v7"));
    assert!(encode([0xfb; 32], Form::Base64Url).starts_with("-_v7"));
}
