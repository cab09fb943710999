//! Who reads a conversation: a caller with the scope `read`, or whoever shows a token for that one conversation.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use url::form_urlencoded;

use super::Services;
use super::auth::{self, Access, Authorized, Read};
use super::code::Code;
use super::problem::Problem;
use super::standing::{Rights, Standing};
use super::token::{Granted, Purpose, Unfit};
use crate::config::Scope;
use crate::model::Conversation;

/// The parameter of the address that holds a token, for `EventSource`, which sends no headers.
pub(super) const PARAMETER: &str = "token";

/// What whoever reads may be told.
pub(super) const PROBLEMS: [Code; 3] = [Code::BadRequest, Code::InvalidToken, Code::ConversationNotFound];

/// A proof that somebody may read: all that `access` reaches, or the one conversation of a token.
pub(super) struct Reader {
    access: Access,
    only: Option<Conversation>,
    /// The token or key that came along.
    shown: Option<String>,
    /// When the token ends, unix seconds.
    pub(super) expires: Option<u64>,
}

impl FromRequestParts<Services> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Problem> {
        let key = auth::bearer(&parts.headers).map(str::to_owned);
        if let Some(token) = &key {
            if let Some(granted) = granted(services, Purpose::Conversation, token)? {
                return Self::of_token(services, &granted, key);
            }
        } else if let Some(token) = parameter(parts) {
            let tokens = services.tokens.as_ref().ok_or_else(unknown)?;
            return match tokens.read(Purpose::Conversation, &token) {
                Ok(granted) => Self::of_token(services, &granted, Some(token)),
                Err(Unfit::Expired) => Err(expired()),
                Err(Unfit::Unknown) => Err(unknown()),
            };
        }
        let caller = Authorized::<Read>::from_request_parts(parts, services).await?;
        Ok(Self { access: caller.access, only: None, shown: key, expires: None })
    }
}

impl Reader {
    /// Its caller must still be one that may read it.
    fn of_token(services: &Services, granted: &Granted, shown: Option<String>) -> Result<Self, Problem> {
        let conversation = Conversation::from_full(&granted.subject).ok_or_else(unknown)?;
        let access =
            Access::of_minter(&services.own.callers, granted.caller.as_deref(), Scope::Read).ok_or_else(unknown)?;
        if !access.sees(&conversation) {
            return Err(unknown());
        }
        let access = access.within(conversation.tenant());
        Ok(Self { access, only: Some(conversation), shown, expires: Some(granted.expires) })
    }

    /// The right to go on reading.
    pub(super) fn standing(&self, services: &Services, conversation: &Conversation) -> Standing {
        let (shown, conversation) = (self.shown.clone(), conversation.clone());
        Standing::new(&services.rights, move |rights: &Rights| {
            let may = rights.of(shown.as_deref(), Purpose::Conversation, Scope::Read);
            may.is_some_and(|(access, only)| {
                access.sees(&conversation) && only.is_none_or(|only| only == conversation.as_str())
            })
        })
    }

    /// The conversation by its name here, or by Omni's once that is known.
    pub(super) async fn find(&self, services: &Services, name: &str) -> Result<Conversation, Problem> {
        let found = find(services, &self.access, name).await?;
        found.filter(|found| self.only.as_ref().is_none_or(|only| only == found)).ok_or_else(not_found)
    }
}

/// What a bearer token grants. `None` where it was not made here: it may still be a caller's key.
pub(super) fn granted(services: &Services, purpose: Purpose, token: &str) -> Result<Option<Granted>, Problem> {
    match services.tokens.as_ref().map(|tokens| tokens.read(purpose, token)) {
        Some(Ok(granted)) => Ok(Some(granted)),
        Some(Err(Unfit::Expired)) => Err(expired()),
        Some(Err(Unfit::Unknown)) | None => Ok(None),
    }
}

/// The conversation that a caller means by a name.
pub(super) async fn find(services: &Services, access: &Access, name: &str) -> Result<Option<Conversation>, Problem> {
    let (store, own) = (&services.store, access.conversation(name));
    // Ten thousand readers at once: the first of them asked.
    if own.as_ref().is_some_and(|own| services.feeds.has(own)) {
        return Ok(own);
    }
    let named = store.named(own.clone(), name, |bound| access.sees(bound)).await?;
    match named {
        Some(found) if own.as_ref() == Some(&found) => {
            let known = store.knows(&found).await? || store.bounds(&found).await?.is_some();
            Ok(known.then_some(found))
        }
        bound => Ok(bound),
    }
}

fn parameter(parts: &Parts) -> Option<String> {
    let mut pairs = form_urlencoded::parse(parts.uri.query()?.as_bytes());
    pairs.find(|(name, _)| name == PARAMETER).map(|(_, token)| token.into_owned())
}

pub(super) fn not_found() -> Problem {
    Problem::new(Code::ConversationNotFound, "there is no such conversation")
}

fn expired() -> Problem {
    unfit("the token has expired: ask for a new one")
}

pub(super) fn unknown() -> Problem {
    unfit("the token is not good for this")
}

fn unfit(detail: &'static str) -> Problem {
    let problem = Problem::new(Code::InvalidToken, detail);
    problem.with_header(header::WWW_AUTHENTICATE, auth::BEARER)
}
