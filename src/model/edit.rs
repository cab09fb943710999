//! What an operator changes of a dead letter's prompt before it is asked again: a JSON merge patch (RFC 7396) over what its
//! caller sent.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fields::FieldError;
use super::prompt::{Body, Defaults, Invalid, Prompt};

/// What may change of a prompt that was accepted: whose it is, and where it belongs, stays.
const KNOWN: [&str; 7] = ["prompt", "modelId", "topicName", "branchId", "deadlineSeconds", "progress", "metadata"];

/// A patch that changes something.
#[derive(Clone)]
pub struct Edit(Map<String, Value>);

impl Edit {
    /// Takes a patch.
    pub fn new(patch: Value) -> Result<Self, Invalid> {
        match patch {
            Value::Object(patch) if !patch.is_empty() => Ok(Self(patch)),
            _ => {
                let error = FieldError::whole("must be an object with the members that change");
                Err(Invalid::Fields(vec![error]))
            }
        }
    }

    /// The names of what changes.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// An accepted prompt and its metadata, changed. Of the lists in `defaults` counts what the patch names.
    pub fn prompt(
        &self,
        before: &Prompt,
        metadata: &Map<String, Value>,
        defaults: Defaults<'_>,
    ) -> Result<(Prompt, Map<String, Value>), Invalid> {
        let (known, others): (Map<String, Value>, Map<String, Value>) =
            self.0.clone().into_iter().partition(|(name, _)| KNOWN.contains(&name.as_str()));
        let detail = format!("cannot be changed; what can is {}", KNOWN.join(", "));
        let others: Vec<_> = others.keys().map(|name| FieldError::at("", name, detail.as_str())).collect();
        let mut body = json!({
            "prompt": before.prompt,
            "modelId": before.model_id,
            "topicName": before.topic_name,
            "branchId": before.branch_id,
            "deadlineSeconds": before.deadline_seconds,
            "progress": before.progress,
            "metadata": metadata,
        });
        merge(&mut body, Value::Object(known));
        let body =
            Body::parse(body.to_string().as_bytes(), Defaults { run_as_key_owner: true, ..self.lists(defaults) });
        let body = all(others, body)?;
        let prompt = Prompt { user: before.user.clone(), attached: before.attached, ..body.prompt };
        Ok((prompt, body.metadata))
    }

    /// A pushed prompt that was not accepted, changed. Bytes that are no object count as one without members. What the
    /// configuration would add is left to the intake.
    pub fn pushed(&self, before: &[u8], defaults: Defaults<'_>) -> Result<Vec<u8>, Invalid> {
        let mut known = self.0.clone();
        let tenant = known.remove("tenant").map(|_| FieldError::at("", "tenant", "cannot be changed"));
        let mut data = serde_json::from_slice(before).unwrap_or(Value::Null);
        merge(&mut data, Value::Object(known));
        let bytes = data.to_string().into_bytes();
        let added = Defaults {
            model_id: Some(Uuid::nil()),
            run_as_key_owner: true,
            names_tenant: true,
            ..self.lists(defaults)
        };
        all(Vec::from_iter(tenant), Body::parse(&bytes, added))?;
        Ok(bytes)
    }

    fn lists<'a>(&self, defaults: Defaults<'a>) -> Defaults<'a> {
        let models = if self.0.contains_key("modelId") { defaults.models } else { &[] };
        let topics = if self.0.contains_key("topicName") { defaults.topics } else { &[] };
        Defaults { models, topics, ..Defaults::default() }
    }
}

/// What was read, unless something is wrong; then all of it.
fn all(mut errors: Vec<FieldError>, read: Result<Body, Invalid>) -> Result<Body, Invalid> {
    match read {
        Ok(body) if errors.is_empty() => Ok(body),
        Err(Invalid::Fields(more)) => {
            errors.extend(more);
            Err(Invalid::Fields(errors))
        }
        Ok(_) => Err(Invalid::Fields(errors)),
        Err(other) => Err(other),
    }
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, change) in patch {
        if change.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(patch: Value) -> Edit {
        Edit::new(patch).unwrap()
    }

    fn prompt() -> (Prompt, Map<String, Value>) {
        let body = json!({"prompt": "revenue?", "modelId": Uuid::from_u128(1), "topicName": "orders",
                          "user": {"externalId": "ada"}, "metadata": {"a": {"b": 1, "c": 2}}});
        let body = Body::parse(body.to_string().as_bytes(), Defaults::default()).unwrap();
        (body.prompt, body.metadata)
    }

    #[test]
    fn what_the_patch_names_changes_and_the_rest_stays() {
        let (before, metadata) = prompt();
        let patch = json!({"prompt": "revenue by year?", "topicName": null, "metadata": {"a": {"b": null}, "d": [3]}});
        let (after, changed) = edit(patch.clone()).prompt(&before, &metadata, Defaults::default()).unwrap();
        assert_eq!((after.prompt.as_str(), after.topic_name), ("revenue by year?", None));
        assert_eq!((after.model_id, after.user), (before.model_id, before.user));
        assert_eq!(Value::Object(changed), json!({"a": {"c": 2}, "d": [3]}));
        assert_eq!(edit(patch).names(), ["metadata", "prompt", "topicName"]);
    }

    #[test]
    fn what_no_prompt_may_be_is_told() {
        let (before, metadata) = prompt();
        let pointers = |patch: Value, defaults: Defaults<'_>| match edit(patch).prompt(&before, &metadata, defaults) {
            Err(Invalid::Fields(errors)) => errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>(),
            _ => panic!("it is taken"),
        };
        assert_eq!(
            pointers(json!({"prompt": "", "deadlineSeconds": 0}), Defaults::default()),
            ["/prompt", "/deadlineSeconds"]
        );
        assert_eq!(pointers(json!({"user": {"externalId": "eve"}}), Defaults::default()), ["/user"]);
        assert_eq!(
            pointers(json!({"user": {}, "conversation": "c", "prompt": ""}), Defaults::default()),
            ["/conversation", "/user", "/prompt"]
        );
        let models = [Uuid::from_u128(7)];
        let listed = Defaults { models: &models, ..Defaults::default() };
        assert_eq!(pointers(json!({"modelId": Uuid::from_u128(8)}), listed), ["/modelId"]);
        assert!(edit(json!({"prompt": "q"})).prompt(&before, &metadata, listed).is_ok(), "it names no model");
        for nothing in [json!({}), json!([]), json!("x"), Value::Null] {
            assert!(Edit::new(nothing).is_err());
        }
    }

    #[test]
    fn what_was_pushed_becomes_a_prompt_of_the_same_tenant() {
        let pushed = br#"{"tenant": "acme", "prompt": "", "userId": "nobody"}"#;
        let patch = edit(json!({"prompt": "q", "userId": Uuid::from_u128(2)}));
        let after: Value = serde_json::from_slice(&patch.pushed(pushed, Defaults::default()).unwrap()).unwrap();
        assert_eq!(after, json!({"tenant": "acme", "prompt": "q", "userId": Uuid::from_u128(2)}));
        assert!(patch.pushed(b"\xff{", Defaults::default()).is_ok());
        assert!(edit(json!({"prompt": "q"})).pushed(pushed, Defaults::default()).is_err(), "the user is still wrong");
        assert!(edit(json!({"tenant": "globex"})).pushed(pushed, Defaults::default()).is_err());
    }
}
