//! Dead letters over HTTP: who sees which, what they look like, what is answered to a decision.

use omni_relay::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{Relay, eventually, pointers, problem, question};

/// Two tenants, and who looks after all of them.
pub(super) async fn relay() -> Relay {
    Relay::with(|sources| {
        sources
            .with("retry.attempts", "2")
            .with("retry.base", "10ms")
            .with("retry.cap", "20ms")
            .with("callers.acme.key", "acme-key")
            .with("callers.acme.tenant", "acme")
            .with("callers.acme.scopes", "prompts,read,ops")
            .with("callers.globex.key", "globex-key")
            .with("callers.globex.tenant", "globex")
            .with("callers.globex.scopes", "prompts,read,ops")
            .with("callers.chat.key", "chat-key")
            .with("callers.chat.tenant", "acme")
            .with("callers.operator.key", "operator-key")
            .with("callers.operator.scopes", "ops")
    })
    .await
}

/// The id of a prompt whose answer could not be fetched.
async fn dead(relay: &Relay, key: &str, conversation: &str) -> String {
    relay.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(2));
    let asked = relay.ask(&question(&json!({"conversation": conversation}))).bearer_auth(key).send().await.unwrap();
    let object: Value = asked.json().await.unwrap();
    let id = object["promptId"].as_str().expect("a prompt").to_owned();
    let path = format!("/v1/dead-letters/{id}");
    eventually("it dies", || async {
        (relay.get(&path).bearer_auth("operator-key").send().await.unwrap().status() == 200).then_some(())
    })
    .await;
    id
}

async fn list(relay: &Relay, key: &str, query: &str) -> Value {
    let answer = relay.get(&format!("/v1/dead-letters{query}")).bearer_auth(key).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{query}");
    answer.json().await.unwrap()
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_letter_has_everything_a_person_needs() {
    let relay = relay().await;
    let id = dead(&relay, "acme-key", "t-1").await;
    let page = list(&relay, "acme-key", "").await;
    assert_eq!(page["nextCursor"], Value::Null);
    let item = &page["items"][0];
    let job = relay.sim.jobs()[0].id.to_string();
    let expected = json!({
        "id": id, "stage": "process", "reason": "retries_exhausted", "error": item["error"], "attempts": 2,
        "firstAt": item["lastAt"], "lastAt": item["lastAt"], "promptId": id, "jobId": job, "conversation": "t-1",
        "tenant": "acme", "fingerprint": item["fingerprint"]
    });
    assert_eq!(*item, expected);
    assert!(item["lastAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());

    let path = format!("/v1/dead-letters/{id}");
    let shown: Value = relay.get(&path).bearer_auth("acme-key").send().await.unwrap().json().await.unwrap();
    for (name, value) in item.as_object().unwrap() {
        assert_eq!(shown[name], *value, "{name}");
    }
    let history = shown["history"].as_array().unwrap();
    assert_eq!(history.len(), 2);
    let times: Vec<jiff::Timestamp> = history.iter().map(|one| one["at"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted() && history.iter().all(|one| one["error"].is_string()), "{shown}");
    let original: Value = serde_json::from_str(shown["original"].as_str().unwrap()).unwrap();
    assert_eq!(original["webhook"]["jobId"], job.as_str());
    assert_eq!(shown.get("originalEncoding"), None);
    relay.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_shown_as_base64() {
    let relay = relay().await;
    let mut redis = relay.redis().await;
    let mut add = redis::cmd("XADD");
    add.arg(format!("{{{}}}:intake", relay.namespace)).arg("*").arg("data").arg(b"\xff\x00{");
    let _: String = add.query_async(&mut redis).await.unwrap();
    let page = eventually("it is kept", || async {
        let page = list(&relay, "operator-key", "?stage=intake").await;
        (!ids(&page).is_empty()).then_some(page)
    })
    .await;
    let path = format!("/v1/dead-letters/{}", ids(&page)[0]);
    let shown: Value = relay.get(&path).bearer_auth("operator-key").send().await.unwrap().json().await.unwrap();
    assert_eq!((&shown["original"], &shown["originalEncoding"]), (&json!("/wB7"), &json!("base64")));
    assert_eq!(ids(&list(&relay, "acme-key", "").await), Vec::<&str>::new(), "nobody's letter is everybody's");
    relay.stop().await;
}

#[tokio::test]
async fn a_decision_is_answered_once_and_told_afterwards() {
    let relay = relay().await;
    let (replayed, discarded) = (dead(&relay, "acme-key", "t-1").await, dead(&relay, "acme-key", "t-2").await);
    let again = format!("/v1/dead-letters/{replayed}/replay");
    let answer = relay.post(&again, "").bearer_auth("acme-key").send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"outcome": "replayed"}));
    let waited = format!("/v1/prompts/{replayed}?wait=10");
    let ended: Value = relay.get(&waited).bearer_auth("acme-key").send().await.unwrap().json().await.unwrap();
    assert_eq!(ended["entry"]["type"], "omni.answer");
    eventually("its end is recorded", || async {
        let answer = relay.post(&again, "").bearer_auth("acme-key").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        (answer.json::<Value>().await.unwrap()["outcome"] == "already_settled").then_some(())
    })
    .await;

    let discard = || relay.delete(&format!("/v1/dead-letters/{discarded}")).bearer_auth("acme-key").send();
    let answer = discard().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"outcome": "discarded"}));
    assert_eq!(discard().await.unwrap().status(), 200);
    let waited = format!("/v1/prompts/{discarded}?wait=10");
    let ended: Value = relay.get(&waited).bearer_auth("acme-key").send().await.unwrap().json().await.unwrap();
    assert_eq!(ended["entry"]["data"]["error"]["code"], "discarded");
    assert_eq!(ids(&list(&relay, "operator-key", "").await), Vec::<&str>::new());

    let mut redis = relay.redis().await;
    let audit = format!("{{{}}}:audit", relay.namespace);
    let entries: redis::streams::StreamRangeReply =
        redis::cmd("XRANGE").arg(audit).arg("-").arg("+").query_async(&mut redis).await.unwrap();
    let said: Vec<[String; 3]> =
        entries.ids.iter().map(|entry| ["who", "what", "id"].map(|name| entry.get(name).unwrap())).collect();
    let expected = [["http:acme", "replay", &replayed], ["http:acme", "discard", &discarded]];
    assert_eq!(said, expected.map(|words| words.map(ToOwned::to_owned)));
    relay.stop().await;
}

