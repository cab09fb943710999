//! What [`Body::parse`](super::prompt::Body::parse) takes, as a schema.

use serde_json::{Value, json};
use utoipa::openapi::schema::{AllOfBuilder, Object, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// The schema of a prompt. `null` counts as left out.
pub struct PromptSchema;

/// A question, on whose behalf it is asked, and where it belongs. What is `null` counts as left out.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is read as a schema")]
struct Members {
    /// The question, at most 32 KiB.
    #[schema(min_length = 1, max_length = 32768)]
    prompt: String,
    /// Required unless the relay has a default model, or the caller a list of models.
    model_id: Option<Uuid>,
    /// Your name for the thread; left out, the prompt's id is used.
    #[schema(pattern = r"^\.*[A-Za-z0-9_:-][A-Za-z0-9._:-]*$", max_length = 128)]
    conversation: Option<String>,
    /// A conversation of Omni's. Alone it means the conversation that is bound to it here.
    conversation_id: Option<Uuid>,
    #[schema(min_length = 1, max_length = 256)]
    topic_name: Option<String>,
    branch_id: Option<Uuid>,
    /// Files that go along; all of them at most 14.75 MiB.
    #[schema(inline, max_items = 5)]
    attachments: Option<Vec<AttachmentMembers>>,
    #[schema(schema_with = user)]
    user: Option<Value>,
    /// Omni's id of the user, instead of `user`.
    user_id: Option<Uuid>,
    /// Makes a repeat harmless for 24 hours; also as the header `Idempotency-Key`.
    #[schema(min_length = 1, max_length = 256)]
    idempotency_key: Option<String>,
    /// Returned in every entry; at most 4 KiB of JSON.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    metadata: Option<Value>,
    /// Its readers are told how far the job is, with `omni.job.progress`.
    progress: Option<bool>,
    /// Seconds from acceptance or replay after which the answer is of no use.
    #[schema(minimum = 1, maximum = 86400)]
    deadline_seconds: Option<u32>,
}

/// An image or a PDF.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is read as a schema")]
struct AttachmentMembers {
    /// Base64, padded. An image is at most 3 MiB.
    #[schema(
        min_length = 4,
        content_encoding = "base64",
        pattern = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
    )]
    data: String,
    #[schema(pattern = "^(image/[a-z0-9.+-]+|application/pdf)$")]
    mime_type: String,
    #[schema(min_length = 1, max_length = 256)]
    name: Option<String>,
}

/// Whose permissions count. All but the two ids describes a user who may be created; at most 16 KiB of JSON.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is read as a schema")]
struct UserMembers {
    /// Your id of the user: looked up at Omni.
    #[schema(min_length = 1, max_length = 512)]
    external_id: Option<String>,
    /// Omni's id of the user: passed on.
    user_id: Option<Uuid>,
    #[schema(min_length = 1)]
    name: Option<String>,
    #[schema(min_length = 1)]
    email: Option<String>,
    groups: Option<Vec<String>>,
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    user_attributes: Option<Value>,
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    connection_roles: Option<Value>,
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    model_roles: Option<Value>,
    #[schema(min_length = 1, max_length = 64)]
    entity: Option<String>,
}

impl PartialSchema for PromptSchema {
    fn schema() -> RefOr<Schema> {
        let one = one_of(("user", Type::Object), ("userId", Type::String));
        let example = json!({
            "prompt": "Revenue by region?", "conversation": "thread-1", "user": {"externalId": "demo-dana"}
        });
        AllOfBuilder::new().item(Members::schema()).item(one).examples([example]).into()
    }
}

impl ToSchema for PromptSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Prompt".into()
    }
}

fn user() -> Schema {
    let one = one_of(("externalId", Type::String), ("userId", Type::String));
    let user = AllOfBuilder::new().item(UserMembers::schema()).item(one).build();
    OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Null)).item(Schema::AllOf(user)).into()
}

