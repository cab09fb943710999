//! Reads a JSON object field by field and collects everything that is wrong with it, so that a caller learns it at once.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer to the field.
    #[schema(format = "json-pointer")]
    pub pointer: String,
    /// What would be right. Never repeats the value.
    pub detail: String,
}

impl FieldError {
    /// About the member `name` of what `parent` points to.
    pub(crate) fn at(parent: &str, name: &str, detail: impl Into<String>) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { pointer: format!("{parent}/{name}"), detail: detail.into() }
    }

    /// About the whole, which is pointed to by nothing.
    pub(crate) fn whole(detail: impl Into<String>) -> Self {
        Self { pointer: String::new(), detail: detail.into() }
    }
}

/// Largest body in bytes, its attachments left out.
pub(crate) const MAX_REST: usize = 256 * 1024;

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not JSON at all.
    #[error("the body is not JSON")]
    Syntax,
    /// More than any prompt can need.
    #[error("the body has more than {MAX_REST} bytes besides its attachments")]
    TooLarge,
    /// Fields are wrong or missing.
    #[error("{} of the body's fields cannot be used", .0.len())]
    Fields(Vec<FieldError>),
}

/// A whole number. Whether it was written with a fraction of 0 is nothing that JSON tells apart.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    let written_otherwise = || value.as_f64().filter(|number| number.fract() == 0.0)?.to_string().parse().ok();
    value.as_u64().or_else(written_otherwise)
}

/// Takes known fields out of an object; [`Fields::finish`] refuses what is left.
pub(crate) struct Fields {
    at: String,
    object: Map<String, Value>,
    pub(crate) errors: Vec<FieldError>,
}

impl Fields {
    pub(crate) fn new(at: &str, object: Map<String, Value>) -> Self {
        Self { at: at.to_owned(), object, errors: Vec::new() }
    }

    /// Notes what is wrong with `name`.
    pub(crate) fn wrong(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(FieldError::at(&self.at, name, detail));
    }

    /// The field's value; `null` counts as absent, as in Omni's own clients.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// A string of 1 to `max` bytes.
    pub(crate) fn text(&mut self, name: &str, max: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if !text.is_empty() && text.len() <= max => Some(text),
            _ => {
                self.wrong(name, format!("must be a string of 1 to {max} bytes"));
                None
            }
        }
    }

    /// As [`Fields::text`], measured as people would.
    pub(crate) fn words(&mut self, name: &str, max: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if (1..=max).contains(&text.chars().count()) => Some(text),
            _ => {
                self.wrong(name, format!("must be a string of 1 to {max} characters"));
                None
            }
        }
    }

    pub(crate) fn uuid(&mut self, name: &str) -> Option<Uuid> {
        let value = self.take(name)?;
        let parsed = value.as_str().and_then(|text| Uuid::try_parse(text).ok());
        if parsed.is_none() {
            self.wrong(name, "must be a UUID");
        }
        parsed
    }

    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?;
        if !value.is_boolean() {
            self.wrong(name, "must be true or false");
        }
        value.as_bool()
    }

    pub(crate) fn integer(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.take(name)?;
        let number = whole(&value).filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.wrong(name, format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    pub(crate) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        if let Value::Object(map) = self.take(name)? {
            return Some(map);
        }
        self.wrong(name, "must be an object");
        None
    }

    /// What `read` takes of a field that must be there.
    pub(crate) fn required<T>(&mut self, name: &str, read: impl Fn(&mut Self, &str) -> Option<T>) -> Option<T> {
        let before = self.errors.len();
        let value = read(self, name);
        if value.is_none() && self.errors.len() == before {
            self.wrong(name, "is required");
        }
        value
    }

    /// What the field names, where it may; else the first of what it may name.
    pub(crate) fn allowed<T: Clone + PartialEq + ToString>(
        &mut self,
        name: &str,
        list: &[T],
        read: impl Fn(&mut Self, &str) -> Option<T>,
    ) -> Option<T> {
        let before = self.errors.len();
        match read(self, name) {
            None if self.errors.len() == before => list.first().cloned(),
            Some(value) if !list.is_empty() && !list.contains(&value) => {
                let names: Vec<String> = list.iter().map(ToString::to_string).collect();
                self.wrong(name, format!("must be one that the caller may use: {}", names.join(", ")));
                None
            }
            value => value,
        }
    }

    /// Refuses every field that nobody took.
    pub(crate) fn finish(mut self, known: &[&str]) -> Vec<FieldError> {
        for name in self.object.keys().cloned().collect::<Vec<_>>() {
            if self.object[&name].is_null() && known.contains(&name.as_str()) {
                continue;
            }
            self.wrong(&name, format!("is not a known field; known are {}", known.join(", ")));
        }
        self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_whole_however_they_are_written() {
        for (text, number) in
            [("28", Some(28)), ("28.0", Some(28)), ("2.8e1", Some(28)), ("0", Some(0)), ("-0.0", None)]
        {
            assert_eq!(whole(&serde_json::from_str(text).unwrap()), number, "{text}");
        }
        for text in ["28.5", "-1", "-1.0", "1e300", "\"28\"", "true", "null", "[28]"] {
            assert_eq!(whole(&serde_json::from_str(text).unwrap()), None, "{text}");
        }
    }
}
