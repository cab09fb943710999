//! Tokens: what a browser or an agent shows instead of a caller's key. JWTs (HS256) that are good for one conversation, or
//! for one user's agent, until they expire or their caller leaves the configuration.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::{Map, Value};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::code::Code;
use super::problem::Problem;
use crate::model::prompt::{FieldError, whole};
use crate::runtime::Clock;

/// Life of a token in seconds, unless told otherwise, and at most.
const USUAL: u64 = 600;
const LONGEST: u64 = 86_400;

/// Largest request for a token.
pub(super) const LARGEST: usize = 64 * 1024;

/// Makes and reads the tokens of one namespace. Replicas share the secrets, and so each other's tokens.
pub struct Tokens {
    issuer: String,
    clock: Clock,
    sign: EncodingKey,
    verify: Vec<DecodingKey>,
}

/// What whoever asks for one may be told.
pub(super) const PROBLEMS: [Code; 3] = [Code::MalformedJson, Code::InvalidTokenRequest, Code::NoTokens];

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading the conversation that is its subject.
    Conversation,
    /// Acting for the user whose external id is its subject, through the MCP gateway.
    Mcp,
    /// Looking at the console, as the caller that is its subject.
    Console,
}

/// What a token that can be believed says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) subject: String,
    /// Who asked for it; `None` where nobody is asked for a key.
    pub(super) caller: Option<String>,
    /// Unix seconds.
    pub(super) expires: u64,
}

/// Why a token is not believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It was good once.
    Expired,
    /// It is nothing that was made here, or for something else.
    Unknown,
}

/// A token, for whoever will show it.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
#[serde(rename_all = "camelCase")]
pub(super) struct Minted {
    /// A JWT.
    pub(super) token: String,
    expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    iat: u64,
    exp: u64,
}

/// What is asked for. Nothing at all asks for the usual.
#[derive(Deserialize, ToSchema)]
#[schema(as = TokenRequest)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    /// How long it is good; ten minutes unless told otherwise.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 86400)]
    ttl_seconds: Option<Value>,
}

impl Tokens {
    /// The first secret signs, every one verifies. `None` without any.
    pub fn new(secrets: &[SecretString], namespace: &str, clock: Clock) -> Option<Self> {
        let bytes = |secret: &SecretString| secret.expose_secret().as_bytes().to_vec();
        let sign = EncodingKey::from_secret(&bytes(secrets.first()?));
        let verify = secrets.iter().map(|secret| DecodingKey::from_secret(&bytes(secret))).collect();
        Some(Self { issuer: format!("/omni-relay/{namespace}"), clock, sign, verify })
    }

    /// A token for `subject` that is good for so many seconds.
    pub(super) fn mint(
        &self,
        purpose: Purpose,
        subject: &str,
        caller: Option<&str>,
        life: u64,
    ) -> Result<Minted, Problem> {
        let now = self.now();
        let expires = now + life;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: purpose.audience().to_owned(),
            sub: subject.to_owned(),
            caller: caller.map(ToOwned::to_owned),
            iat: now,
            exp: expires,
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.sign);
        let token = token.map_err(|_| Problem::internal("a token cannot be signed"))?;
        let expires_at = Timestamp::from_second(i64::try_from(expires).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        Ok(Minted { token, expires_at })
    }

    /// What a token says, where it was made here for this purpose and has not expired.
    pub(super) fn read(&self, purpose: Purpose, token: &str) -> Result<Granted, Unfit> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[purpose.audience()]);
        rules.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // By our own clock, and without leeway: whoever made it has the same one.
        rules.validate_exp = false;
        let claims = self.verify.iter().find_map(|key| decode::<Claims>(token, key, &rules).ok());
        let claims = claims.ok_or(Unfit::Unknown)?.claims;
        if claims.exp <= self.now() {
            return Err(Unfit::Expired);
        }
        Ok(Granted { subject: claims.sub, caller: claims.caller, expires: claims.exp })
    }

    fn now(&self) -> u64 {
        self.clock.now_ms() / 1000
    }
}

impl Purpose {
    const fn audience(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Mcp => "mcp",
            Self::Console => "console",
        }
    }
}

/// How long the token is to be good, in seconds. `wish` is the body of the request for it: empty, or
/// `{"ttlSeconds": 1 to 86400}`.
pub(super) fn life(wish: &[u8]) -> Result<u64, Problem> {
    if wish.is_empty() {
        return Ok(USUAL);
    }
    // As an object, as serde takes an array for one too.
    let wish: Option<Map<String, Value>> = serde_json::from_slice(wish).map_err(|error| match error.classify() {
        Category::Data => wrong(),
        Category::Io | Category::Syntax | Category::Eof => Problem::malformed(),
    })?;
    let wish = Wish::deserialize(Value::Object(wish.unwrap_or_default())).map_err(|_| wrong())?;
    match wish.ttl_seconds.as_ref().map_or(Some(USUAL), whole) {
        Some(seconds @ 1..=LONGEST) => Ok(seconds),
        _ => Err(wrong()),
    }
}

