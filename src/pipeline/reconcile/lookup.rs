//! Looks in Omni's conversations for the job that a create of unknown outcome may have left behind.

use jiff::Timestamp;
use uuid::Uuid;

use super::pace::since;
use super::run::Reconciler;
use super::sighting::Sighting;
use crate::model::Prompt;
use crate::omni::{ConversationHead, Message, OmniError};
use crate::pipeline::directory::Known;
use crate::pipeline::keyring::{Halt, Permit};
use crate::store::record::Record;

/// Pages of a list that are turned.
const MOST_PAGES: usize = 5;
/// Conversations that are read.
const MOST_READ: usize = 10;

/// A job that nobody owns and that may be the prompt's.
pub(super) struct Orphan {
    pub(super) job_id: Uuid,
    pub(super) conversation_id: Uuid,
    pub(super) chat_url: Option<String>,
}

/// What a look-up found.
pub(super) enum Seen {
    /// Exactly one: the prompt's.
    One(Orphan),
    /// None so far.
    None,
    /// More than one, or more than can be read: nobody can tell.
    Unclear,
}

impl Reconciler {
    pub(super) async fn look_up(&self, record: &Record, prompt: &Prompt) -> Result<Seen, Halt> {
        let sent = i64::try_from(since(record)).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let sighting = Sighting { text: &prompt.prompt, sent: sent.unwrap_or(Timestamp::MAX) };
        let known = self.store.omnis_conversation(&record.conversation).await?.and_then(|id| id.parse().ok());
        // Granted together, so that a look-up that begins can end; what few need beyond that goes as what it is: finishing.
        let key_id = record.key_id.as_deref();
        let (mut permit, conversations) = if let Some(id) = known {
            (self.keys.poll(key_id, 1).await?, vec![id])
        } else {
            let user = self.directory.known(&prompt.user, false).await?;
            let permit = self.keys.poll(key_id, 2 + user.requests()).await?;
            match self.opened(&permit, user, &sighting).await? {
                Some(conversations) => (permit, conversations),
                None => return Ok(Seen::Unclear),
            }
        };
        let mut orphans: Vec<Orphan> = Vec::new();
        for (read, conversation_id) in conversations.into_iter().enumerate() {
            if read > 0 {
                permit = self.keys.finish(Some(permit.key().id())).await?;
            }
            let messages = self.omni.conversation(permit.key(), conversation_id).await;
            let messages = match self.keys.heard(&permit, messages).await {
                // Deleted, or not ours to see.
                Err(Halt::Omni(OmniError::Refused { .. })) => continue,
                other => other?,
            };
            for (place, message) in messages.iter().enumerate().filter(|(_, message)| sighting.is(message)) {
                let Some(job_id) = job_of(&messages[place..]) else { return Ok(Seen::Unclear) };
                if self.store.prompt_of_job(&job_id.to_string()).await?.is_none()
                    && orphans.iter().all(|orphan| orphan.job_id != job_id)
                {
                    orphans.push(Orphan { job_id, conversation_id, chat_url: message.omni_chat_url.clone() });
                }
            }
        }
        Ok(match orphans.pop() {
            None => Seen::None,
            Some(orphan) if orphans.is_empty() => Seen::One(orphan),
            Some(_) => Seen::Unclear,
        })
    }

    /// The conversations that the create may have opened; `None` when there are too many.
    async fn opened(
        &self,
        permit: &Permit<'_>,
        user: Known,
        sighting: &Sighting<'_>,
    ) -> Result<Option<Vec<Uuid>>, Halt> {
        let user_id = match user {
            Known::User(user_id, _) => user_id,
            Known::Nobody => return Ok(Some(Vec::new())),
            Known::Ask(asking) => match self.directory.look_up(permit, asking).await? {
                None => return Ok(Some(Vec::new())),
                found => found,
            },
        };
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        let mut further;
        let mut permit = permit;
        for page in 0..MOST_PAGES {
            if page > 0 {
                further = self.keys.finish(Some(permit.key().id())).await?;
                permit = &further;
            }
            let page = self.omni.conversations(permit.key(), user_id, cursor.as_deref()).await;
            let page = self.keys.heard(permit, page).await?;
            let heads: &[ConversationHead] = &page.conversations;
            found.extend(heads.iter().filter(|head| sighting.may_be_in(head)).map(|head| head.id));
            if found.len() > MOST_READ {
                return Ok(None);
            }
            let past = sighting.has_passed(heads);
            match page.next {
                Some(next) if !past => cursor = Some(next),
                _ => return Ok(Some(found)),
            }
        }
        Ok(None)
    }
}

/// The job of the first of these messages: it, or else what was said to it, names one.
fn job_of(messages: &[Message]) -> Option<Uuid> {
    let (asked, answers) = messages.split_first()?;
    asked.job_id.or_else(|| answers.iter().take_while(|message| !message.by_user).find_map(|message| message.job_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_the_job_that_it_or_its_answer_names() {
        let message = |by_user, job: Option<u128>| Message {
            by_user,
            text: String::new(),
            created_at: None,
            job_id: job.map(Uuid::from_u128),
            omni_chat_url: None,
        };
        let job = |messages: &[Message]| job_of(messages).map(|id| id.as_u128());
        assert_eq!(job(&[message(true, Some(1)), message(false, Some(2))]), Some(1));
        assert_eq!(job(&[message(true, None), message(false, None), message(false, Some(2))]), Some(2));
        assert_eq!(job(&[message(true, None), message(true, None), message(false, Some(2))]), None);
        assert_eq!(job(&[message(true, None)]), None);
    }
}
