//! `/mcp`: Omni's MCP server for the agents of callers. Each request is sent on behalf of one user: the one of the agent's token,
//! or whom its caller names. Nothing of what let the agent in goes further.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout_at;
use utoipa::openapi::{Content, RefOr, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses};
use uuid::Uuid;

use super::auth::{self, Access, Authorized, Mcp};
use super::code::Code;
use super::contract::openapi::AGENT;
use super::contract::{Responses, responses};
use super::events::ACCEL_BUFFERING;
use super::middleware::AsItCame;
use super::parameters::wrong;
use super::problem::{self, Problem};
use super::standing::Standing;
use super::token::{Granted, Purpose};
use super::{Services, body, reader, token};
use crate::config::Scope;
use crate::model::user::MAX_EXTERNAL_ID;
use crate::omni::{MCP_SESSION, McpAnswer, McpRequest, OmniError};
use crate::pipeline::keyring::Halt;
use crate::pipeline::mcp::{Agent, Refusal};

const USER: &str = "X-Relay-User";
const MODEL: &str = "X-MCP-Model-ID";
const TOPIC: &str = "X-MCP-Topic-Name";
const MAX_TOPIC: usize = 256;
const LARGEST: usize = 4 * 1024 * 1024;

/// Who acts for a user: a caller with the scope `mcp`, or whoever shows a token for that one user.
pub(super) struct ActingFor {
    access: Access,
    external_id: String,
    /// When the token ends, unix seconds.
    expires: Option<u64>,
}

impl FromRequestParts<Services> for ActingFor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Problem> {
        if ![Method::GET, Method::POST, Method::DELETE].contains(&parts.method) {
            let allow = HeaderValue::from_static("GET,POST,DELETE");
            return Err(Problem::of_status(StatusCode::METHOD_NOT_ALLOWED).with_header(header::ALLOW, allow));
        }
        if let Some(token) = auth::bearer(&parts.headers)
            && let Some(granted) = reader::granted(services, Purpose::Mcp, token)?
        {
            return Self::of_token(services, granted, &parts.headers);
        }
        let Authorized { access, .. } = Authorized::<Mcp>::from_request_parts(parts, services).await?;
        let user = one(&parts.headers, USER)?.filter(|user| (1..=MAX_EXTERNAL_ID).contains(&user.len()));
        let detail = format!("is required: the externalId of the user to act for, of 1 to {MAX_EXTERNAL_ID} bytes");
        let external_id = user.ok_or_else(|| wrong(USER, detail))?.to_owned();
        Ok(Self { access, external_id, expires: None })
    }
}

impl ActingFor {
    /// Its caller must still be one that may act for users.
    fn of_token(services: &Services, granted: Granted, headers: &HeaderMap) -> Result<Self, Problem> {
        let access = Access::of_minter(&services.own.callers, granted.caller.as_deref(), Scope::Mcp);
        let access = access.ok_or_else(reader::unknown)?;
        if one(headers, USER)?.is_some_and(|user| user != granted.subject) {
            return Err(wrong(USER, "must be the token's user, or be left out"));
        }
        Ok(Self { access, external_id: granted.subject, expires: Some(granted.expires) })
    }
}

/// What an agent may be told here; everything else is Omni's own word.
const PROBLEMS: [Code; 7] = [
    Code::InvalidToken,
    Code::InvalidParameter,
    Code::NotAllowed,
    Code::UserNotFound,
    Code::UserAmbiguous,
    Code::UserInactive,
    Code::SessionNotFound,
];

/// Any answer of Omni's, with a body of its own, or a problem.
enum Answers {}

impl IntoResponses for Answers {
    fn responses() -> Responses {
        let mut answers = responses(&[&auth::PROBLEMS, &body::PROBLEMS, &problem::ANY, &problem::OF_OMNI, &PROBLEMS]);
        let omnis = ResponseBuilder::new().description("Omni's answer, as it comes").build();
        answers.extend(["200", "default"].map(|status| (status.to_owned(), omnis.clone().into())));
        for answer in answers.values_mut() {
            if let RefOr::T(answer) = answer {
                answer.content.insert("*/*".to_owned(), Content::default().into());
            }
        }
        answers
    }
}

/// How an agent says whom it acts for, and what to keep to.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is read as documentation")]
struct Given {
    /// Whom the agent acts for, by your id: required with a key
    #[param(nullable = false, rename = "X-Relay-User", min_length = 1, max_length = 512)]
    user: Option<String>,
    /// The model to keep to
    #[param(nullable = false, rename = "X-MCP-Model-ID")]
    model: Option<Uuid>,
    /// The topic to keep to
    #[param(nullable = false, rename = "X-MCP-Topic-Name", min_length = 1, max_length = 256)]
    topic: Option<String>,
    /// The session, where Omni has opened one
    #[param(nullable = false, rename = "Mcp-Session-Id")]
    session: Option<String>,
}

/// Sends a message to Omni's MCP server, on behalf of one user, and passes its answer back as it comes.
#[utoipa::path(
    post, path = "/mcp", tag = AGENT, operation_id = "sendToMcp", security(("key" = ["mcp"]), ("token" = [])), params(Given),
    request_body(content = Object, content_type = "application/json", description = "A message of MCP, at most 4 MiB"),
    responses(Answers),
)]
pub(super) async fn send(caller: ActingFor, services: State<Services>, request: Request) -> Result<Response, Problem> {
    pass(caller, services, request).await
}