/// When a token ends that expires then, in unix seconds.
pub(super) fn end_of(expires: u64, clock: &Clock) -> Instant {
    Instant::now() + Duration::from_millis((expires * 1000).saturating_sub(clock.now_ms()))
}

/// There are no secrets to make any with.
pub(super) fn off() -> Problem {
    Problem::new(Code::NoTokens, "tokens are not configured here")
}

fn wrong() -> Problem {
    let detail = format!("must be a whole number from 1 to {LONGEST}, the body's only member");
    Problem::fields(Code::InvalidTokenRequest, vec![FieldError::at("", "ttlSeconds", detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "the new secret, which is long enough";
    const OLD: &str = "the old secret, which is long enough";

    fn tokens(secrets: &[&str], namespace: &str, clock: &Clock) -> Tokens {
        let secrets: Vec<SecretString> = secrets.iter().map(|text| SecretString::from(*text)).collect();
        Tokens::new(&secrets, namespace, clock.clone()).unwrap()
    }

    #[test]
    fn a_token_is_good_for_what_it_was_made_for_until_it_expires() {
        let clock = Clock::shiftable();
        let tokens = tokens(&[NEW], "relay", &clock);
        let minted = tokens.mint(Purpose::Conversation, "acme/t-1", Some("chat"), 30).unwrap();
        let granted = tokens.read(Purpose::Conversation, &minted.token).unwrap();
        assert_eq!((granted.subject.as_str(), granted.caller.as_deref()), ("acme/t-1", Some("chat")));
        assert_eq!(i64::try_from(granted.expires).unwrap(), minted.expires_at.as_second());
        assert_eq!(tokens.read(Purpose::Mcp, &minted.token), Err(Unfit::Unknown), "for something else");
        clock.shift(Duration::from_secs(29));
        assert!(tokens.read(Purpose::Conversation, &minted.token).is_ok());
        clock.shift(Duration::from_secs(2));
        assert_eq!(tokens.read(Purpose::Conversation, &minted.token), Err(Unfit::Expired));
    }

    #[test]
    fn secrets_rotate_and_namespaces_do_not_meet() {
        let clock = Clock::system();
        let mint = |tokens: &Tokens| tokens.mint(Purpose::Mcp, "dana", None, USUAL).unwrap().token;
        let (before, during) = (tokens(&[OLD], "relay", &clock), tokens(&[NEW, OLD], "relay", &clock));
        assert!(during.read(Purpose::Mcp, &mint(&before)).is_ok());
        let after = tokens(&[NEW], "relay", &clock);
        assert!(after.read(Purpose::Mcp, &mint(&during)).is_ok(), "the first secret signs");
        assert_eq!(after.read(Purpose::Mcp, &mint(&before)), Err(Unfit::Unknown));
        assert_eq!(tokens(&[NEW], "other", &clock).read(Purpose::Mcp, &mint(&after)), Err(Unfit::Unknown));
    }

    #[test]
    fn nothing_is_believed_that_was_not_signed_here() {
        let tokens = tokens(&[NEW], "relay", &Clock::system());
        let good = tokens.mint(Purpose::Mcp, "dana", None, USUAL).unwrap().token;
        let (head, rest) = good.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        // {"alg":"none","typ":"JWT"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
        let swapped = format!("{head}.{}.{signature}", claims.replace('a', "b"));
        for wrong in ["", "a.b.c", &good[1..], &format!("{head}.{claims}."), &unsigned, &swapped] {
            assert_eq!(tokens.read(Purpose::Mcp, wrong), Err(Unfit::Unknown), "{wrong}");
        }
    }

    #[test]
    fn a_life_is_a_day_at_most() {
        for (wish, seconds) in [
            ("", USUAL),
            (" {} ", USUAL),
            ("null", USUAL),
            (r#"{"ttlSeconds":null}"#, USUAL),
            (r#"{"ttlSeconds":86400}"#, LONGEST),
            (r#"{"ttlSeconds":30.0}"#, 30),
        ] {
            assert_eq!(life(wish.as_bytes()).unwrap(), seconds, "{wish}");
        }
        for wrong in
            [r#"{"ttlSeconds":0}"#, r#"{"ttlSeconds":86401}"#, r#"{"ttlSeconds":"1"}"#, r#"{"ttl":1}"#, "[null]", "7"]
        {
            assert_eq!(life(wrong.as_bytes()).unwrap_err().status.as_u16(), 422, "{wrong}");
        }
        for wrong in ["{", " ", "\u{c}"] {
            assert_eq!(life(wrong.as_bytes()).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }
}
