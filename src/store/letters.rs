//! Reading dead letters: lists by time, and one letter whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use futures_util::future::try_join_all;
use futures_util::try_join;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::delivery::Stream;
use super::script::{Move, script, unexpected, with_keys};
use super::{Store, StoreError};
use crate::model::entry::TRACE;
use crate::model::letter::{Letter, LetterFilter};
use crate::model::{Attempt, Conversation, PromptId, Tenant};

static PAGE: Move = script!("page");

/// Most fields of an entry that are put back with it.
const MOST_FIELDS: usize = 1000;
/// What is looked at per step, and at most per call: a filter that fits few of many answers part of a page.
pub(super) const STEP: usize = 100;
const MOST_LOOKED_AT: usize = 2000;
/// What a list needs of a letter.
const SHOWN: [&str; 12] = [
    "id",
    "stage",
    "reason",
    "error",
    "attempts",
    "firstAt",
    "lastAt",
    "promptId",
    "jobId",
    "conversation",
    "tenant",
    "fingerprint",
];

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Who died last.
    Newest,
    /// Who died first.
    Oldest,
}
use Order::{Newest, Oldest};

/// Behind which letter the next page begins. Written as `<time>.<id>`. They are ordered as letters are, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    at: u64,
    pub(super) id: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, id) = text.split_once('.').filter(|(_, id)| !id.is_empty()).ok_or(())?;
        Ok(Self { at: at.parse().map_err(|_| ())?, id: id.to_owned() })
    }
}

/// Part of a list, newest first.
#[derive(Debug)]
pub struct Page<T> {
    /// What fits. There may be fewer than asked for, even none, while there are more behind the cursor.
    pub items: Vec<T>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// One letter with everything that was kept.
#[derive(Clone)]
pub struct WholeLetter {
    /// What lists show.
    pub letter: Letter,
    /// The bytes that its stage read.
    pub original: Vec<u8>,
    /// Every attempt in time order, those of earlier deaths included.
    pub history: Vec<Attempt>,
    /// The W3C trace that its prompt was accepted under, where that is known.
    pub trace_id: Option<String>,
    /// The entry's fields, where `original` is not all of it.
    fields: Option<Vec<(String, Vec<u8>)>>,
    /// What changes with each death: a move that was decided on this letter fits no later one.
    pub(super) version: (u64, usize),
}

impl WholeLetter {
    /// The fields of the entry that its stage read, as many as a script can be told: first those that count.
    pub fn entry(&self) -> Vec<(String, Vec<u8>)> {
        let field = Stream::of_stage(&self.letter.stage).unwrap_or(Stream::Prompts).field();
        let mut fields = self.fields.clone().unwrap_or_else(|| vec![(field.to_owned(), self.original.clone())]);
        fields.sort_by_key(|(name, _)| name != field && name != TRACE);
        fields.truncate(MOST_FIELDS);
        fields
    }
}

/// One letter as people see it: what lists show, and what it was.
#[derive(Serialize, ToSchema)]
#[schema(as = WholeDeadLetter)]
#[serde(rename_all = "camelCase")]
pub struct LetterDocument<'a> {
    #[serde(flatten)]
    letter: &'a Letter,
    /// The bytes that its stage read.
    #[schema(value_type = String)]
    original: Cow<'a, str>,
    /// `base64` where they are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    original_encoding: Option<&'static str>,
    /// Every attempt, earlier deaths included.
    history: Vec<Failure<'a>>,
    /// The W3C trace that its prompt was accepted under.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_id: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FailedAttempt)]
struct Failure<'a> {
    at: Timestamp,
    error: &'a str,
}

impl Serialize for WholeLetter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let failure =
            |attempt: &'_ Attempt| i64::try_from(attempt.at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let (original, original_encoding) = match std::str::from_utf8(&self.original) {
            Ok(text) => (Cow::Borrowed(text), None),
            Err(_) => (Cow::Owned(BASE64.encode(&self.original)), Some("base64")),
        };
        let history = self.history.iter();
        let history = history.filter_map(|attempt| Some(Failure { at: failure(attempt)?, error: &attempt.error }));
        let (letter, history, trace_id) = (&self.letter, history.collect(), self.trace_id.as_deref());
        LetterDocument { letter, original, original_encoding, history, trace_id }.serialize(serializer)
    }
}

