//! What Omni said about a refusal. Data like a prompt: it may be stored and published, never logged.

use std::fmt;

use serde_json::Value;

/// Code and message of an error answer, each cut to a bound. `Debug` shows only whether they are there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Detail {
    pub code: Option<String>,
    pub message: Option<String>,
}

const LONGEST_CODE: usize = 128;
const LONGEST_MESSAGE: usize = 2_000;

impl Detail {
    /// Reads any of the shapes that Omni's endpoints are known to answer with; never fails.
    pub(super) fn read(body: &[u8]) -> Self {
        serde_json::from_slice::<Value>(body).map_or_else(|_| Self::default(), |body| Self::from_value(&body))
    }

    fn from_value(body: &Value) -> Self {
        let nested = &body["error"];
        let message = ["detail", "message", "error", "error_description"];
        let code = ["code", "errorCode", "error_code"];
        Self {
            code: first_text(body, &code).or_else(|| first_text(nested, &code)).map(|text| cut(text, LONGEST_CODE)),
            message: first_text(body, &message)
                .or_else(|| first_text(nested, &message))
                .map(|text| cut(text, LONGEST_MESSAGE)),
        }
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Option<String>| if text.is_some() { "[redacted]" } else { "none" };
        write!(f, "Detail {{ code: {}, message: {} }}", shown(&self.code), shown(&self.message))
    }
}

fn first_text<'v>(value: &'v Value, names: &[&str]) -> Option<&'v str> {
    names.iter().filter_map(|name| value[*name].as_str()).map(str::trim).find(|text| !text.is_empty())
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (Option<String>, Option<String>) {
        let detail = Detail::read(body.as_bytes());
        (detail.code, detail.message)
    }

    #[test]
    fn every_known_shape_is_read() {
        for (body, code, message) in [
            (r#"{"detail":"d","status":400}"#, None, Some("d")),
            (r#"{"message":"m"}"#, None, Some("m")),
            (r#"{"error":"e"}"#, None, Some("e")),
            (r#"{"error":{"message":"m","code":"c"}}"#, Some("c"), Some("m")),
            (r#"{"error":{"detail":"d"},"errorCode":"c"}"#, Some("c"), Some("d")),
            (r#"{"error_description":"x","error_code":"c"}"#, Some("c"), Some("x")),
            (r#"{"code":"shutoff","detail":"no credit","status":402}"#, Some("shutoff"), Some("no credit")),
            (r#"{"detail":"","message":"m"}"#, None, Some("m")),
            (r#"{"detail":7,"code":7}"#, None, None),
            (r#"["detail"]"#, None, None),
            ("<html>Bad Gateway</html>", None, None),
            ("", None, None),
        ] {
            assert_eq!(read(body), (code.map(str::to_owned), message.map(str::to_owned)), "{body}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let body = format!(r#"{{"detail":"{}"}}"#, "é".repeat(5_000));
        assert_eq!(read(&body).1.unwrap().chars().count(), LONGEST_MESSAGE);
    }

    #[test]
    fn debug_tells_nothing() {
        let detail = Detail { code: Some("c0de".into()), message: Some("revenue of ACME".into()) };
        let shown = format!("{detail:?}");
        assert!(!shown.contains("ACME") && !shown.contains("c0de"), "{shown}");
    }
}
