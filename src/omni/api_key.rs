//! A key to Omni, and the name under which it may be spoken of.

use std::fmt;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// An Omni API key. `Debug` shows only its id.
#[derive(Clone)]
pub struct ApiKey {
    id: String,
    authorization: HeaderValue,
}

/// The key is empty or holds characters that no HTTP header can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use an API key that is empty or holds characters outside of visible ASCII")]
pub struct InvalidApiKey;

impl ApiKey {
    pub fn new(key: &SecretString) -> Result<Self, InvalidApiKey> {
        let key = key.expose_secret();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidApiKey);
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| InvalidApiKey)?;
        authorization.set_sensitive(true);
        let mut id = hex::encode(Sha256::digest(key.as_bytes()));
        id.truncate(16);
        Ok(Self { id, authorization })
    }

    /// The first 16 hex digits of the key's SHA-256: stable, shareable, of no use to a thief.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_head_of_the_digest_and_debug_shows_nothing_else() {
        let key = ApiKey::new(&SecretString::from("abc")).unwrap();
        // printf abc | sha256sum
        assert_eq!(key.id(), "ba7816bf8f01cfea");
        assert!(!format!("{key:?}").contains("abc"));
        assert!(!format!("{:?}", key.authorization()).contains("abc"));
    }

    #[test]
    fn a_key_that_no_header_carries_is_refused() {
        for key in ["", "with space", "line\nbreak", "ümlaut"] {
            assert_eq!(ApiKey::new(&SecretString::from(key)).unwrap_err(), InvalidApiKey, "{key:?}");
        }
    }
}
