//! Holds JSON against Omni's published document in `tests/data/omni/openapi.yaml`, operation by operation.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::described::Described;

static OMNI: LazyLock<Described> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/omni/openapi.yaml");
    let text = std::fs::read_to_string(&path).expect("the document is part of the repository");
    Described::new(serde_yaml_ng::from_str(&text).expect("the document is YAML"))
});

/// Panics unless the operation takes this body. Keys the document does not name fail too: Omni refuses them.
pub(crate) fn check_request(method: &str, path: &str, body: &Value) {
    let what = format!("request body of {method} {}", OMNI.template(path).unwrap_or(path));
    let schema = content_schema(&operation(method, path)["requestBody"], &what);
    OMNI.check(schema, body, &what);
    let named = OMNI.resolve(schema)["properties"].as_object().expect("request bodies are objects with properties");
    let unknown: Vec<&String> =
        body.as_object().into_iter().flatten().map(|(key, _)| key).filter(|key| !named.contains_key(*key)).collect();
    assert!(unknown.is_empty(), "{what}: keys the document does not name: {unknown:?}");
}

/// Panics unless the operation declares this status, and this body for it.
pub(crate) fn check_response(method: &str, path: &str, status: u16, body: &Value) {
    let what = format!("{status} response of {method} {}", OMNI.template(path).unwrap_or(path));
    let response = &operation(method, path)["responses"][status.to_string()];
    assert!(response.is_object(), "{what}: the document does not declare this status");
    if response.get("content").is_some() {
        OMNI.check(content_schema(response, &what), body, &what);
    }
}

/// Whether the operation declares this status.
pub(crate) fn declares(method: &str, path: &str, status: u16) -> bool {
    OMNI.operation(method, path).is_some_and(|operation| operation["responses"][status.to_string()].is_object())
}

/// Panics unless this may be the body of a webhook.
pub(crate) fn check_webhook(body: &Value) {
    OMNI.check(&json!({ "$ref": "#/components/schemas/AiJobWebhookPayload" }), body, "webhook body");
}

fn operation(method: &str, path: &str) -> &'static Value {
    OMNI.operation(method, path).unwrap_or_else(|| panic!("the document has no {method} {path}"))
}

fn content_schema(holder: &'static Value, what: &str) -> &'static Value {
    let content = holder["content"].as_object().unwrap_or_else(|| panic!("{what}: the document declares no body"));
    let media = content.get("application/json").or_else(|| content.values().next());
    &media.unwrap_or_else(|| panic!("{what}: the document declares no media type"))["schema"]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

    fn fails(check: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = std::panic::catch_unwind(check).expect_err("this must be refused");
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    #[test]
    fn a_right_body_passes_and_wrong_ones_say_where() {
        let right = json!({ "modelId": ID, "prompt": "x", "webhookUrl": "https://example.com/hook" });
        check_request("POST", "/api/v1/ai/jobs?userId=1", &right);
        let with = |key: &str, value: Value| {
            let mut body = right.clone();
            body[key] = value;
            fails(move || check_request("POST", "/api/v1/ai/jobs", &body))
        };
        assert!(with("modelId", "no uuid".into()).contains("at `/modelId`"));
        assert!(with("prompt", "".into()).contains("at `/prompt`"));
        assert!(with("webhookUrl", "no url".into()).contains("at `/webhookUrl`"));
        assert!(with("topic", "orders".into()).contains("topic"));
        assert!(with("conversationId", Value::Null).contains("at `/conversationId`"));
    }

    #[test]
    fn responses_are_found_by_template_and_status() {
        let created = json!({ "jobId": ID, "conversationId": ID, "omniChatUrl": "https://acme.omni.example/chat/1" });
        check_response("POST", "/api/v1/ai/jobs", 201, &created);
        check_response(
            "POST",
            &format!("/api/v1/ai/jobs/{ID}/cancel"),
            200,
            &json!({ "jobId": ID, "state": "QUEUED" }),
        );
        let cancel = |status, body: Value| {
            fails(move || check_response("POST", "/api/v1/ai/jobs/{jobId}/cancel", status, &body))
        };
        assert!(cancel(200, json!({ "jobId": ID, "state": "DONE" })).contains("at `/state`"));
        assert!(cancel(418, json!({})).contains("does not declare"));
        assert!(fails(|| check_response("GET", "/api/v1/nothing", 200, &json!({}))).contains("has no GET"));
    }
}
