//! Who may call: names, bearer keys as digests, tenants, scopes.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use uuid::Uuid;

use super::Scope;

/// SHA-256 of a bearer key. The key itself is forgotten once it is read.
#[derive(Clone, PartialEq, Eq)]
pub struct CallerKey([u8; 32]);

/// A program that may use the HTTP interface.
#[derive(Clone, Debug)]
pub struct Caller {
    pub name: String,
    /// One, or two while a key is being rotated.
    pub keys: Vec<CallerKey>,
    /// `None`: an operator's caller, not bound to a tenant.
    pub tenant: Option<String>,
    pub scopes: BTreeSet<Scope>,
    /// Its tenant's share of the turns.
    pub weight: u32,
    /// What it may name; the first is for what names none. Empty: any.
    pub models: Vec<Uuid>,
    /// The same of topics.
    pub topics: Vec<String>,
}

/// All configured callers, by name.
#[derive(Clone, Debug, Default)]
pub struct Callers(Vec<Caller>);

impl CallerKey {
    /// The digest of `key`.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads `<key>` or `sha256:<64 hexadecimal digits>`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("sha256:") {
            Some(digits) => {
                let mut digest = [0; 32];
                hex::decode_to_slice(digits, &mut digest).ok()?;
                Some(Self(digest))
            }
            None if text.is_empty() => None,
            None => Some(Self::of(text)),
        }
    }

    /// In time that does not depend on where they differ.
    fn matches_digest(&self, digest: &[u8; 32]) -> Choice {
        self.0.ct_eq(digest)
    }
}

impl fmt::Debug for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerKey(…)")
    }
}

impl Caller {
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

impl Callers {
    pub fn new(callers: Vec<Caller>) -> Self {
        Self(callers)
    }

    /// The caller whose key `bearer` is. Compares with every key of every caller, whichever matches.
    pub fn authenticate(&self, bearer: &str) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
        let mut found = None;
        for caller in &self.0 {
            for key in &caller.keys {
                if bool::from(key.matches_digest(&digest)) {
                    found = Some(caller);
                }
            }
        }
        found
    }

    pub fn named(&self, name: &str) -> Option<&Caller> {
        self.0.iter().find(|caller| caller.name == name)
    }
}

impl Deref for Callers {
    type Target = [Caller];

    fn deref(&self) -> &[Caller] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'chat-key' | sha256sum`
    const CHAT_KEY: &str = "sha256:762ed3d5e43617a123dd3f166ea87c1fdacf47a0382786a71bf3883b84653bd4";

    fn caller(name: &str, keys: &[&str]) -> Caller {
        Caller {
            name: name.to_owned(),
            keys: keys.iter().map(|key| CallerKey::parse(key).unwrap()).collect(),
            tenant: Some(format!("{name}-tenant")),
            scopes: [Scope::Prompts].into_iter().collect(),
            weight: 1,
            models: Vec::new(),
            topics: Vec::new(),
        }
    }

    #[test]
    fn either_key_of_a_caller_opens_and_no_other() {
        let callers = Callers::new(vec![caller("chat", &["new", "old"]), caller("ops", &["other"])]);
        assert_eq!(callers.authenticate("new").unwrap().name, "chat");
        assert_eq!(callers.authenticate("old").unwrap().name, "chat");
        assert_eq!(callers.authenticate("other").unwrap().name, "ops");
        for wrong in ["", "ne", "new ", "NEW", "new,old"] {
            assert!(callers.authenticate(wrong).is_none(), "{wrong:?} opened");
        }
        assert!(callers.named("ops").unwrap().may(Scope::Prompts));
        assert!(!callers.named("ops").unwrap().may(Scope::Ops));
    }

    #[test]
    fn a_digest_opens_for_the_key_and_not_for_itself() {
        let key = CallerKey::parse(CHAT_KEY).unwrap();
        assert_eq!(key, CallerKey::of("chat-key"));
        assert_ne!(key, CallerKey::of(CHAT_KEY));
        assert!(CallerKey::parse("sha256:dd3b").is_none());
        assert!(CallerKey::parse("").is_none());
    }

    #[test]
    fn debug_shows_no_digest() {
        assert_eq!(format!("{:?}", CallerKey::of("chat-key")), "CallerKey(…)");
    }
}
