//! What a prompt says of its user besides the id: enough to create the user, or not.

use serde_json::{Map, Value};

/// Any of these, beside the name, says what the user may see.
const RIGHTS: [&str; 4] = ["groups", "userAttributes", "connectionRoles", "modelRoles"];
/// Longest name of an entity, in characters.
const MAX_ENTITY: usize = 64;

/// Whether a user may be created from it: a name, and what the user may see.
pub fn is_full(profile: &Map<String, Value>) -> bool {
    name(profile).is_some() && RIGHTS.iter().any(|right| profile.get(*right).is_some_and(says_something))
}

/// The user's name, where there is one.
pub fn name(profile: &Map<String, Value>) -> Option<&str> {
    profile.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())
}

/// What would be right, where a member has the wrong form. Whether groups, roles and attributes exist is for Omni to say.
pub(super) fn wrong(member: &str, value: &Value) -> Option<&'static str> {
    let (right, expected) = match member {
        "groups" => (value.as_array().is_some_and(|all| all.iter().all(Value::is_string)), "must be a list of strings"),
        "connectionRoles" | "modelRoles" => {
            (value.as_object().is_some_and(|all| all.values().all(Value::is_string)), "must be an object of strings")
        }
        "userAttributes" => (value.is_object(), "must be an object"),
        "entity" => (
            value.as_str().is_some_and(|name| (1..=MAX_ENTITY).contains(&name.chars().count())),
            "must be a string of 1 to 64 characters",
        ),
        _ => (value.as_str().is_some_and(|text| !text.is_empty()), "must be a string that is not empty"),
    };
    (!right).then_some(expected)
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_full_profile_is_a_name_and_something_that_the_user_may_see() {
        let full = |value: Value| is_full(value.as_object().unwrap());
        for rights in [
            json!({"groups": ["sales"]}),
            json!({"userAttributes": {"region": "emea"}}),
            json!({"connectionRoles": {"c": "QUERIER"}}),
            json!({"modelRoles": {"m": "QUERIER"}}),
        ] {
            assert!(!full(rights.clone()), "{rights}");
            let mut named = rights;
            named["name"] = "Ada".into();
            assert!(full(named.clone()), "{named}");
            named["name"] = "".into();
            assert!(!full(named.clone()), "{named}");
        }
        assert!(!full(json!({"name": "Ada", "email": "ada@example.com", "entity": "acme"})));
        assert!(!full(json!({"name": "Ada", "groups": [], "userAttributes": {}})));
    }

    #[test]
    fn members_have_the_form_that_omni_takes() {
        for (member, right, no) in [
            ("name", json!("Ada"), json!("")),
            ("email", json!("a@b.example"), json!(1)),
            ("groups", json!(["a"]), json!(["a", 1])),
            ("userAttributes", json!({"a": [1, "2"]}), json!([1])),
            ("connectionRoles", json!({"c": "QUERIER"}), json!({"c": 1})),
            ("modelRoles", json!({}), json!("QUERIER")),
            ("entity", json!("e".repeat(64)), json!("e".repeat(65))),
        ] {
            assert_eq!(wrong(member, &right), None, "{member}");
            assert!(wrong(member, &no).is_some(), "{member}");
        }
    }
}
