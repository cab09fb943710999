//! A prompt as callers send it, checked in full before anything is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::attachments::{Attached, Attachments};
use super::fields::Fields;
pub(crate) use super::fields::whole;
pub use super::fields::{FieldError, Invalid};
use super::ids::{Conversation, Tenant};
use super::members::Members;
use super::user::User;

/// Longest prompt in bytes.
pub const MAX_PROMPT: usize = 32 * 1024;
/// Largest `metadata` in bytes of JSON.
pub const MAX_METADATA: usize = 4 * 1024;
/// Longest idempotency key in bytes.
pub const MAX_IDEMPOTENCY_KEY: usize = 256;

/// The last one is known on the intake stream only: over HTTP the caller's key says whose prompt it is.
pub(super) const KNOWN: [&str; 14] = [
    "prompt",
    "modelId",
    "conversation",
    "conversationId",
    "topicName",
    "branchId",
    "attachments",
    "user",
    "userId",
    "idempotencyKey",
    "metadata",
    "progress",
    "deadlineSeconds",
    "tenant",
];

/// What the relay needs to ask Omni, as stored in the prompt's record.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// The question.
    pub prompt: String,
    /// Omni's model.
    pub model_id: Uuid,
    /// Omni's topic, when the caller chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// A branch of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_id: Option<Uuid>,
    /// Whose permissions count.
    pub user: User,
    /// Whether its readers are told how far the job is.
    #[serde(default)]
    pub progress: bool,
    /// Seconds from acceptance after which the answer is of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// Files that stand beside the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Attached>,
}

/// Questions and names stay out of logs.
impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prompt").field("model_id", &self.model_id).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A checked body: the prompt and where it belongs.
#[derive(Debug, Clone)]
pub struct Body {
    /// What to ask.
    pub prompt: Prompt,
    /// The caller's thread, when it named one.
    pub conversation: Option<String>,
    /// Omni's conversation, when it named one.
    pub conversation_id: Option<Uuid>,
    /// Makes a repeat harmless.
    pub idempotency_key: Option<String>,
    /// Returned in every entry.
    pub metadata: Map<String, Value>,
    /// Whose prompt it is; only the intake stream may say so.
    pub tenant: Option<String>,
    /// Files that go along.
    pub attachments: Option<Attachments>,
    /// SHA-256 over the canonical body without its idempotency key, in hex.
    pub fingerprint: String,
}

/// What a body may leave out, and what it may name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Defaults<'a> {
    /// Used when a body has no `modelId`.
    pub model_id: Option<Uuid>,
    /// The models that a body may name; then the first of them is used when it has none. Empty: any.
    pub models: &'a [Uuid],
    /// The same of topics.
    pub topics: &'a [String],
    /// Whether a prompt without a user runs with the rights of the key's creator.
    pub run_as_key_owner: bool,
    /// Whether `tenant` is a known field: on the intake stream.
    pub names_tenant: bool,
}

impl Body {
    /// Reads and checks a body. Existence of models, topics and conversations is left to Omni.
    pub fn parse(bytes: &[u8], defaults: Defaults) -> Result<Self, Invalid> {
        let Members { attachments, others, .. } = Members::read(bytes)?;
        let attachments = attachments.map_or(Ok(None), Attachments::read);
        let digest = attachments.as_ref().ok().and_then(Option::as_ref).map(Attachments::digest);
        let fingerprint = fingerprint(&others, digest);
        let mut fields = Fields::new("", others);
        let prompt = fields.required("prompt", |fields, name| fields.text(name, MAX_PROMPT));
        let model_id = match fields.allowed("modelId", defaults.models, Fields::uuid).or(defaults.model_id) {
            None if fields.errors.iter().all(|error| error.pointer != "/modelId") => {
                fields.wrong("modelId", "is required: no default model is configured");
                None
            }
            model_id => model_id,
        };
        let user = User::read(&mut fields, defaults.run_as_key_owner);
        let body = (
            conversation(&mut fields),
            fields.uuid("conversationId"),
            fields.allowed("topicName", defaults.topics, |fields, name| fields.words(name, 256)),
            fields.uuid("branchId"),
            fields.text("idempotencyKey", MAX_IDEMPOTENCY_KEY),
            metadata(&mut fields),
            fields.flag("progress"),
            fields.integer("deadlineSeconds", 1, 86_400),
            if defaults.names_tenant { fields.text("tenant", 64) } else { None },
        );
        let known = if defaults.names_tenant { &KNOWN[..] } else { &KNOWN[..KNOWN.len() - 1] };
        let attachments = attachments.unwrap_or_else(|errors| {
            fields.errors.extend(errors);
            None
        });
        let errors = fields.finish(known);
        let (Some(prompt), Some(model_id), Some(user), true) = (prompt, model_id, user, errors.is_empty()) else {
            return Err(Invalid::Fields(errors));
        };
        let (
            conversation,
            conversation_id,
            topic_name,
            branch_id,
            idempotency_key,
            metadata,
            progress,
            deadline_seconds,
            tenant,
        ) = body;
        let progress = progress.unwrap_or_default();
        let attached = attachments.as_ref().map(Attachments::attached);
        let prompt = Prompt { prompt, model_id, topic_name, branch_id, user, progress, deadline_seconds, attached };
        Ok(Self { prompt, conversation, conversation_id, idempotency_key, metadata, tenant, attachments, fingerprint })
    }
}

