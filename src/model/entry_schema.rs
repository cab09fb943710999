//! What readers see of an entry, as schemas: its `data`, and the CloudEvent around it in both of its forms.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;
use utoipa::openapi::schema::{Discriminator, KnownFormat, Object, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::EntryType;

/// Schemas by their names.
pub type Named = Vec<(String, RefOr<Schema>)>;

/// An entry of any type, as CloudEvent JSON.
pub struct AnyEvent;

/// The entry that ends a prompt, as CloudEvent JSON.
pub struct TerminalEvent;

/// What `data` has in every entry.
#[derive(ToSchema)]
#[schema(as = EntryData)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read as a schema")]
struct Data {
    prompt_id: Uuid,
    /// The caller's name for it, without the tenant.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    conversation: String,
    /// As the prompt gave it.
    #[schema(value_type = BTreeMap<String, Value>)]
    metadata: Value,
    /// Omni's job, once it is known.
    #[schema(nullable = false)]
    job_id: Option<Uuid>,
    /// Omni's conversation, once it is known.
    #[schema(nullable = false)]
    conversation_id: Option<Uuid>,
    /// Where a person can look at it in Omni, once it is known.
    #[schema(nullable = false)]
    omni_chat_url: Option<String>,
}

/// How far Omni is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read as a schema")]
struct ProgressData {
    #[serde(flatten)]
    data: Data,
    #[schema(inline)]
    progress: Progress,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read as a schema")]
struct Progress {
    /// Grows from entry to entry; some may be left out.
    iteration: u64,
    /// For people.
    #[schema(nullable = false)]
    message: Option<String>,
    #[schema(nullable = false)]
    updated_at: Option<Timestamp>,
}

/// The answer may still come.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read as a schema")]
struct DelayedData {
    #[serde(flatten)]
    data: Data,
    #[schema(inline)]
    reason: DelayReason,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is read as a schema")]
enum DelayReason {
    RetriesExhausted,
    Poison,
    SubmitOutcomeUnknown,
}

/// The answer.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read as a schema")]
struct AnswerData {
    #[serde(flatten)]
    data: Data,
    /// Markdown.
    message: String,
    /// Omni's topic, if any.
    #[schema(nullable = false)]
    topic: Option<String>,
    /// What Omni did, as Omni sent it. An open set.
    #[schema(nullable = false)]
    actions: Option<Vec<Value>>,
    /// An action failed or was cut, or only Omni's summary was left of the result.
    partial: bool,
    #[schema(nullable = false, inline)]
    result_ref: Option<ResultRef>,
}

/// Where the whole result is that is too large for the entry.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read as a schema")]
struct ResultRef {
    /// A key of Redis. `GET /v1/prompts/{id}/result` has the same.
    key: String,
    bytes: u64,
}

/// No answer will come.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read as a schema")]
struct FailedData {
    #[serde(flatten)]
    data: Data,
    #[schema(inline)]
    error: Error,
    /// Why Omni denied it.
    #[schema(nullable = false)]
    reason: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read as a schema")]
struct Error {
    /// An open set: Omni's own codes are among them.
    code: String,
    message: String,
}

impl PartialSchema for AnyEvent {
    fn schema() -> RefOr<Schema> {
        one_of(&EntryType::ALL)
    }
}

impl ToSchema for AnyEvent {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }

    fn schemas(schemas: &mut Named) {
        schemas.extend(EntryType::ALL.map(|kind| (event_name(kind), event(kind).into())));
        schemas.extend(data());
    }
}

impl PartialSchema for TerminalEvent {
    fn schema() -> RefOr<Schema> {
        let ends: Vec<EntryType> = EntryType::ALL.into_iter().filter(|kind| kind.is_terminal()).collect();
        one_of(&ends)
    }
}

impl ToSchema for TerminalEvent {
    fn schemas(schemas: &mut Named) {
        AnyEvent::schemas(schemas);
    }
}

/// The schemas of `data`.
pub fn data() -> Named {
    fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
        (T::name().into_owned(), T::schema())
    }
    vec![named::<Data>(), named::<ProgressData>(), named::<DelayedData>(), named::<AnswerData>(), named::<FailedData>()]
}

/// What the schema of an entry's `data` is called.
pub fn data_name(kind: EntryType) -> Cow<'static, str> {
    match kind {
        EntryType::Accepted | EntryType::Submitted | EntryType::Cancelled | EntryType::Expired => Data::name(),
        EntryType::Progress => ProgressData::name(),
        EntryType::Delayed => DelayedData::name(),
        EntryType::Answer => AnswerData::name(),
        EntryType::Failed => FailedData::name(),
    }
}

/// What the schema of an entry as CloudEvent JSON is called.
pub fn event_name(kind: EntryType) -> String {
    format!("{kind:?}Event")
}

/// An entry as CloudEvent JSON.
pub fn event(kind: EntryType) -> Object {
    let data = Ref::from_schema_name(data_name(kind));
    attributes(kind).property("data", data).required("data").build()
}

/// All attributes but `data`, which have the same form as fields in Redis.
pub fn attributes(kind: EntryType) -> ObjectBuilder {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let one = |value: &str| text().enum_values(Some([value]));
    let id = text().description(Some("The same wherever the entry is found: dedupe on it"));
    let iteration = if kind == EntryType::Progress { ":[0-9]+" } else { "" };
    let subject = text().description(Some("The conversation: `<tenant>/<key>`, or `<key>` without a tenant"));
    let time = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let attributes = [
        ("specversion", one("1.0")),
        ("id", id.pattern(Some(format!("^[0-9a-f-]{{36}}:{}{iteration}$", kind.as_str().replace('.', "\\."))))),
        ("source", text().pattern(Some("^/omni-relay/.+$"))),
        ("type", one(kind.as_str())),
        ("subject", subject.pattern(Some("^([^/]+/)?[A-Za-z0-9._:-]{1,128}$"))),
        ("time", time),
        ("datacontenttype", one("application/json")),
    ];
    let trace =
        text().description(Some("The W3C trace context it was published under, where the relay exports traces"));
    let object = ObjectBuilder::new().description(Some(kind.meaning())).property("traceparent", trace);
    attributes.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

fn one_of(kinds: &[EntryType]) -> RefOr<Schema> {
    let refs = || kinds.iter().map(|kind| (kind.as_str(), Ref::from_schema_name(event_name(*kind))));
    let any = refs().fold(OneOfBuilder::new(), |any, (_, schema)| any.item(schema));
    let by_type = Discriminator::with_mapping("type", refs().map(|(kind, schema)| (kind, schema.ref_location)));
    any.discriminator(Some(by_type)).description(Some("A CloudEvent 1.0; `type` says which.")).into()
}