/// A page, as it grows.
pub(super) struct Growing<T> {
    items: Vec<T>,
    /// Behind which the next look begins.
    pub(super) behind: Option<Cursor>,
    limit: usize,
    looks: usize,
}

impl<T> Growing<T> {
    pub(super) const fn new(from: Option<Cursor>, limit: usize) -> Self {
        Self { items: Vec::new(), behind: from, limit, looks: MOST_LOOKED_AT / STEP }
    }

    /// Takes what a look at the next [`STEP`] found; fewer are the last. `Ok`: that was all there is to the page.
    pub(super) fn take(mut self, found: Vec<(Cursor, Option<T>)>) -> Result<Page<T>, Self> {
        let last = found.len() < STEP;
        for (place, item) in found {
            if self.items.len() == self.limit {
                return Ok(Page { items: self.items, next: self.behind });
            }
            self.behind = Some(place);
            self.items.extend(item);
        }
        self.looks -= 1;
        match (last, self.looks) {
            (true, _) => Ok(Page { items: self.items, next: None }),
            (false, 0) => Ok(Page { items: self.items, next: self.behind }),
            _ => Err(self),
        }
    }
}

impl Store {
    /// How many letters are open, and when the one that died first did.
    pub async fn open_letters(&self) -> Result<(u64, Option<Timestamp>), StoreError> {
        let (mut count, mut oldest) = (redis::cmd("ZCARD"), redis::cmd("ZRANGE"));
        count.arg(&self.keys.dead);
        oldest.arg(&self.keys.dead).arg(0).arg(0).arg("WITHSCORES");
        let (count, oldest): (u64, Vec<(String, i64)>) =
            try_join!(self.redis.query(&count), self.redis.query(&oldest))?;
        Ok((count, oldest.first().and_then(|(_, at)| Timestamp::from_millisecond(*at).ok())))
    }

    /// Open letters that fit, newest first. Letters that come, go or die again meanwhile do not shift the others: each
    /// letter that was open all along is on exactly one page.
    pub async fn letters(
        &self,
        filter: &LetterFilter,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Letter>, StoreError> {
        let mut page = Growing::new(from, limit);
        loop {
            let found = self.look_at_letters(filter, Newest, page.behind.as_ref(), STEP).await?;
            page = match page.take(found) {
                Ok(whole) => return Ok(whole),
                Err(growing) => growing,
            };
        }
    }

    /// The next `count` open letters of the filter's time, each with its place, and without those that do not fit. Fewer
    /// are the last.
    pub async fn look_at_letters(
        &self,
        filter: &LetterFilter,
        order: Order,
        behind: Option<&Cursor>,
        count: usize,
    ) -> Result<Vec<(Cursor, Option<Letter>)>, StoreError> {
        let found = self.page(&self.keys.dead, (filter.since, filter.until), order, behind, count).await?;
        let letters = try_join_all(found.iter().map(|place| self.listed(&place.id))).await?;
        let fitting = letters.into_iter().map(|letter| letter.filter(|letter| filter.fits(letter)));
        Ok(found.into_iter().zip(fitting).collect())
    }

    /// The next members of a set by time.
    pub(super) async fn page(
        &self,
        key: &str,
        (since, until): (Option<Timestamp>, Option<Timestamp>),
        order: Order,
        behind: Option<&Cursor>,
        count: usize,
    ) -> Result<Vec<Cursor>, StoreError> {
        let millis = |at: Timestamp| at.as_millisecond().to_string();
        let since = since.map_or_else(|| "-inf".to_owned(), millis);
        let until = until.map_or_else(|| "+inf".to_owned(), millis);
        let (first, last) = match order {
            Newest => (until, since),
            Oldest => (since, until),
        };
        let mut call = with_keys(&PAGE, &[key]);
        call.arg(behind.map_or(first, |cursor| cursor.at.to_string())).arg(last);
        call.arg(behind.map(|cursor| cursor.id.as_str()).unwrap_or_default()).arg(count);
        call.arg(if order == Newest { "newest" } else { "oldest" });
        let words = self.words(&call).await?;
        let place = |pair: &[String]| -> Result<Cursor, StoreError> {
            Ok(Cursor { at: pair[1].parse().map_err(|_| unexpected())?, id: pair[0].clone() })
        };
        words.chunks(2).map(place).collect()
    }

    async fn listed(&self, id: &str) -> Result<Option<Letter>, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.letter(id)).arg(&SHOWN);
        let values: Vec<Option<String>> = self.redis.query(&command).await?;
        let fields: HashMap<&str, String> =
            SHOWN.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(letter(&fields))
    }

    /// An open letter.
    pub async fn letter(&self, id: &str) -> Result<Option<WholeLetter>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.letter(id));
        let mut bytes: HashMap<String, Vec<u8>> = self.redis.query(&command).await?;
        if bytes.contains_key("closed") {
            return Ok(None);
        }
        let original = bytes.remove("original").unwrap_or_default();
        let text: HashMap<&str, String> =
            bytes.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned())).collect();
        let Some(letter) = letter(&text) else { return Ok(None) };
        let history = text.get("history").map(String::as_str).unwrap_or_default();
        Ok(Some(WholeLetter {
            original,
            fields: text.get("fields").and_then(|fields| decode(fields)),
            version: (millis(letter.last_at), history.len()),
            history: attempts(history)?,
            trace_id: None,
            letter,
        }))
    }

    /// Whose letter it is, or was, as long as something is known of it.
    pub async fn owner_of_letter(&self, id: &str) -> Result<Option<Tenant>, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.letter(id)).arg("lastAt").arg("closed").arg("conversation").arg("tenant");
        let known: [Option<String>; 4] = self.redis.query(&command).await?;
        let [last_at, closed, conversation, tenant] = known;
        if last_at.is_some() || closed.is_some() {
            let conversation = conversation.as_deref().and_then(Conversation::from_full);
            return Ok(Some(conversation.map_or_else(|| Tenant::new(tenant.as_deref()), |name| name.tenant())));
        }
        match id.parse::<PromptId>() {
            Ok(id) => Ok(self.record(id).await?.map(|record| record.tenant())),
            Err(_) => Ok(None),
        }
    }
}