fn conversation(fields: &mut Fields) -> Option<String> {
    let key = fields.text("conversation", Conversation::MAX_KEY)?;
    // No address leads to what is only dots: it is read as a step within itself.
    if Conversation::new(&Tenant::default(), &key).is_none() || key.bytes().all(|byte| byte == b'.') {
        fields.wrong("conversation", "must match [A-Za-z0-9._:-]{1,128}, and not be of dots alone");
    }
    Some(key)
}

fn metadata(fields: &mut Fields) -> Map<String, Value> {
    let map = fields.object("metadata").unwrap_or_default();
    if !metadata_fits(&map) {
        fields.wrong("metadata", format!("must be at most {MAX_METADATA} bytes of JSON"));
    }
    map
}

/// Whether metadata is short enough to be returned in every entry.
pub fn metadata_fits(metadata: &Map<String, Value>) -> bool {
    serde_json::to_string(metadata).is_ok_and(|text| text.len() <= MAX_METADATA)
}

/// Two bodies that say the same have the same fingerprint, whatever the order of their keys. For the attachments stands
/// their digest.
fn fingerprint(object: &Map<String, Value>, attachments: Option<String>) -> String {
    let attachments = attachments.map(Value::from);
    let deadline = object.get("deadlineSeconds").and_then(whole).map(Value::from);
    let attachments = attachments.iter().map(|digest| ("attachments", digest));
    let members = object.iter().filter(|(name, value)| *name != "idempotencyKey" && !value.is_null());
    let members = members.map(|(name, value)| (name.as_str(), value)).chain(attachments);
    let members = members.chain(deadline.iter().map(|seconds| ("deadlineSeconds", seconds)));
    // serde_json keeps objects sorted by key, and so does this one: the text is canonical.
    let canonical: BTreeMap<&str, &Value> = members.collect();
    hex::encode(Sha256::digest(serde_json::to_string(&canonical).expect("members with names are JSON")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MODEL: &str = "11111111-1111-4111-8111-111111111111";
    const USER: &str = "22222222-2222-4222-8222-222222222222";

    fn parse(value: &Value) -> Result<Body, Invalid> {
        Body::parse(value.to_string().as_bytes(), Defaults::default())
    }

    #[test]
    fn a_topic_is_measured_in_characters_and_no_conversation_is_of_dots() {
        let body = |name: &str, value: String| json!({"prompt": "q", "modelId": MODEL, "userId": USER, name: value});
        assert!(parse(&body("topicName", "売".repeat(256))).is_ok());
        assert_eq!(pointers(&body("topicName", "売".repeat(257))), ["/topicName"]);
        assert!(parse(&body("conversation", "..a".to_owned())).is_ok());
        for dots in [".", "..", "..."] {
            assert_eq!(pointers(&body("conversation", dots.to_owned())), ["/conversation"]);
        }
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let with = |deadline: &str| {
            let body =
                format!(r#"{{"prompt":"q","modelId":"{MODEL}","userId":"{USER}","deadlineSeconds":{deadline}}}"#);
            Body::parse(body.as_bytes(), Defaults::default()).unwrap().fingerprint
        };
        assert_eq!(with("28"), with("28.0"));
        assert_ne!(with("28"), with("29"));
    }

    fn pointers(value: &Value) -> Vec<String> {
        match parse(value) {
            Err(Invalid::Fields(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
            other => panic!("expected field errors, got {other:?}"),
        }
    }

    #[test]
    fn the_guides_own_body_works() {
        let body = parse(&json!({"modelId": MODEL, "prompt": "revenue?", "userId": USER})).unwrap();
        assert_eq!(body.prompt.user, User::Id { user_id: USER.parse().unwrap() });
        assert_eq!(body.prompt.model_id.to_string(), MODEL);
    }

    #[test]
    fn what_is_nested_without_end_is_refused() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            for member in ["metadata", "user", "attachments", "prompt", "unknown"] {
                let body = format!(r#"{{"modelId":"{MODEL}","userId":"{USER}","prompt":"q","{member}":{deep}}}"#);
                assert!(Body::parse(body.as_bytes(), Defaults::default()).is_err(), "{member}");
            }
        }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let wrong = json!({"prompt": "", "modelId": "x", "conversation": "a b", "metadata": [], "progress": 1,
                           "deadlineSeconds": 0, "user": {"externalId": "e", "nmae": "x"}, "promt": "y"});
        let mut found = pointers(&wrong);
        found.sort();
        let expected = [
            "/conversation",
            "/deadlineSeconds",
            "/metadata",
            "/modelId",
            "/progress",
            "/prompt",
            "/promt",
            "/user/nmae",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_prompt_without_a_user_is_refused_unless_allowed() {
        let body = json!({"prompt": "q", "modelId": MODEL});
        assert_eq!(pointers(&body), ["/user"]);
        let allowed = Defaults { run_as_key_owner: true, ..Defaults::default() };
        let parsed = Body::parse(body.to_string().as_bytes(), allowed).unwrap();
        assert_eq!(parsed.prompt.user, User::Owner {});
    }

    #[test]
    fn limits_are_bytes() {
        let with = |prompt: String| json!({"prompt": prompt, "modelId": MODEL, "userId": USER});
        assert!(parse(&with("é".repeat(MAX_PROMPT / 2))).is_ok());
        assert_eq!(pointers(&with("é".repeat(MAX_PROMPT / 2 + 1))), ["/prompt"]);
    }

    #[test]
    fn the_fingerprint_ignores_order_and_the_key_itself() {
        let fingerprint = |text: &str| Body::parse(text.as_bytes(), Defaults::default()).unwrap().fingerprint;
        let a = fingerprint(&format!(r#"{{"prompt":"q","modelId":"{MODEL}","userId":"{USER}"}}"#));
        let b =
            fingerprint(&format!(r#"{{"userId":"{USER}", "idempotencyKey":"k","modelId":"{MODEL}","prompt":"q"}}"#));
        let c = fingerprint(&format!(r#"{{"prompt":"q2","modelId":"{MODEL}","userId":"{USER}"}}"#));
        assert_eq!(a, b);
        assert_ne!(a, c);
        let with = |files: &str| {
            fingerprint(&format!(r#"{{"prompt":"q","attachments":{files},"modelId":"{MODEL}","userId":"{USER}"}}"#))
        };
        let file = with(r#"[{"data":"aGk=","mimeType":"image/png"}]"#);
        assert_eq!(with("[]"), a, "as version 0.1.0 worked it out");
        assert_eq!(with(r#"[ {"mimeType":"image\/png","data":"aGk="} ]"#), file);
        for other in [r#"[{"data":"aGkh","mimeType":"image/png"}]"#, r#"[{"data":"aGk=","mimeType":"image/gif"}]"#] {
            assert_ne!(with(other), file);
        }
        assert_ne!(file, a);
    }

    #[test]
    fn a_caller_with_lists_names_what_stands_in_them() {
        let (models, topics) = ([MODEL.parse().unwrap(), USER.parse().unwrap()], ["orders".to_owned()]);
        let defaults =
            Defaults { models: &models, topics: &topics, model_id: Some(Uuid::nil()), ..Defaults::default() };
        let parse = |more: &Value| {
            let mut body = json!({"prompt": "q", "userId": USER});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Body::parse(body.to_string().as_bytes(), defaults).map(|body| body.prompt)
        };
        let first = parse(&json!({})).unwrap();
        assert_eq!((first.model_id, first.topic_name.as_deref()), (models[0], Some("orders")));
        let named = parse(&json!({"modelId": USER, "topicName": "orders"})).unwrap();
        assert_eq!((named.model_id, named.topic_name.as_deref()), (models[1], Some("orders")));
        let wrong = parse(&json!({"modelId": Uuid::nil(), "topicName": "staff"})).unwrap_err();
        let detail = |names: &str| format!("must be one that the caller may use: {names}");
        let errors = [("/modelId", detail(&format!("{MODEL}, {USER}"))), ("/topicName", detail("orders"))];
        let errors = errors.map(|(pointer, detail)| FieldError { pointer: pointer.to_owned(), detail });
        assert_eq!(wrong, Invalid::Fields(errors.into()));
        let no_uuid = parse(&json!({"modelId": "x", "topicName": 1})).unwrap_err();
        assert!(matches!(no_uuid, Invalid::Fields(errors) if errors.len() == 2));
    }

    #[test]
    fn users_survive_storage() {
        for user in [
            User::Id { user_id: USER.parse().unwrap() },
            User::External { external_id: "e".to_owned(), profile: Map::new() },
            User::Owner {},
        ] {
            let text = serde_json::to_string(&user).unwrap();
            assert_eq!(serde_json::from_str::<User>(&text).unwrap(), user);
        }
    }

    #[test]
    fn only_the_stream_names_a_tenant() {
        let body = json!({"prompt": "q", "modelId": MODEL, "userId": USER, "tenant": "acme"});
        assert_eq!(pointers(&body), ["/tenant"]);
        let stream = Defaults { names_tenant: true, ..Defaults::default() };
        assert_eq!(Body::parse(body.to_string().as_bytes(), stream).unwrap().tenant.as_deref(), Some("acme"));
    }
}
