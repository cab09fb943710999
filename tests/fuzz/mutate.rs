//! Changes an input: at random, with words that mean something, and by signing it as Omni would, or nearly so.

use fastrand::Rng;

use crate::input::Input;
use crate::oracle::{self, Form, NOW_MS, SECRETS, SIGNATURE, TIMESTAMP};

/// What a webhook may be made of.
const WORDS: [&str; 40] = [
    "{}",
    "[]",
    "null",
    "true",
    "0",
    "-1e999",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "{\"a\":",
    "[[[[[[[[",
    "]]]]",
    ",",
    ":",
    "\"event_id\":\"e\"",
    "\"eventId\":7",
    "\"jobId\":\"550e8400-e29b-41d4-a716-446655440000\"",
    "\"job_id\":\"no uuid\"",
    "\"status\":\"COMPLETE\"",
    "\"status\":\"failed\"",
    "\"state\":\"EXECUTING\"",
    "\"state\":\"CANCELED\"",
    "\"status\":\"DENIED\"",
    "\"status\":\"Pondering\"",
    "\"event\":\"job.complete\"",
    "\"event\":\"job.progress\"",
    "\"type\":\"JOB.DENIED\"",
    "\"event_type\":\"job.failed\"",
    "\"reason\":\"credits\"",
    "\"progress\":{\"iteration\":1}",
    "\"completed_at\":\"2025-01-24T10:30:00Z\"",
    "\"completedAt\":\"soon\"",
    "\"metadata\":{}",
    "\"webhookMetadata\":{\"promptId\":\"0198c0de-0000-7000-8000-000000000001\",\"conversation\":\"acme/t-1\"}",
    "\"metadata\":{\"promptId\":\"0198c0de-0000-7000-8000-000000000001\",\"conversation\":\"t\"}",
    "\"metadata\":[1]",
    " \r\n\t",
    "\u{feff}",
    "é",
    "\u{10ffff}",
];
const TIMES: [i64; 9] = [0, 1, -1, 300, 301, -300, -301, 86_400, -86_400];

/// One to six changes; more often than not it is signed afterwards, and sometimes changed again.
pub(crate) fn mutate(input: &mut Input, other: &Input, luck: &mut Rng) {
    for _ in 0..luck.usize(1..=4) {
        change(input, other, luck);
    }
    if luck.u8(..4) > 0 {
        sign(input, luck);
        if luck.u8(..3) == 0 {
            change(input, other, luck);
        }
    }
}

fn change(input: &mut Input, other: &Input, luck: &mut Rng) {
    match luck.u8(..20) {
        0..6 => scramble(&mut input.body, luck),
        6..11 => insert(&mut input.body, luck.choice(WORDS).unwrap_or_default().as_bytes(), luck),
        11 => join(&mut input.body, luck),
        12 => {
            let at = luck.usize(..=input.body.len());
            input.body.truncate(at);
            input.body.extend_from_slice(&other.body[luck.usize(..=other.body.len())..]);
        }
        13 => set_time(input, luck),
        14 => {
            if let Some((_, value)) = choice(&mut input.head, luck) {
                scramble(value, luck);
            }
        }
        15 => {
            if let Some((name, _)) = choice(&mut input.head, luck) {
                scramble(name, luck);
            }
        }
        16 => {
            if let Some(header) = choice(&mut input.head, luck) {
                let copy = header.clone();
                input.head.push(copy);
            }
        }
        17 if !input.head.is_empty() => drop(input.head.swap_remove(luck.usize(..input.head.len()))),
        18 => {
            let length = [0, input.body.len(), 1024 * 1024, 1024 * 1024 + 1, usize::MAX][luck.usize(..5)];
            input.set("content-length", length.to_string().as_bytes());
        }
        // Rare, because it is slow.
        _ if luck.u8(..100) == 0 => input.body.resize(1024 * 1024 + luck.usize(..2), b' '),
        _ => {}
    }
}