#[tokio::test]
async fn tenants_do_not_see_each_others_letters() {
    let relay = relay().await;
    let (acme, globex) = (dead(&relay, "acme-key", "t-1").await, dead(&relay, "globex-key", "t-1").await);
    assert_eq!(ids(&list(&relay, "acme-key", "").await), [acme.as_str()]);
    assert_eq!(ids(&list(&relay, "operator-key", "").await), [globex.as_str(), acme.as_str()]);
    assert_eq!(ids(&list(&relay, "operator-key", "?tenant=acme").await), [acme.as_str()]);
    assert_eq!(ids(&list(&relay, "operator-key", "?tenant=globex&conversation=t-1").await), [globex.as_str()]);
    assert_eq!(ids(&list(&relay, "acme-key", "?tenant=globex").await), Vec::<&str>::new());
    assert_eq!(ids(&list(&relay, "acme-key", "?conversation=t-1").await), [acme.as_str()]);
    assert_eq!(ids(&list(&relay, "acme-key", "?conversation=globex/t-1").await), Vec::<&str>::new());
    let omnis = relay.sim.jobs()[1].conversation_id;
    let of_omni = format!("?conversation={omnis}");
    assert_eq!(ids(&list(&relay, "operator-key", &of_omni).await), [globex.as_str()]);
    assert_eq!(ids(&list(&relay, "acme-key", &of_omni).await), Vec::<&str>::new());

    let path = format!("/v1/dead-letters/{globex}");
    let again = format!("{path}/replay");
    for request in [relay.get(&path), relay.delete(&path), relay.post(&again, "")] {
        let answer = request.bearer_auth("acme-key").send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "dead_letter_not_found");
    }
    // Also once it is closed.
    assert_eq!(relay.delete(&path).bearer_auth("globex-key").send().await.unwrap().status(), 202);
    for request in [relay.delete(&path), relay.post(&again, "")] {
        problem(request.bearer_auth("acme-key").send().await.unwrap(), 404).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn only_operators_touch_letters() {
    let relay = relay().await;
    let id = dead(&relay, "acme-key", "t-1").await;
    let path = format!("/v1/dead-letters/{id}");
    let again = format!("{path}/replay");
    let calls = || [relay.get("/v1/dead-letters"), relay.get(&path), relay.delete(&path), relay.post(&again, "")];
    for request in calls() {
        let answer = request.bearer_auth("chat-key").send().await.unwrap();
        assert_eq!(problem(answer, 403).await["code"], "missing_scope");
    }
    for request in calls() {
        problem(request.send().await.unwrap(), 401).await;
    }
    let cancel = format!("/v1/prompts/{id}/cancel");
    problem(relay.post(&cancel, "").bearer_auth("operator-key").send().await.unwrap(), 403).await;
    problem(relay.post(&cancel, "").bearer_auth("globex-key").send().await.unwrap(), 404).await;
    let answer = relay.post(&cancel, "").bearer_auth("chat-key").send().await.unwrap();
    // Its end may be out by the time of the answer.
    assert!([200, 202].contains(&answer.status().as_u16()), "{}", answer.status());
    let waited = format!("/v1/prompts/{id}?wait=10");
    let ended: Value = relay.get(&waited).bearer_auth("chat-key").send().await.unwrap().json().await.unwrap();
    assert_eq!(ended["entry"]["type"], "omni.cancelled");
    relay.stop().await;
}

#[tokio::test]
async fn pages_follow_each_other_and_wrong_queries_are_told() {
    let relay = relay().await;
    let mut all = Vec::new();
    for n in 0..3 {
        all.insert(0, dead(&relay, "acme-key", &format!("t-{n}")).await);
    }
    let first = list(&relay, "acme-key", "?limit=2").await;
    assert_eq!(ids(&first), [all[0].as_str(), all[1].as_str()]);
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let rest = list(&relay, "acme-key", &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!((ids(&rest), &rest["nextCursor"]), (vec![all[2].as_str()], &Value::Null));
    let at = first["items"][1]["lastAt"].as_str().unwrap();
    assert_eq!(ids(&list(&relay, "acme-key", &format!("?until={at}")).await), [all[2].as_str()]);
    assert_eq!(ids(&list(&relay, "acme-key", &format!("?since={at}")).await), [all[0].as_str(), all[1].as_str()]);
    let item = &first["items"][0];
    for query in [
        format!("?promptId={}", all[0]),
        format!("?jobId={}", item["jobId"].as_str().unwrap()),
        "?conversation=t-2".to_owned(),
    ] {
        assert_eq!(ids(&list(&relay, "acme-key", &query).await), [all[0].as_str()], "{query}");
    }
    let fingerprint =
        format!("?fingerprint={}&reason=retries_exhausted&stage=process", item["fingerprint"].as_str().unwrap());
    assert_eq!(ids(&list(&relay, "acme-key", &fingerprint).await).len(), 3);
    let word: String = item["error"].as_str().unwrap().chars().take(4).collect::<String>().to_uppercase();
    assert_eq!(ids(&list(&relay, "acme-key", &format!("?text={word}")).await).len(), 3);
    assert_eq!(ids(&list(&relay, "acme-key", "?text=no+such+text").await).len(), 0);
    let wrong = relay.get("/v1/dead-letters?limit=0&since=now&reson=poison&stage=x").bearer_auth("acme-key");
    let found = problem(wrong.send().await.unwrap(), 422).await;
    assert_eq!(pointers(&found), ["/limit", "/reson", "/since", "/stage"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_letter_is_changed_before_it_goes_back() {
    let relay = relay().await;
    let id = dead(&relay, "acme-key", "t-1").await;
    let path = format!("/v1/dead-letters/{id}/replay");
    let send = |body: &str| relay.post(&path, body.to_owned()).bearer_auth("acme-key").send();
    for (body, status, code, wrong) in [
        ("{", 400, "malformed_json", vec![]),
        (r#"{"edit": {}}"#, 422, "invalid_prompt", vec!["/edit"]),
        (r#"{"edti": {"prompt": "q"}}"#, 422, "invalid_prompt", vec!["/edti"]),
        (r#"{"edit": {"prompt": "q"}}"#, 409, "not_editable", vec![]),
    ] {
        let refused = problem(send(body).await.unwrap(), status).await;
        let named = refused.get("errors").map(|_| pointers(&refused)).unwrap_or_default();
        assert_eq!((&refused["code"], named), (&json!(code), wrong), "{body}");
    }
    let mut redis = relay.redis().await;
    let pushed = json!({"tenant": "acme", "conversation": "t-2", "prompt": ""}).to_string();
    let mut add = redis::cmd("XADD");
    add.arg(format!("{{{}}}:intake", relay.namespace)).arg("*").arg("data").arg(pushed);
    let _: String = add.query_async(&mut redis).await.unwrap();
    let letter = eventually("it is refused", || async {
        let page = list(&relay, "acme-key", "?stage=intake").await;
        ids(&page).first().map(|id| (*id).to_owned())
    })
    .await;
    let path = format!("/v1/dead-letters/{letter}/replay");
    let wrong = relay.post(&path, r#"{"edit": {"prompt": 1}}"#).bearer_auth("acme-key").send().await.unwrap();
    assert!(pointers(&problem(wrong, 422).await).contains(&"/edit/prompt"));
    let whole = json!({"edit": question(&json!({"conversation": "t-2"}))});
    let taken = relay.post(&path, whole.to_string()).bearer_auth("acme-key").send().await.unwrap();
    assert_eq!((taken.status().as_u16(), taken.json::<Value>().await.unwrap()), (202, json!({"outcome": "replayed"})));
    eventually("it is asked", || async { (relay.sim.jobs().len() == 2).then_some(()) }).await;
    assert_eq!(list(&relay, "acme-key", "?stage=intake").await["items"], json!([]));
    relay.stop().await;
}
