//! How an embed user is found, and when nobody is.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use omni_relay::omni::{EmbedUser, OmniError, SessionPath, UserPage, UserSearch};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{JOB, Stub, USER, key};

fn row(id: Uuid, external_id: &str) -> Value {
    json!({"id": id, "embedExternalId": external_id, "active": true, "userName": "embed-user-1", "schemas": []})
}

fn page(rows: &[Value], start: usize, total: &Value) -> Json<Value> {
    Json(json!({
        "Resources": rows, "itemsPerPage": rows.len(), "startIndex": start, "totalResults": total, "schemas": [],
    }))
}

/// Turns the pages.
async fn find_at(stub: &Stub, external_id: &str) -> Result<Option<Uuid>, OmniError> {
    let mut search = UserSearch::default();
    loop {
        match stub.omni().look_for_user(&key(), external_id, search).await? {
            UserPage::Found(id) => return Ok(Some(id)),
            UserPage::Nobody => return Ok(None),
            UserPage::More(next) | UserPage::Elsewhere(next) => search = next,
        }
    }
}

async fn find(external_id: &str, rows: Vec<Value>) -> Result<Option<Uuid>, OmniError> {
    let stub = Stub::answering(move |_| page(&rows, 1, &json!(rows.len()))).await;
    find_at(&stub, external_id).await
}

#[tokio::test]
async fn a_user_is_looked_up_by_an_escaped_filter() {
    let external_id = r#"a"b\c d+e&f"#;
    let stub = Stub::answering(move |_| page(&[row(USER, external_id)], 1, &json!("1"))).await;
    assert_eq!(find_at(&stub, external_id).await.unwrap(), Some(USER));
    let seen = stub.only();
    seen.keeps_to_the_contract();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/api/scim/v2/embed/Users"));
    assert_eq!(seen.param("filter"), Some(r#"embedExternalId eq "a\"b\\c d+e&f""#));
    assert_eq!((seen.param("count"), seen.param("startIndex")), (Some("200"), Some("1")));
}

#[tokio::test]
async fn an_instance_that_spells_the_path_in_lower_case_is_found_and_remembered() {
    let stub = Stub::answering(|seen| match seen.path.as_str() {
        "/api/scim/v2/embed/users" => page(&[row(USER, "user-123")], 1, &json!(1)).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let omni = stub.omni();
    let look = async |search| omni.look_for_user(&key(), "user-123", search).await.unwrap();
    // Two at a time, step by step.
    let UserPage::Elsewhere(other) = look(UserSearch::default()).await else { panic!("the path is known") };
    let UserPage::Elsewhere(second) = look(UserSearch::default()).await else { panic!("the path is known") };
    assert_eq!([look(other).await, look(second).await], [UserPage::Found(USER); 2]);
    assert_eq!(look(UserSearch::default()).await, UserPage::Found(USER), "at once");
}

#[tokio::test]
async fn only_the_very_same_external_id_is_the_user() {
    let other = Uuid::from_u128(1);
    let rows = vec![row(other, "User-123"), row(other, "user-1234"), json!({"id": other}), row(USER, "user-123")];
    assert_eq!(find("user-123", rows.clone()).await.unwrap(), Some(USER));
    assert_eq!(find("USER-123", rows).await.unwrap(), None);
    assert_eq!(find("user-123", vec![]).await.unwrap(), None);
}

#[tokio::test]
async fn a_user_that_is_not_one_active_user_is_refused() {
    let mut inactive = row(USER, "user-123");
    inactive["active"] = json!(false);
    let error = find("user-123", vec![inactive]).await.unwrap_err();
    assert!(matches!(error, OmniError::InactiveUser), "{error:?}");

    let error = find("user-123", vec![row(USER, "user-123"), row(JOB, "user-123")]).await.unwrap_err();
    assert!(matches!(error, OmniError::AmbiguousUser), "{error:?}");

    let twice = vec![row(USER, "user-123"), row(USER, "user-123")];
    assert_eq!(find("user-123", twice).await.unwrap(), Some(USER));
}

/// An Omni that ignores the filter and lists `total` users, the wanted one at `place` (from 1).
async fn lister(total: usize, place: usize, as_text: bool) -> Stub {
    Stub::answering(move |seen| {
        let number = |name| seen.param(name).unwrap().parse::<usize>().unwrap();
        let (start, count) = (number("startIndex"), number("count"));
        let rows: Vec<_> = (start..=total.min(start + count - 1))
            .map(|at| row(Uuid::from_u128(at as u128), &if at == place { "wanted".into() } else { format!("u{at}") }))
            .collect();
        page(&rows, start, &if as_text { json!(total.to_string()) } else { json!(total) })
    })
    .await
}

#[tokio::test]
async fn where_the_filter_is_ignored_the_pages_are_turned() {
    for as_text in [false, true] {
        let stub = lister(450, 430, as_text).await;
        assert_eq!(find_at(&stub, "wanted").await.unwrap(), Some(Uuid::from_u128(430)));
        let starts: Vec<_> = stub.seen().iter().map(|seen| seen.param("startIndex").unwrap().to_owned()).collect();
        assert_eq!(starts, ["1", "201", "401"]);
    }
    let stub = lister(400, 0, false).await;
    assert_eq!(find_at(&stub, "wanted").await.unwrap(), None);
    assert_eq!(stub.seen().len(), 2);

    let stub = lister(2_500, 2_400, false).await;
    let error = find_at(&stub, "wanted").await.unwrap_err();
    assert!(matches!(error, OmniError::UserListTooLong { seen: 2_000 }), "absence is not proven: {error:?}");
    assert_eq!(stub.seen().len(), 10);
}

#[tokio::test]
async fn a_user_is_made_with_all_that_is_said_and_a_content_path() {
    let profile = json!({"email": "ada@example.com", "groups": ["sales"], "userAttributes": {"region": ["emea", 1]},
                         "connectionRoles": {"c": "QUERIER"}, "modelRoles": {"m": "QUERIER"}, "entity": "acme"});
    for (path, at) in [(SessionPath::V1, "v1"), (SessionPath::Unstable, "unstable")] {
        let stub = Stub::answering(|_| Json(json!({"sessionId": "s-1"}))).await;
        let user = EmbedUser { external_id: "user-123", name: "Ada", others: profile.as_object().unwrap() };
        stub.omni().generate_session(&key(), path, user).await.unwrap();
        assert!(!format!("{user:?}").contains("Ada"));
        let seen = stub.only();
        seen.keeps_to_the_contract();
        assert_eq!((seen.method.as_str(), seen.path), ("POST", format!("/api/{at}/embed/sso/generate-session")));
        let mut expected = profile.clone();
        for (name, value) in [("externalId", "user-123"), ("name", "Ada"), ("contentPath", "/my")] {
            expected[name] = value.into();
        }
        assert_eq!(serde_json::from_slice::<Value>(&stub.only().body).unwrap(), expected);
    }
}