fn choice<'a, T>(all: &'a mut [T], luck: &mut Rng) -> Option<&'a mut T> {
    if all.is_empty() { None } else { all.get_mut(luck.usize(..all.len())) }
}

fn scramble(bytes: &mut Vec<u8>, luck: &mut Rng) {
    if bytes.is_empty() {
        return bytes.push(luck.u8(..));
    }
    let at = luck.usize(..bytes.len());
    let until = (at + luck.usize(1..20)).min(bytes.len());
    match luck.u8(..6) {
        0 => bytes[at] ^= 1 << luck.u8(..8),
        1 => bytes[at] = luck.u8(..),
        2 => bytes.insert(at, luck.u8(..)),
        3 => drop(bytes.drain(at..until)),
        4 => {
            let copy = bytes[at..until].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => bytes[at..until].make_ascii_uppercase(),
    }
}

fn insert(bytes: &mut Vec<u8>, word: &[u8], luck: &mut Rng) {
    let at = luck.usize(..=bytes.len());
    bytes.splice(at..at, word.iter().copied());
}

/// An object of a few members.
fn join(body: &mut Vec<u8>, luck: &mut Rng) {
    let members: Vec<&str> = (0..luck.usize(..6)).filter_map(|_| luck.choice(&WORDS[14..36]).copied()).collect();
    *body = format!("{{{}}}", members.join(",")).into_bytes();
}

fn set_time(input: &mut Input, luck: &mut Rng) {
    let seconds = i64::try_from(NOW_MS / 1000).unwrap() + TIMES[luck.usize(..TIMES.len())];
    let text = match luck.u8(..10) {
        0 => "0".to_owned(),
        1 => "100000000000".to_owned(),
        2 => "100000000001".to_owned(),
        3 => u64::MAX.to_string(),
        4 => format!("00{seconds}"),
        5 => format!("{}", seconds * 1000 + luck.i64(-1..2)),
        6 => format!("+{seconds}"),
        _ => seconds.to_string(),
    };
    input.set(TIMESTAMP, text.as_bytes());
}

/// A signature that is right for the input as it stands, or that somebody might take for one.
fn sign(input: &mut Input, luck: &mut Rng) {
    if input.value(TIMESTAMP).is_none() || luck.u8(..20) == 0 {
        set_time(input, luck);
    }
    let timestamp = input.value(TIMESTAMP).cloned().unwrap_or_default();
    let secret = SECRETS[luck.usize(..SECRETS.len())].as_bytes();
    let body = input.body.as_slice();
    let digest = match luck.u8(..16) {
        0 => oracle::hmac(b"", &[&timestamp, b".", body]),
        1 => oracle::hmac(b"a guess", &[&timestamp, b".", body]),
        2 => oracle::hmac(secret, &[body]),
        3 => oracle::hmac(secret, &[&timestamp, body]),
        4 => oracle::hmac(secret, &[&timestamp, b".", body.trim_ascii()]),
        5 => oracle::hmac(secret, &[&timestamp, b".", String::from_utf8_lossy(body).as_bytes()]),
        _ => oracle::hmac(secret, &[&timestamp, b".", body]),
    };
    let text = match luck.u8(..9) {
        0 => oracle::encode(digest, Form::Hex).to_uppercase(),
        1 => oracle::encode(digest, Form::Base64),
        2 => oracle::encode(digest, Form::Base64) + "=",
        3 => oracle::encode(digest, Form::Base64Url),
        4 => oracle::encode(digest, Form::Base64Url) + "=",
        5 => with_spare_bits(oracle::encode(digest, Form::Base64)),
        _ => oracle::encode(digest, Form::Hex),
    };
    input.set(SIGNATURE, format!("sha256={text}").as_bytes());
}

/// The same bytes for a reader that does not mind bits after the last of them.
fn with_spare_bits(mut base64: String) -> String {
    let next = base64.pop().map(|last| char::from(u8::try_from(last).unwrap() + 1));
    base64.extend(next);
    base64
}