/// Listens to what Omni's MCP server has to say by itself.
#[utoipa::path(
    get, path = "/mcp", tag = AGENT, operation_id = "listenToMcp", security(("key" = ["mcp"]), ("token" = [])), params(Given),
    responses(Answers),
)]
pub(super) async fn listen(
    caller: ActingFor,
    services: State<Services>,
    request: Request,
) -> Result<Response, Problem> {
    pass(caller, services, request).await
}

/// Ends a session.
#[utoipa::path(
    delete, path = "/mcp", tag = AGENT, operation_id = "endMcpSession", security(("key" = ["mcp"]), ("token" = [])),
    params(Given), responses(Answers),
)]
pub(super) async fn end(caller: ActingFor, services: State<Services>, request: Request) -> Result<Response, Problem> {
    pass(caller, services, request).await
}

/// Passes a request on, and its answer back as it comes.
async fn pass(caller: ActingFor, State(services): State<Services>, request: Request) -> Result<Response, Problem> {
    let (Parts { method, headers, .. }, payload) = request.into_parts();
    let (model_id, topic) = bounds(&services, &caller.access, &headers)?;
    let session = one(&headers, MCP_SESSION)?.map(str::to_owned);
    let body = match method {
        Method::POST => body::read(&headers, payload, LARGEST).await?,
        _ => Bytes::new(),
    };
    let cut_off = cut_off(&services, &method, &headers, &caller);
    let agent = Agent {
        caller: caller.access.caller().unwrap_or_default().to_owned(),
        tenant: caller.access.tenant,
        external_id: caller.external_id,
    };
    let answer = services.gateway.pass(&agent, McpRequest { method, headers, body, session, model_id, topic }).await?;
    Ok(response(answer, cut_off))
}

/// When an answer ends though Omni goes on: what an agent only listens to at a stop and with its token or its right, what it
/// asked for once a stop can wait no longer.
fn cut_off(
    services: &Services,
    method: &Method,
    headers: &HeaderMap,
    caller: &ActingFor,
) -> impl Future<Output = ()> + Send + 'static {
    let stop = services.stop.clone();
    let listens = method == Method::GET;
    let expires = caller.expires.map(|at| token::end_of(at, &services.clock));
    let (shown, access) = (auth::bearer(headers).map(str::to_owned), caller.access.clone());
    let standing = Standing::new(&services.rights, move |rights| {
        rights.of(shown.as_deref(), Purpose::Mcp, Scope::Mcp).is_some_and(|(now, _)| now == access)
    });
    async move {
        if !listens {
            return stop.hard().await;
        }
        let ended = async {
            tokio::select! {
                () = stop.requested() => {}
                () = standing.gone() => {}
            }
        };
        match expires {
            None => ended.await,
            Some(end) => drop(timeout_at(end, ended).await),
        }
    }
}

/// The answer as it comes, until then.
fn response(answer: McpAnswer, cut_off: impl Future<Output = ()> + Send + 'static) -> Response {
    let (status, headers) = (answer.status, answer.headers.clone());
    let mut response = Body::from_stream(answer.into_body().take_until(Box::pin(cut_off))).into_response();
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response.extensions_mut().insert(AsItCame);
    response
}

/// The model and topic to keep to: what the agent names, where its caller may; else the first of what it may.
fn bounds(
    services: &Services,
    access: &Access,
    headers: &HeaderMap,
) -> Result<(Option<Uuid>, Option<String>), Problem> {
    let (models, topics) = access.limits(&services.own.callers);
    let model_id = match one(headers, MODEL)? {
        Some(id) => Some(Uuid::try_parse(id).map_err(|_| wrong(MODEL, "must be a UUID"))?),
        None => None,
    };
    let topic = one(headers, TOPIC)?.map(str::to_owned);
    if topic.as_ref().is_some_and(|topic| !(1..=MAX_TOPIC).contains(&topic.chars().count())) {
        return Err(wrong(TOPIC, format!("must be of 1 to {MAX_TOPIC} characters")));
    }
    let model_id = allowed(model_id, models, "the caller may not use this model")?;
    Ok((model_id, allowed(topic, topics, "the caller may not use this topic")?))
}

fn allowed<T: Clone + PartialEq>(named: Option<T>, list: &[T], refusal: &'static str) -> Result<Option<T>, Problem> {
    match named {
        None => Ok(list.first().cloned()),
        Some(named) if list.is_empty() || list.contains(&named) => Ok(Some(named)),
        Some(_) => Err(Problem::new(Code::NotAllowed, refusal)),
    }
}

/// A header that may be given once. Of two, one could be checked and the other believed.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|value| std::str::from_utf8(value.as_bytes())), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        _ => Err(wrong(name, "as a header must be given once, as UTF-8")),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let forbidden = |code, detail| Self::new(code, detail);
        match refusal {
            // Not 404: to MCP clients that means another server, or another session.
            Refusal::UnknownUser => forbidden(Code::UserNotFound, "Omni knows nobody under this externalId"),
            Refusal::UnknownSession => Self::new(Code::SessionNotFound, "there is no such session; initialize anew"),
            Refusal::Halt(Halt::Omni(OmniError::AmbiguousUser)) => {
                forbidden(Code::UserAmbiguous, "Omni knows several users under this externalId")
            }
            Refusal::Halt(Halt::Omni(OmniError::InactiveUser)) => {
                forbidden(Code::UserInactive, "Omni's user of this externalId is not active")
            }
            Refusal::Halt(halt) => halt.into(),
        }
    }
}