/// `None` where there is no letter any more.
fn letter(fields: &HashMap<&str, String>) -> Option<Letter> {
    let text = |name: &str| fields.get(name).filter(|value| !value.is_empty()).cloned();
    let time = |name: &str| Timestamp::from_millisecond(fields.get(name)?.parse().ok()?).ok();
    let conversation = text("conversation").and_then(|name| Conversation::from_full(&name));
    let tenant = conversation.as_ref().map(Conversation::tenant).filter(|tenant| !tenant.is_none());
    Some(Letter {
        id: text("id")?,
        stage: text("stage")?,
        reason: text("reason")?,
        error: text("error").unwrap_or_default(),
        attempts: fields.get("attempts").and_then(|number| number.parse().ok()).unwrap_or_default(),
        first_at: time("firstAt")?,
        last_at: time("lastAt")?,
        prompt_id: text("promptId"),
        job_id: text("jobId"),
        tenant: tenant.map(|tenant| tenant.as_str().to_owned()).or_else(|| text("tenant")),
        conversation,
        fingerprint: text("fingerprint").unwrap_or_default(),
    })
}

/// One JSON array per death, one per line.
pub(super) fn attempts(history: &str) -> Result<Vec<Attempt>, StoreError> {
    let mut all = Vec::new();
    for line in history.lines() {
        let attempts: Vec<Attempt> =
            serde_json::from_str(line).map_err(|_| StoreError::Corrupt { what: "a dead letter" })?;
        all.extend(attempts);
    }
    all.sort_by_key(|attempt| attempt.at);
    Ok(all)
}

fn decode(fields: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let fields: Vec<(String, String)> = serde_json::from_str(fields).ok()?;
    fields.into_iter().map(|(name, value)| Some((name, BASE64.decode(value).ok()?))).collect()
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back() {
        for id in ["0198c0de-0000-7000-8000-000000000001", "process-1700000000000-0", "a.b"] {
            let cursor = Cursor { at: 7, id: id.to_owned() };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for wrong in ["", "7", "7.", "x.y", ".x"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn several_deaths_are_one_history_in_time_order() {
        let history = "[{\"at\":5,\"error\":\"c\"}]\n[{\"at\":1,\"error\":\"a\"},{\"at\":3,\"error\":\"b\"}]";
        let errors: Vec<String> = attempts(history).unwrap().into_iter().map(|attempt| attempt.error).collect();
        assert_eq!(errors, ["a", "b", "c"]);
        assert!(attempts("").unwrap().is_empty());
    }
}
