//! Files that go along with a prompt: checked, and in the shape in which Omni takes them. They are megabytes: read where
//! they stand in the body, and copied once.

use std::borrow::Cow;
use std::fmt;
use std::io;

use base64::prelude::BASE64_STANDARD;
use base64::read::DecoderReader;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

use super::fields::FieldError;
use super::fields::MAX_REST;

/// Most files of a prompt.
const MOST: usize = 5;
/// Largest image in bytes.
const LARGEST_IMAGE: u64 = 3 * 1024 * 1024;
/// Longest name of a file in bytes.
const LONGEST_NAME: usize = 256;
/// All files of a prompt together in bytes of JSON: Omni takes requests of 15 MiB.
pub const MAX_ATTACHED: usize = 15 * 1024 * 1024 - MAX_REST;

const NAME: &str = "attachments";
const PDF: &str = "application/pdf";

/// The files of one prompt, at least one.
#[derive(Clone)]
pub struct Attachments {
    count: usize,
    json: Box<RawValue>,
}

/// What a prompt's record says of its files, which stand beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// How many.
    pub count: usize,
    /// Their size as they are kept.
    pub bytes: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    mime_type: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    data: Cow<'a, str>,
    mime_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
}

impl Attachments {
    /// Reads the member `attachments` of a body; `None` where it holds no file.
    pub(super) fn read(member: &RawValue) -> Result<Option<Self>, Vec<FieldError>> {
        let whole = |detail: String| vec![FieldError::at("", NAME, detail)];
        let files: Option<Few<'_>> = serde_json::from_str(member.get())
            .map_err(|_| whole(format!("must be an array of at most {MOST} files")))?;
        let files = files.map(|few| few.0).unwrap_or_default();
        if files.len() > MOST {
            return Err(whole(format!("must be at most {MOST} files")));
        }
        let mut errors = Vec::new();
        let checked: Vec<File<'_>> =
            files.into_iter().enumerate().filter_map(|(place, file)| read(place, file, &mut errors)).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        if checked.is_empty() {
            return Ok(None);
        }
        let json = to_raw_value(&checked).map_err(|_| whole("cannot be written down".to_owned()))?;
        if json.get().len() > MAX_ATTACHED {
            return Err(whole(format!("must be at most {MAX_ATTACHED} bytes together, as base64")));
        }
        Ok(Some(Self { count: checked.len(), json }))
    }

    /// As Omni takes them.
    pub fn json(&self) -> &RawValue {
        &self.json
    }

    /// What the record says of them.
    pub fn attached(&self) -> Attached {
        Attached { count: self.count, bytes: self.json.get().len() }
    }

    /// Two that hold the same have the same.
    pub(super) fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.json.get()))
    }
}

/// Files stay out of logs.
impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attached().fmt(f)
    }
}

/// One file; notes everything that is wrong with it.
fn read<'a>(place: usize, file: &'a RawValue, errors: &mut Vec<FieldError>) -> Option<File<'a>> {
    let at = format!("/{NAME}/{place}");
    // As an object, as serde takes an array for one too.
    let given = serde_json::from_str::<Given<'a>>(file.get()).ok().filter(|_| file.get().starts_with('{'));
    let Some(given) = given else {
        let detail = "must be an object with data, mimeType, name if you like, and nothing else".to_owned();
        errors.push(FieldError { pointer: at, detail });
        return None;
    };
    let mut wrong = |name: &str, detail: String| errors.push(FieldError::at(&at, name, detail));
    let mime_type = given.mime_type.and_then(text).filter(|kind| is_taken(kind));
    if mime_type.is_none() {
        wrong("mimeType", "must be image/… or application/pdf, in lower case".to_owned());
    }
    let data = given.data.and_then(text).and_then(|data| Some((decoded(&data)?, data)));
    match (&data, &mime_type) {
        (None, _) => wrong("data", "must be base64 of a file, padded, without a data: prefix".to_owned()),
        (Some((size, _)), Some(kind)) if *size > LARGEST_IMAGE && kind != PDF => {
            wrong("data", format!("must be an image of at most {LARGEST_IMAGE} bytes"));
        }
        (Some(_), _) => {}
    }
    let name = given.name.map(|name| text(name).filter(|name| (1..=LONGEST_NAME).contains(&name.len())));
    if name == Some(None) {
        wrong("name", format!("must be a string of 1 to {LONGEST_NAME} bytes"));
    }
    Some(File { data: data?.1, mime_type: mime_type?, name: name.flatten() })
}

/// A string, where it stands unless it has escapes.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<&str>(value.get())
        .map(Cow::Borrowed)
        .or_else(|_| serde_json::from_str::<String>(value.get()).map(Cow::Owned))
        .ok()
}

