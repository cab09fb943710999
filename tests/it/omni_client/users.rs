//! How an embed user is found, and when nobody is.

use axum::Json;
use omni_relay::omni::OmniError;
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

async fn find(external_id: &str, rows: Vec<Value>) -> Result<Option<Uuid>, OmniError> {
    let stub = Stub::answering(move |_| page(&rows, 1, &json!(rows.len()))).await;
    stub.omni().find_user(&key(), external_id).await
}

#[tokio::test]
async fn a_user_is_looked_up_by_an_escaped_filter() {
    let external_id = r#"a"b\c d+e&f"#;
    let stub = Stub::answering(move |_| page(&[row(USER, external_id)], 1, &json!("1"))).await;
    assert_eq!(stub.omni().find_user(&key(), external_id).await.unwrap(), Some(USER));
    let seen = stub.only();
    seen.keeps_to_the_contract();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/api/scim/v2/embed/Users"));
    assert_eq!(seen.param("filter"), Some(r#"embedExternalId eq "a\"b\\c d+e&f""#));
    assert_eq!((seen.param("count"), seen.param("startIndex")), (Some("200"), Some("1")));
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
        assert_eq!(stub.omni().find_user(&key(), "wanted").await.unwrap(), Some(Uuid::from_u128(430)));
        let starts: Vec<_> = stub.seen().iter().map(|seen| seen.param("startIndex").unwrap().to_owned()).collect();
        assert_eq!(starts, ["1", "201", "401"]);
    }
    let stub = lister(400, 0, false).await;
    assert_eq!(stub.omni().find_user(&key(), "wanted").await.unwrap(), None);
    assert_eq!(stub.seen().len(), 2);

    let stub = lister(2_500, 2_400, false).await;
    let error = stub.omni().find_user(&key(), "wanted").await.unwrap_err();
    assert!(matches!(error, OmniError::UserListTooLong { seen: 2_000 }), "absence is not proven: {error:?}");
    assert_eq!(stub.seen().len(), 10);
}