/// One of two members has to be there, and the other one not.
fn one_of(a: (&str, Type), b: (&str, Type)) -> Schema {
    let there = |(name, kind): (&str, Type)| -> Object {
        let member = ObjectBuilder::new().schema_type(kind);
        ObjectBuilder::new().property(name, member).required(name).build()
    };
    OneOfBuilder::new().item(there(a)).item(there(b)).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jsonschema::Draft;
    use proptest::prelude::*;
    use serde_json::Map;

    use super::super::prompt::{Body, Defaults, KNOWN};
    use super::super::user::PROFILE;
    use super::*;

    const ID: &str = "22222222-2222-4222-8222-222222222222";

    fn schema() -> Value {
        json!(PromptSchema::schema())
    }

    fn names(schema: &Value) -> BTreeSet<&str> {
        schema["allOf"][0]["properties"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn what_is_read_is_what_the_schema_names() {
        let schema = schema();
        // The tenant is known on the intake stream only.
        assert_eq!(names(&schema), KNOWN.into_iter().filter(|name| *name != "tenant").collect());
        let user = &schema["allOf"][0]["properties"]["user"]["oneOf"][1];
        assert_eq!(names(user), PROFILE.into_iter().collect());
    }

    /// Values of a member: right ones, wrong ones, at its limits and beyond.
    fn values(name: &str) -> Vec<Value> {
        let text = |limit: usize| {
            vec![json!(""), json!("x"), json!("x".repeat(limit)), json!("x".repeat(limit + 1)), json!(7)]
        };
        let id = || vec![json!(ID), json!("x"), json!(""), json!(7)];
        let object = || vec![json!({}), json!({"a": {"b": [1]}}), json!([]), json!("x")];
        let strings = || vec![json!({}), json!({"a": "b"}), json!({"a": 1}), json!("x")];
        match name {
            "prompt" => text(32 * 1024),
            "conversation" => {
                [text(128), vec![json!("A.z_0:-"), json!(".."), json!("..a"), json!("a b"), json!("a/b"), json!("é")]]
                    .concat()
            }
            "topicName" | "idempotencyKey" => text(256),
            "externalId" => text(512),
            "entity" => [text(64), vec![json!("é".repeat(64))]].concat(),
            "name" | "email" => vec![json!(""), json!("x"), json!(7)],
            "modelId" | "conversationId" | "branchId" | "userId" => id(),
            "metadata" | "userAttributes" => object(),
            "connectionRoles" | "modelRoles" => strings(),
            "groups" => vec![json!([]), json!(["a", "b"]), json!(["a", 1]), json!("a")],
            "attachments" => {
                let file = |name: &str, value: Value| {
                    let mut file = json!({"data": "aGk=", "mimeType": "image/png", "name": "chart"});
                    file[name] = value;
                    file
                };
                let mut files = vec![
                    json!({"data": "aGk=", "mimeType": "application/pdf"}),
                    json!({}),
                    json!("aGk="),
                    json!(["aGk=", "image/png", "c"]),
                ];
                files.extend(
                    ["aGk=", "aGk", "aGl=", "aA==", "aB==", "aGkh", "", "data:,"].map(|data| file("data", json!(data))),
                );
                files.extend(
                    ["image/svg+xml", "image/", "Image/png", "text/plain"].map(|kind| file("mimeType", json!(kind))),
                );
                files.extend(
                    [json!(""), json!(null), json!(7), json!("x".repeat(256)), json!("x".repeat(257))]
                        .map(|name| file("name", name)),
                );
                files.push(file("size", json!(1)));
                let right = files[0].clone();
                let lists = [json!([]), json!("aGk="), json!(vec![right.clone(); 5]), json!(vec![right; 6])];
                files.into_iter().map(|file| json!([file])).chain(lists).collect()
            }
            "progress" => vec![json!(true), json!(false), json!("true"), json!(1)],
            "deadlineSeconds" => [0, 1, 86_400, 86_401]
                .map(Value::from)
                .into_iter()
                .chain([json!(-1), json!(1.5), json!(28.0), json!("1")])
                .collect(),
            _ => vec![json!(1)],
        }
    }

    /// An object of a few of these members; most of the time with `likely` in it.
    fn object(known: &[&'static str], likely: Value) -> impl Strategy<Value = Value> + use<> {
        let members: Vec<_> = known
            .iter()
            .chain(&["unknown"])
            .map(|name| {
                let values = prop_oneof![Just(Value::Null), prop::sample::select(values(name))];
                (Just(*name), prop::option::weighted(0.15, values))
            })
            .collect();
        (members, prop::bool::weighted(0.8)).prop_map(move |(members, with)| {
            let likely = likely.as_object().filter(|_| with).cloned().unwrap_or_default();
            let mut object: Map<String, Value> = likely;
            object.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            Value::Object(object)
        })
    }

    proptest! {
        /// What the parser takes and what the schema takes is the same.
        #[test]
        fn the_schema_and_the_parser_agree(
            mut body in object(&KNOWN[..KNOWN.len() - 1], json!({"prompt": "q", "userId": ID})),
            user in prop::option::of(object(&PROFILE, json!({"externalId": "dana"}))),
            with_id in any::<bool>(),
        ) {
            if let Some(user) = user {
                body["user"] = user;
                if !with_id {
                    body.as_object_mut().unwrap().remove("userId");
                }
            }
            let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
            let fits = options.build(&schema()).unwrap().is_valid(&body);
            let defaults = Defaults { model_id: ID.parse().ok(), ..Defaults::default() };
            let taken = Body::parse(body.to_string().as_bytes(), defaults);
            prop_assert_eq!(fits, taken.is_ok(), "{} {:?}", body, taken.err());
        }
    }
}
