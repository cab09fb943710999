//! A prompt's body taken apart: attachments, which are megabytes, are left where they stand; the rest is small, or refused.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::fields::{FieldError, Invalid, MAX_REST};

/// The members of a body.
pub(super) struct Members<'a> {
    pub(super) attachments: Option<&'a RawValue>,
    pub(super) others: Map<String, Value>,
    /// Of the others; of one that is too large only the beginning is kept.
    size: usize,
}

impl<'a> Members<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Invalid> {
        let whole: &RawValue = serde_json::from_slice(bytes).map_err(|_| Invalid::Syntax)?;
        if !whole.get().starts_with('{') {
            return Err(Invalid::Fields(vec![FieldError::whole("must be an object")]));
        }
        let members: Self = serde_json::from_str(whole.get()).map_err(|_| Invalid::Syntax)?;
        if members.size > MAX_REST { Err(Invalid::TooLarge) } else { Ok(members) }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members { attachments: None, others: Map::new(), size: 0 };
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if name == "attachments" {
                        members.attachments = Some(value);
                        continue;
                    }
                    members.size += name.len() + value.get().len();
                    if members.size <= MAX_REST {
                        members.others.insert(name, serde_json::from_str(value.get()).map_err(Error::custom)?);
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Parts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_beside_the_attachments_has_a_size() {
        let sized = |attachments: usize, rest: usize| {
            let body = json!({"prompt": "y".repeat(rest), "attachments": ["x".repeat(attachments)]}).to_string();
            Members::read(body.as_bytes()).map(|members| (members.attachments.is_some(), members.others.len()))
        };
        assert_eq!(sized(2 * MAX_REST, MAX_REST - 8), Ok((true, 1)));
        assert_eq!(sized(1, MAX_REST - 7), Err(Invalid::TooLarge));
        let many = " , \"m\":0".repeat(200_000);
        assert_eq!(Members::read(format!("{{\"n\":1{many}}}").as_bytes()).err(), Some(Invalid::TooLarge));
    }

    #[test]
    fn only_an_object_has_members() {
        for (body, expected) in [
            (&b""[..], Invalid::Syntax),
            (b"{\"a\":1}}", Invalid::Syntax),
            (b"{\"a\":\"\\ud800\"}", Invalid::Syntax),
            (b"{\"a\":\"\xff\"}", Invalid::Syntax),
        ] {
            assert_eq!(Members::read(body).err(), Some(expected), "{body:?}");
        }
        assert!(matches!(Members::read(b" [{}] ").err(), Some(Invalid::Fields(_))));
        let last = Members::read(br#" {"a":1, "\u0061":2, "attachments":[], "attachments":null} "#).unwrap();
        assert_eq!((last.others["a"].as_u64(), last.attachments.map(RawValue::get)), (Some(2), Some("null")));
    }
}
