use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use predicates::str::starts_with;
use serde::Deserialize;
use serde_json::Value;

use crate::session::Session;

const SECRET: (&str, &str) = ("OMNI_RELAY_WEBHOOK_SECRET", "secret between two");
const BODY: &str = "{\"jobId\":\"550e8400-e29b-41d4-a716-446655440000\",\"status\":\"COMPLETE\"}";

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

#[test]
fn what_is_signed_verifies_until_one_byte_changes() {
    let session = Session::new();
    let signed = session.command(&["webhook", "sign", "-o", "json"]).env(SECRET.0, SECRET.1).write_stdin(BODY).assert();
    let headers: Value = serde_json::from_slice(&signed.success().get_output().stdout).unwrap();
    let signature = headers["x-omni-signature"].as_str().unwrap();
    let timestamp = headers["x-omni-signature-timestamp"].as_str().unwrap();
    let body = session.file("body.json", BODY);
    let verify = ["webhook", "verify", &body, "--signature", signature, "--timestamp", timestamp];

    session.command(&verify).env(SECRET.0, SECRET.1).assert().success().stdout(starts_with("accepted: "));
    let secret = session.file("secret", format!("{}\n", SECRET.1));
    session.command(&verify).args(["--secret-file", &secret]).assert().success();
    session.command(&verify).env(SECRET.0, "another").assert().code(1).stdout(starts_with("mismatch: "));
    session.file("body.json", BODY.replace("COMPLETE", "COMPLETF"));
    session.command(&verify).env(SECRET.0, SECRET.1).assert().code(1).stdout(starts_with("mismatch: "));
}

#[test]
fn headers_are_ready_for_curl() {
    let session = Session::new();
    session
        .command(&["webhook", "sign", "--timestamp", "1706123456"])
        .env(SECRET.0, "a secret")
        .write_stdin(r#"{"a":1}"#)
        .assert()
        .success()
        .stdout(
            "x-omni-signature: sha256=5b9753369a7a56cf14b87f2fce6cfb6154287f24179ee1af49a65652e44f959c\n\
             x-omni-signature-timestamp: 1706123456\n",
        );
}

#[test]
fn vectors_made_elsewhere() {
    let session = Session::new();
    let text = include_str!("../data/signature/vectors.json");
    for Vector { name, secret, timestamp, body_base64, signature, now_ms, expect } in
        serde_json::from_str::<Vec<Vector>>(text).unwrap()
    {
        let code = i32::from(expect != "accepted");
        let verify = session
            .command(&["webhook", "verify", "-o", "json", "--signature", &signature, "--timestamp", &timestamp])
            .args(["--now", &now_ms.to_string()])
            .env(SECRET.0, secret)
            .write_stdin(STANDARD.decode(body_base64).unwrap())
            .assert();
        let verdict: Value = serde_json::from_slice(&verify.get_output().stdout).unwrap();
        assert_eq!(verdict["verdict"], expect, "{name}");
        verify.code(code);
    }
}

#[test]
fn a_signature_of_openssl_verifies() {
    let session = Session::new();
    let message = session.file("message", format!("1706123456.{BODY}"));
    let openssl = Command::new("openssl").args(["dgst", "-sha256", "-hmac", SECRET.1, "-r", &message]).output();
    let Ok(openssl) = openssl else {
        eprintln!("skipped: openssl is not installed");
        return;
    };
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
    let digest = String::from_utf8(openssl.stdout).unwrap();
    let signature = format!("sha256={}", digest.split_whitespace().next().unwrap());
    let verify = ["webhook", "verify", "--timestamp", "1706123456", "--signature", &signature, "--now"];
    let check = |now: &str| session.command(&verify).arg(now).env(SECRET.0, SECRET.1).write_stdin(BODY).assert();
    check("1706123457000").success();
    check("1706129999000").code(1).stdout(starts_with("stale: "));
    check("1706110000000").code(1).stdout(starts_with("future: "));
}

/// While a secret is replaced there are two: whoever asks why a webhook is turned away must not hear that of one of them.
#[test]
fn the_secrets_are_those_of_serve() {
    let session = Session::new();
    let secrets = session.file("secrets", "the-newer-secret,the-middle-one\n  the-older-secret\n");
    let mut old = session.command(&["webhook", "sign", "-o", "json"]);
    let signed = old.env(SECRET.0, "the-older-secret").write_stdin(BODY).assert().success();
    let headers: Value = serde_json::from_slice(&signed.get_output().stdout).unwrap();
    let (signature, time) = (&headers["x-omni-signature"], &headers["x-omni-signature-timestamp"]);
    let verify =
        ["webhook", "verify", "--signature", signature.as_str().unwrap(), "--timestamp", time.as_str().unwrap()];
    let accepted = predicates::str::contains("one of the 3 secrets");
    let file = session.command(&verify).args(["--secret-file", &secrets]).write_stdin(BODY).assert();
    file.success().stdout(accepted.clone());
    let mut configured = session.command(&verify);
    configured.env("OMNI_RELAY__WEBHOOK__SECRETS_FILE", &secrets).write_stdin(BODY).assert().success().stdout(accepted);
    // The first one signs.
    let mut at = session.command(&["webhook", "sign", "--timestamp", "1706123456"]);
    let first = at.env("OMNI_RELAY__WEBHOOK__SECRETS_FILE", &secrets).write_stdin(BODY).assert().success();
    let mut at = session.command(&["webhook", "sign", "--timestamp", "1706123456"]);
    let newer = at.env(SECRET.0, "the-newer-secret").write_stdin(BODY).assert().success();
    assert_eq!(first.get_output().stdout, newer.get_output().stdout);
}

#[test]
fn a_secret_has_to_be_there() {
    let session = Session::new();
    let sign = |value: Option<&str>| {
        let mut command = session.command(&["webhook", "sign"]);
        command.envs(value.map(|value| (SECRET.0, value))).write_stdin("{}").assert().code(1).stdout("")
    };
    sign(None).stderr(predicates::str::contains("--secret-file"));
    sign(Some("")).stderr(predicates::str::contains("empty"));
}
