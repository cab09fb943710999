//! What the OpenAPI document has besides the calls, which their handlers document.

use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{HeaderBuilder, OpenApi, RefOr};
use utoipa::{Modify, OpenApi as _};

use crate::http::problem::Document;

/// The readers of this document, as its tags.
pub(in crate::http) const CHAT: &str = "chat service";
pub(in crate::http) const READER: &str = "reader";
pub(in crate::http) const AGENT: &str = "agent";
pub(in crate::http) const OPERATOR: &str = "operator";
pub(in crate::http) const OMNI: &str = "Omni";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "omni-relay",
        description = "Asks Omni Analytics questions on behalf of embed users and delivers every answer once. \
            What readers of Redis and of the event streams see is described in `/asyncapi.json`."
    ),
    servers((url = "/")),
    tags(
        (name = CHAT, description = "Asks, waits, cancels"),
        (name = READER, description = "Follows a conversation"),
        (name = AGENT, description = "Works with Omni's own tools, for one user"),
        (name = OPERATOR, description = "Looks after dead letters, probes, metrics, documents"),
        (name = OMNI, description = "Tells that jobs have ended"),
    ),
    components(schemas(Document)),
    modifiers(&Security)
)]
struct Base;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut OpenApi) {
        let bearer = |text| HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text));
        let schemes = [
            (
                "key",
                SecurityScheme::Http(bearer("A caller's key. Where no callers are configured nobody is asked").build()),
            ),
            ("token", SecurityScheme::Http(bearer("A token for one conversation").bearer_format("JWT").build())),
            (
                "tokenParameter",
                SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
                    "token",
                    "The same, for `EventSource`, which sends no headers",
                ))),
            ),
        ];
        let components = openapi.components.get_or_insert_default();
        components.security_schemes.extend(schemes.map(|(name, scheme)| (name.to_owned(), scheme.into())));
    }
}

/// What is described without a router.
pub(in crate::http) fn base() -> OpenApi {
    Base::openapi()
}

/// What can be done next with an answer's schema: the link, the operation, its parameter and where that stands.
const LINKS: [(&str, &str, &str, &str, &str); 10] = [
    ("PromptObject", "prompt", "getPrompt", "id", "$response.body#/promptId"),
    ("PromptObject", "cancel", "cancelPrompt", "id", "$response.body#/promptId"),
    ("PromptObject", "result", "getResult", "id", "$response.body#/promptId"),
    ("PromptObject", "entries", "listEntries", "key", "$response.body#/conversation"),
    ("PromptObject", "token", "createConversationToken", "key", "$response.body#/conversation"),
    ("DeadLetters", "letter", "getDeadLetter", "id", "$response.body#/items/0/id"),
    ("DeadLetters", "replay", "replayDeadLetter", "id", "$response.body#/items/0/id"),
    ("DeadLetters", "discard", "discardDeadLetter", "id", "$response.body#/items/0/id"),
    ("DeadLetterRun", "run", "getDeadLetterRun", "id", "$response.body#/id"),
    ("DeadLetterRun", "stop", "stopDeadLetterRun", "id", "$response.body#/id"),
];

/// What every answer has: the id of its request, and what follows from its schema.
pub(super) fn complete(openapi: &mut OpenApi) {
    let uuid =
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    let id = HeaderBuilder::new().schema(Some(uuid)).description(Some("The request's id")).build();
    for operation in operations(openapi) {
        for response in operation.responses.responses.values_mut() {
            let RefOr::T(response) = response else { continue };
            response.headers.insert("X-Request-Id".to_owned(), id.clone().into());
            let Some(RefOr::T(content)) = response.content.get("application/json") else { continue };
            let Some(RefOr::Ref(schema)) = &content.schema else { continue };
            let follow = LINKS.iter().filter(|(of, ..)| schema.ref_location.ends_with(&format!("/{of}")));
            response.links.extend(follow.map(|(_, name, operation, parameter, value)| {
                let link = LinkBuilder::new().operation_id(*operation).parameter(*parameter, *value);
                ((*name).to_owned(), link.build().into())
            }));
        }
    }
}

fn operations(openapi: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    let items = openapi.paths.paths.values_mut();
    items.flat_map(|item| [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten())
}
