#!/usr/bin/env python3
"""Writes vectors.json: signatures of Omni webhooks made without any code of this project.

    python3 tests/data/signature/make.py

The vector "openssl" was not made here but by

    printf '%s' '1706123456.{"jobId":"550e8400-e29b-41d4-a716-446655440000","status":"COMPLETE"}' \
        | openssl dgst -sha256 -hmac 'openssl secret' -r

and stands below as that command printed it; this script refuses to write anything when Python disagrees.
"""

import base64
import hashlib
import hmac
import json
import pathlib

NOW = 1706123456
BODY = b'{"jobId":"550e8400-e29b-41d4-a716-446655440000","status":"COMPLETE"}'
OPENSSL = "a93dab3323cd6d63178ba67822fc4984e0b90009a3e1b12db7b8fc23f1f3cdb2"


def digest(secret, timestamp, body):
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).digest()


def hex_lower(raw):
    return raw.hex()


def hex_upper(raw):
    return raw.hex().upper()


def hex_mixed(raw):
    return "".join(c.upper() if i % 2 else c for i, c in enumerate(raw.hex()))


def b64(raw):
    return base64.b64encode(raw).decode()


def b64_bare(raw):
    return b64(raw).rstrip("=")


def b64url(raw):
    return base64.urlsafe_b64encode(raw).decode()


def b64url_bare(raw):
    return b64url(raw).rstrip("=")


def vector(name, secret="whsec-1", timestamp=str(NOW), body=BODY, encode=hex_lower, now_ms=NOW * 1000,
           prefix="sha256=", expect="accepted"):
    return {
        "name": name,
        "secret": secret,
        "timestamp": timestamp,
        "body_base64": b64(body),
        "signature": prefix + encode(digest(secret, timestamp, body)),
        "now_ms": now_ms,
        "expect": expect,
    }


def secret_whose_digest_needs_both(alphabet_marks):
    """A secret for which the base64 forms differ: the digest holds the characters 62 and 63."""
    for n in range(10_000):
        secret = f"whsec-{n}"
        if all(mark in b64(digest(secret, str(NOW), BODY)) for mark in alphabet_marks):
            return secret
    raise SystemExit("no such secret")


def main():
    both = secret_whose_digest_needs_both("+/")
    assert digest("openssl secret", str(NOW), BODY).hex() == OPENSSL, "openssl and Python disagree"
    vectors = [
        {**vector("openssl", secret="openssl secret"), "signature": "sha256=" + OPENSSL},
        vector("hex, lower case"),
        vector("hex, upper case", encode=hex_upper),
        vector("hex, both cases", encode=hex_mixed),
        vector("base64", secret=both, encode=b64),
        vector("base64 without padding", secret=both, encode=b64_bare),
        vector("base64url", secret=both, encode=b64url),
        vector("base64url without padding", secret=both, encode=b64url_bare),
        vector("milliseconds", timestamp=str(NOW * 1000 + 123)),
        vector("leading zero is signed as it stands", timestamp="0" + str(NOW)),
        vector("empty body", body=b""),
        vector("body that is not UTF-8", body=bytes(range(256))),
        vector("secret with spaces and letters beyond ASCII", secret="  geheim é 鍵 "),
        vector("secret longer than a block", secret="k" * 200),
        vector("oldest that is accepted", now_ms=NOW * 1000 + 300_000),
        vector("newest that is accepted", now_ms=NOW * 1000 - 300_000),
        vector("stale", now_ms=NOW * 1000 + 300_001, expect="stale"),
        vector("from the future", now_ms=NOW * 1000 - 300_001, expect="future"),
        vector("milliseconds, stale", timestamp=str(NOW * 1000), now_ms=NOW * 1000 + 300_001, expect="stale"),
        vector("another algorithm", prefix="sha512=", expect="malformed"),
        vector("no algorithm", prefix="", expect="malformed"),
        vector("cut digest", encode=lambda raw: raw.hex()[:-2], expect="malformed"),
        vector("time with a sign", timestamp="+" + str(NOW), expect="malformed"),
        {**vector("signed with another secret"), "secret": "whsec-2", "expect": "mismatch"},
        {**vector("another body"), "body_base64": b64(BODY + b" "), "expect": "mismatch"},
        {**vector("another time"), "timestamp": str(NOW + 1), "expect": "mismatch"},
        {
            **vector("signed without the time"),
            "signature": "sha256=" + hmac.new(b"whsec-1", BODY, hashlib.sha256).hexdigest(),
            "expect": "mismatch",
        },
    ]
    path = pathlib.Path(__file__).with_name("vectors.json")
    path.write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
