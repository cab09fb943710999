//! What a user thinks of an answer.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::{FieldError, Fields, Invalid};

/// Longest comment in characters.
const LONGEST: usize = 5000;

/// What a body may have. What is `null` counts as left out.
#[derive(ToSchema)]
#[schema(as = Feedback)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is read as a schema")]
pub struct FeedbackSchema {
    #[schema(inline)]
    rating: Rating,
    #[schema(min_length = 1, max_length = 5000)]
    comment: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is read as a schema")]
enum Rating {
    Good,
    Bad,
}

/// A checked body, in Omni's own words.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Feedback {
    rating: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

/// What users think stays out of logs.
impl fmt::Debug for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feedback").finish_non_exhaustive()
    }
}

impl Feedback {
    /// Reads and checks a body.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let Value::Object(object) = serde_json::from_slice(bytes).map_err(|_| Invalid::Syntax)? else {
            return Err(Invalid::Fields(vec![FieldError::whole("must be an object")]));
        };
        let mut fields = Fields::new("", object);
        let given = fields.take("rating");
        let rating = ["good", "bad"].into_iter().find(|rating| given.as_ref().is_some_and(|given| given == rating));
        if rating.is_none() {
            fields.wrong("rating", "must be good or bad");
        }
        let comment = fields.words("comment", LONGEST);
        match (rating, fields.finish(&["rating", "comment"])) {
            (Some(rating), errors) if errors.is_empty() => Ok(Self { rating, comment }),
            (_, errors) => Err(Invalid::Fields(errors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rating_and_perhaps_a_comment() {
        let parse = |body: Value| Feedback::parse(body.to_string().as_bytes());
        for body in [json!({"rating": "good"}), json!({"rating": "bad", "comment": "é".repeat(LONGEST)})] {
            assert_eq!(serde_json::to_value(parse(body.clone()).unwrap()).unwrap(), body);
        }
        assert_eq!(parse(json!({"rating": "good", "comment": null})), parse(json!({"rating": "good"})));
        for (body, pointers) in [
            (json!([]), vec![""]),
            (json!({}), vec!["/rating"]),
            (json!({"rating": "GOOD", "comment": ""}), vec!["/rating", "/comment"]),
            (json!({"rating": "bad", "comment": "x".repeat(LONGEST + 1), "userId": "u"}), vec!["/comment", "/userId"]),
        ] {
            let Err(Invalid::Fields(errors)) = parse(body) else { panic!("this is wrong") };
            assert_eq!(errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>(), pointers);
        }
        assert_eq!(Feedback::parse(b"{").unwrap_err(), Invalid::Syntax);
        assert!(!format!("{:?}", parse(json!({"rating": "good", "comment": "ACME"}))).contains("ACME"));
    }
}
