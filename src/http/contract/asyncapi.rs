//! The AsyncAPI document: where entries and prompts travel, and what they look like there.
//!
//! The addresses of streams are the keys of Redis, letter by letter. AsyncAPI takes what stands in braces for a
//! parameter, so each has one whose value has the braces too.

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::http::entries::Gap;
use crate::model::EntryType;
use crate::model::entry_schema::{attributes, data, data_name, event, event_name};
use crate::model::prompt_schema;

const KEY: &str = "The conversation: your name for it, or Omni's id";

/// The document of a relay with this namespace.
pub(super) fn document(namespace: &str) -> Value {
    let control = format!("{{{namespace}}}");
    let hash =
        json!({namespace: {"enum": [control], "default": control, "description": "The braces are part of the key"}});
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "omni-relay",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Entries are CloudEvents 1.0. Those of one prompt stand in the order accepted, submitted, \
                progress, delayed, then one of answer, failed, cancelled, expired; one may be missing, only progress \
                comes several times, nothing follows the end. HTTP calls are described in `/openapi.json`.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "redis": {
                "host": "{redis}", "protocol": "redis", "description": "Redis streams",
                "variables": {"redis": {"description": "The Redis in `redis.url`"}},
            },
            "http": {
                "host": "{relay}", "protocol": "http", "description": "Server-sent events",
                "variables": {"relay": {"description": "The relay"}},
            },
        },
        "channels": {
            "conversation": channel(
                &format!("{namespace}:conversation:{{conversation}}"), "redis", "Every entry of a conversation",
                &json!({"conversation": {
                    "description": "`<tenant>/<key>`, or `<key>` without a tenant, in braces",
                    "examples": ["{thread-1}", "{acme/thread-1}"],
                }}),
                &entries(&EntryType::ALL, fields_name),
            ),
            "answers": channel(
                &format!("{control}:answers"), "redis", "What ends prompts, and `omni.delayed`, of all conversations",
                &hash, &entries(&answers(), fields_name),
            ),
            "intake": channel(
                &format!("{control}:intake"), "redis", "Prompts for the relay", &hash,
                &json!({"prompt": {"$ref": "#/components/messages/PromptFields"}}),
            ),
            "events": channel(
                "/v1/conversations/{key}/events", "http", "Every entry of a conversation, as server-sent events",
                &json!({"key": {"description": KEY}}), &with_gap(entries(&EntryType::ALL, event_name)),
            ),
        },
        "operations": {
            "publish": operation("send", "conversation", "Each entry once; `id` is an entry's id in the stream"),
            "publishAnswers": operation("send", "answers", "For consumer groups of your own"),
            "stream": operation("send", "events", "`event` is the entry's type, `id` its id in the stream"),
            "takePrompt": operation("receive", "intake", "Taken in order"),
        },
        "components": {"messages": messages(), "schemas": schemas()},
    })
}

fn channel(address: &str, server: &str, description: &str, parameters: &Value, messages: &Value) -> Value {
    json!({
        "address": address, "description": description, "parameters": parameters, "messages": messages,
        "servers": [{"$ref": format!("#/servers/{server}")}],
    })
}

fn operation(action: &str, channel: &str, description: &str) -> Value {
    json!({"action": action, "channel": {"$ref": format!("#/channels/{channel}")}, "description": description})
}

/// A channel's messages, by the types of entries.
fn entries(kinds: &[EntryType], name: fn(EntryType) -> String) -> Value {
    let refs = kinds
        .iter()
        .map(|kind| (kind.as_str().to_owned(), json!({"$ref": format!("#/components/messages/{}", name(*kind))})));
    Value::Object(refs.collect())
}

fn with_gap(mut messages: Value) -> Value {
    messages["gap"] = json!({"$ref": "#/components/messages/Gap"});
    messages
}

fn answers() -> Vec<EntryType> {
    EntryType::ALL.into_iter().filter(|kind| kind.is_terminal() || *kind == EntryType::Delayed).collect()
}

fn fields_name(kind: EntryType) -> String {
    format!("{kind:?}Fields")
}

fn messages() -> Value {
    let mut messages = Map::new();
    let mut add = |schema: &str, name: &str, summary: &str| {
        let payload = json!({"$ref": format!("#/components/schemas/{schema}")});
        messages.insert(schema.to_owned(), json!({"name": name, "summary": summary, "payload": payload}));
    };
    for kind in EntryType::ALL {
        add(&fields_name(kind), kind.as_str(), kind.meaning());
        add(&event_name(kind), kind.as_str(), kind.meaning());
    }
    add("Gap", "gap", "Comes first when the wanted id is older than everything that is kept");
    add("PromptFields", "prompt", "A prompt for the relay");
    Value::Object(messages)
}

fn schemas() -> Value {
    let mut schemas: Map<String, Value> = data().into_iter().map(|(name, schema)| (name, json!(schema))).collect();
    for kind in EntryType::ALL {
        schemas.insert(event_name(kind), json!(event(kind)));
        schemas.insert(fields_name(kind), fields(attributes(kind), &data_name(kind)));
    }
    schemas.insert("Gap".to_owned(), json!(Gap::schema()));
    let mut prompt = json!(prompt_schema::PromptSchema::schema());
    prompt["allOf"][0]["properties"]["tenant"] = json!({
        "type": ["string", "null"], "minLength": 1, "maxLength": 64,
        "description": "A configured tenant, where callers are configured",
    });
    schemas.insert("Prompt".to_owned(), prompt);
    let trace = ObjectBuilder::new().schema_type(Type::String).description(Some("W3C trace context"));
    let pushed = ObjectBuilder::new().property("traceparent", trace);
    schemas.insert("PromptFields".to_owned(), fields(pushed, "Prompt"));
    Value::Object(schemas)
}

/// An entry as fields of Redis, of which `data` is the text of what this schema says.
fn fields(others: ObjectBuilder, schema: &str) -> Value {
    let mut fields = json!(others.required("data").build());
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    fields["properties"]["data"] =
        json!({"type": "string", "contentMediaType": "application/json", "contentSchema": schema});
    fields
}
