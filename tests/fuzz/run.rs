//! The corpus, then random inputs: those that behave as none did before are changed further.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::corpus;
use crate::input::Input;
use crate::mutate::mutate;
use crate::target::{Behaviour, Target};

/// What every run has to come across; otherwise it shows nothing.
const WAYS: [&str; 8] = ["event", "no event", "missing", "malformed", "stale", "future", "mismatch", "too_large"];

#[test]
fn every_file_of_the_corpus_holds() {
    let target = Target::new();
    let seen: BTreeSet<String> =
        corpus::read().into_iter().map(|(name, input)| said(&held(&target, &input, &name))).collect();
    assert!(seen.len() >= 12, "the corpus shows little: {seen:#?}");
}

#[test]
fn random_webhooks_hold() {
    let seed = setting("OMNI_RELAY_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let time = Duration::from_secs(setting("OMNI_RELAY_FUZZ_SECONDS").unwrap_or(3));
    println!("fuzz: seed {seed}");
    let (target, mut luck) = (Target::new(), Rng::with_seed(seed));
    let mut pool: Vec<Input> = corpus::read().into_iter().map(|(_, input)| input).collect();
    let mut known: BTreeMap<Behaviour, u64> = BTreeMap::new();
    for input in &pool {
        known.insert(target.hold(input), 0);
    }
    let (began, mut count) = (Instant::now(), 0_u64);
    while began.elapsed() < time {
        let mut input = pool[luck.usize(..pool.len())].clone();
        let other = pool[luck.usize(..pool.len())].clone();
        mutate(&mut input, &other, &mut luck);
        let behaviour = held(&target, &input, &format!("seed {seed}, input {count}"));
        let times = known.entry(behaviour).or_default();
        *times += 1;
        if *times == 1 && input.body.len() < 100_000 {
            pool.push(input);
        }
        count += 1;
    }
    let mut ways = BTreeMap::<&str, u64>::new();
    for (behaviour, times) in &known {
        let way = WAYS.into_iter().find(|way| behaviour.contains(*way)).expect("every behaviour is one of these");
        *ways.entry(way).or_default() += times;
    }
    println!("fuzz: {count} inputs in {:?}, {} ways they behaved: {ways:?}", began.elapsed(), known.len());
    for way in WAYS {
        assert!(ways.get(way).is_some_and(|times| *times > 0), "no input was {way}: {ways:?}");
    }
}

/// Keeps an input that breaks a promise where a person finds it.
fn held(target: &Target, input: &Input, name: &str) -> Behaviour {
    catch_unwind(AssertUnwindSafe(|| target.hold(input))).unwrap_or_else(|_| {
        let digest = crate::oracle::hmac(b"", &[&input.to_bytes()]);
        let mut file = String::from("fuzz-");
        for byte in &digest[..6] {
            write!(file, "{byte:02x}").unwrap();
        }
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        std::fs::write(&path, input.to_bytes()).unwrap();
        panic!("{name} breaks a promise: keep {} in tests/fuzz/corpus", path.display());
    })
}

fn said(behaviour: &Behaviour) -> String {
    behaviour.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}