fn is_taken(mime_type: &str) -> bool {
    let subtype = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-');
    let is_image = mime_type.strip_prefix("image/").is_some_and(|kind| !kind.is_empty() && kind.bytes().all(subtype));
    is_image || mime_type == PDF
}

/// How many bytes the text stands for; `None` for none, and where it is no base64.
fn decoded(text: &str) -> Option<u64> {
    let mut bytes = DecoderReader::new(text.as_bytes(), &BASE64_STANDARD);
    io::copy(&mut bytes, &mut io::sink()).ok().filter(|bytes| *bytes > 0)
}

/// The first elements of an array, one more than there may be.
struct Few<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Few<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Few<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Few<'de>, A::Error> {
                let mut few = Vec::new();
                while few.len() <= MOST
                    && let Some(element) = elements.next_element()?
                {
                    few.push(element);
                }
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Few(few))
            }
        }
        deserializer.deserialize_seq(First)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use serde_json::{Value, json};

    use super::*;

    fn read(value: &Value) -> Result<Option<Attachments>, Vec<String>> {
        let text = value.to_string();
        let read = Attachments::read(serde_json::from_str(&text).unwrap());
        read.map_err(|errors| errors.into_iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect())
    }

    fn wrong(value: &Value) -> Vec<String> {
        read(value).unwrap_err()
    }

    fn file(bytes: usize, mime_type: &str) -> Value {
        json!({"data": BASE64_STANDARD.encode(vec![7; bytes]), "mimeType": mime_type})
    }

    #[test]
    fn files_come_through_in_omni_s_shape() {
        let given = r#" [ {"name":null, "mimeType":"image\/png","data":"aGk\/"}, {"data":"aGk=","mimeType":"application/pdf","name":"ü"} ] "#;
        let files = Attachments::read(serde_json::from_str(given).unwrap()).unwrap().unwrap();
        let expected =
            r#"[{"data":"aGk/","mimeType":"image/png"},{"data":"aGk=","mimeType":"application/pdf","name":"ü"}]"#;
        assert_eq!(files.json().get(), expected);
        assert_eq!(files.attached(), Attached { count: 2, bytes: expected.len() });
        assert!(!format!("{files:?}").contains("aGk"));
        for nothing in [json!(null), json!([])] {
            assert!(read(&nothing).unwrap().is_none());
        }
    }

    #[test]
    fn everything_that_is_wrong_is_pointed_to() {
        let good = file(3, "image/webp");
        let files = json!([good, {"data": "aGk", "mimeType": "text/html"}, {"name": ""}, 7, {"data": "aGk=", "mimeType": "image/png", "url": "x"}]);
        let wrong = wrong(&files);
        let pointers: Vec<&str> = wrong.iter().map(|line| line.split(' ').next().unwrap()).collect();
        let expected = [
            "/attachments/1/mimeType",
            "/attachments/1/data",
            "/attachments/2/mimeType",
            "/attachments/2/data",
            "/attachments/2/name",
            "/attachments/3",
            "/attachments/4",
        ];
        assert_eq!(pointers, expected, "{wrong:#?}");
        for data in ["", "a", "aGk=aGk=", "aGk=\n", "data:image/png;base64,aGk=", "a-_=", "aGl="] {
            let one = json!([{"data": data, "mimeType": "image/png"}]);
            assert_eq!(
                self::wrong(&one),
                ["/attachments/0/data must be base64 of a file, padded, without a data: prefix"],
                "{data}"
            );
        }
        for kind in ["image/", "image", "IMAGE/PNG", "image/p ng", "application/pdfx", "video/mp4"] {
            assert_eq!(self::wrong(&json!([file(3, kind)])).len(), 1, "{kind}");
        }
    }

    #[test]
    fn there_are_five_at_most_and_they_have_a_size() {
        let many = |count: usize| Value::Array(vec![file(3, "image/png"); count]);
        assert_eq!(read(&many(5)).unwrap().unwrap().attached().count, 5);
        assert_eq!(wrong(&many(6)), ["/attachments must be at most 5 files"]);
        assert_eq!(wrong(&json!({})), ["/attachments must be an array of at most 5 files"]);
        let most = usize::try_from(LARGEST_IMAGE).unwrap();
        assert!(read(&json!([file(most, "image/png"), file(most + 1, "application/pdf")])).is_ok());
        assert_eq!(
            wrong(&json!([file(3, "image/png"), file(most + 1, "image/png")])),
            ["/attachments/1/data must be an image of at most 3145728 bytes"]
        );
        let large = Value::Array(vec![file(most, "image/png"); 4]);
        assert_eq!(wrong(&large), [format!("/attachments must be at most {MAX_ATTACHED} bytes together, as base64")]);
    }
}
