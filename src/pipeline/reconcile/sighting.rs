//! Whether a message in Omni is the one that a create left behind. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::omni::{ConversationHead, Message};

/// How far Omni's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_secs(2);

/// What a create would have left behind.
pub(super) struct Sighting<'a> {
    /// What was asked.
    pub(super) text: &'a str,
    /// When the create was sent.
    pub(super) sent: Timestamp,
}

impl Sighting<'_> {
    /// Whether a conversation that the create opened may look so; whether it is, its messages tell.
    pub(super) fn may_be_in(&self, head: &ConversationHead) -> bool {
        let begins = |last: &str| {
            let last = last.trim().trim_end_matches('…').trim_end_matches("...");
            self.text.trim().starts_with(last)
        };
        head.created_at.is_none_or(|at| self.after_sending(at)) && head.last_prompt.as_deref().is_none_or(begins)
    }

    /// Whether a page of conversations, and all that follow, is older than the create: where it is seen to go from the latest
    /// change to earlier ones, which nothing promises.
    pub(super) fn has_passed(&self, page: &[ConversationHead]) -> bool {
        let mut times = page.iter().map(|head| head.updated_at);
        let (Some(first), Some(last)) = (times.next().flatten(), times.next_back().flatten()) else { return false };
        first > last && !self.after_sending(last)
    }

    /// Whether the message is the create's.
    pub(super) fn is(&self, message: &Message) -> bool {
        message.by_user
            && message.text.trim() == self.text.trim()
            && message.created_at.is_some_and(|at| self.after_sending(at))
    }

    /// A time without a fraction of a second was cut to it.
    fn after_sending(&self, at: Timestamp) -> bool {
        let sent = self.sent.saturating_sub(SKEW).unwrap_or(self.sent);
        if at.subsec_nanosecond() == 0 { at.as_second() >= sent.as_second() } else { at >= sent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGHTING: Sighting<'static> =
        Sighting { text: "revenue by region?\n", sent: Timestamp::constant(1_000, 500_000_000) };

    fn message(text: &str, at: Timestamp) -> Message {
        Message { by_user: true, text: text.to_owned(), created_at: Some(at), job_id: None, omni_chat_url: None }
    }

    #[test]
    fn only_a_later_message_with_the_same_words_is_it() {
        let at = |second, milli: i32| Timestamp::constant(second, milli * 1_000_000);
        assert!(SIGHTING.is(&message("revenue by region?", at(1_000, 501))));
        assert!(SIGHTING.is(&message("revenue by region?", at(999, 0))), "omni's clock may be a little behind");
        assert!(SIGHTING.is(&message("revenue by region?", at(998, 0))), "a time that was cut to the second");
        assert!(!SIGHTING.is(&message("revenue by region?", at(998, 499))));
        assert!(!SIGHTING.is(&message("revenue by region?", at(997, 0))));
        assert!(!SIGHTING.is(&message("revenue by month?", at(1_001, 0))));
        assert!(!SIGHTING.is(&Message { by_user: false, ..message("revenue by region?", at(1_001, 0)) }));
        assert!(!SIGHTING.is(&Message { created_at: None, ..message("revenue by region?", at(1_001, 0)) }));
    }

    #[test]
    fn a_list_has_passed_only_where_it_is_seen_to_go_back_in_time() {
        let page = |times: &[i64]| -> Vec<ConversationHead> {
            let updated = times.iter().map(|at| Some(Timestamp::constant(*at, 0)));
            let head = |updated_at| ConversationHead {
                id: uuid::Uuid::nil(),
                created_at: None,
                updated_at,
                last_prompt: None,
            };
            updated.map(head).collect()
        };
        assert!(SIGHTING.has_passed(&page(&[1_001, 1_000, 900])));
        assert!(!SIGHTING.has_passed(&page(&[1_003, 1_002, 1_001])));
        assert!(!SIGHTING.has_passed(&page(&[800, 850, 900])), "the oldest first: what is new comes last");
        assert!(!SIGHTING.has_passed(&page(&[900])), "nobody knows which way it goes");
        assert!(!SIGHTING.has_passed(&[]));
    }

    #[test]
    fn a_conversation_is_passed_over_only_where_it_cannot_be_the_one() {
        let head = |created: i64, last: Option<&str>| ConversationHead {
            id: uuid::Uuid::nil(),
            created_at: Some(Timestamp::constant(created, 0)),
            updated_at: None,
            last_prompt: last.map(str::to_owned),
        };
        assert!(SIGHTING.may_be_in(&head(1_001, Some("revenue by region?"))));
        assert!(SIGHTING.may_be_in(&head(1_001, Some("revenue by…"))), "a prompt that was cut for a list");
        assert!(SIGHTING.may_be_in(&ConversationHead { created_at: None, ..head(0, None) }));
        assert!(!SIGHTING.may_be_in(&head(1_001, Some("orders?"))));
        assert!(!SIGHTING.may_be_in(&head(900, Some("revenue by region?"))));
    }
}
