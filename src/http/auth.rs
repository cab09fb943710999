//! Who asks, and what they may do. A handler's argument [`Authorized`] is the proof that its scope was checked.

use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use uuid::Uuid;

use super::Own;
use super::code::Code;
use super::problem::Problem;
use crate::config::{Caller, Callers, Scope};
use crate::model::{Conversation, Tenant};

/// What a request without good credentials is told to bring.
pub(super) const BEARER: HeaderValue = HeaderValue::from_static("Bearer");

/// What whoever calls with a key may be told.
pub(super) const PROBLEMS: [Code; 4] = [Code::Unauthorized, Code::MissingScope, Code::CrossSite, Code::TooManyAttempts];

/// A scope as a type.
pub(super) trait Need {
    const SCOPE: Scope;
}

/// Submitting prompts.
pub(super) struct Prompts;

/// Reading prompts and conversations.
pub(super) struct Read;

/// Operating.
pub(super) struct Ops;

/// Acting for users through the MCP gateway.
pub(super) struct Mcp;

impl Need for Mcp {
    const SCOPE: Scope = Scope::Mcp;
}

impl Need for Ops {
    const SCOPE: Scope = Scope::Ops;
}

impl Need for Prompts {
    const SCOPE: Scope = Scope::Prompts;
}

impl Need for Read {
    const SCOPE: Scope = Scope::Read;
}

/// A caller whose key has the scope `N`. Where no callers are configured (on loopback only), everybody is the operator.
pub(super) struct Authorized<N> {
    pub(super) access: Access,
    need: PhantomData<N>,
}

/// Whose prompts and conversations a caller reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    /// The caller's own tenant; the empty one for an operator's caller.
    pub(super) tenant: Tenant,
    everybody: bool,
    /// The caller's name in the configuration.
    caller: Option<String>,
}

impl Access {
    /// Of somebody who may see everything.
    pub(super) fn of_operator() -> Self {
        Self { tenant: Tenant::default(), everybody: true, caller: None }
    }

    /// Of a configured caller.
    pub(super) fn of_caller(caller: &Caller) -> Self {
        let everybody = caller.tenant.is_none() && caller.may(Scope::Ops);
        Self { tenant: Tenant::new(caller.tenant.as_deref()), everybody, caller: Some(caller.name.clone()) }
    }

    /// Of whoever had a token made: `None` where that caller is gone, or lacks the scope by now.
    pub(super) fn of_minter(callers: &Callers, name: Option<&str>, scope: Scope) -> Option<Self> {
        match name {
            Some(name) => callers.named(name).filter(|caller| caller.may(scope)).map(Self::of_caller),
            None => callers.is_empty().then(Self::of_operator),
        }
    }

    /// No more of it than what belongs to `tenant`, which it sees.
    pub(super) fn within(self, tenant: Tenant) -> Self {
        Self { tenant, everybody: false, ..self }
    }

    /// The caller's name in the configuration; `None` where nobody is asked for a key.
    pub(super) fn caller(&self) -> Option<&str> {
        self.caller.as_deref()
    }

    /// Who it is, for the audit.
    pub(super) fn who(&self) -> String {
        self.caller.as_ref().map_or_else(|| "http".to_owned(), |name| format!("http:{name}"))
    }

    /// The models and topics that the caller may name; empty: any.
    pub(super) fn limits<'a>(&self, callers: &'a Callers) -> (&'a [Uuid], &'a [String]) {
        let caller = self.caller().and_then(|name| callers.named(name));
        caller.map_or((&[], &[]), |caller| (&caller.models, &caller.topics))
    }

    /// Refuses a caller who does not see all tenants: what it asks for is everybody's.
    pub(super) fn of_everybody(&self) -> Result<(), Problem> {
        let detail = "only a caller without a tenant may do this";
        if self.everybody { Ok(()) } else { Err(Problem::new(Code::OperatorsOnly, detail)) }
    }

    /// Whether the caller may know what belongs to this tenant.
    pub(super) fn sees_tenant(&self, tenant: &Tenant) -> bool {
        self.everybody || *tenant == self.tenant
    }

    /// The tenant whose letters a caller lists that asks for `wanted`: `Err` where it may see none of them, `Ok(None)`
    /// for all tenants.
    pub(super) fn letters_of(&self, wanted: Option<Tenant>) -> Result<Option<Tenant>, ()> {
        match wanted {
            Some(tenant) if !self.sees_tenant(&tenant) => Err(()),
            Some(tenant) => Ok(Some(tenant)),
            None if self.everybody => Ok(None),
            None => Ok(Some(self.tenant.clone())),
        }
    }

    /// Whether the caller may know that this conversation exists.
    pub(super) fn sees(&self, conversation: &Conversation) -> bool {
        self.sees_tenant(&conversation.tenant())
    }

    /// The conversation that the caller means by `name`: its own, or for who sees all tenants any by its full name.
    pub(super) fn conversation(&self, name: &str) -> Option<Conversation> {
        Conversation::new(&self.tenant, name).or_else(|| Conversation::from_full(name).filter(|found| self.sees(found)))
    }

    /// The name by which [`Access::conversation`] finds it again, as a segment of a path.
    pub(super) fn segment(&self, conversation: &Conversation) -> String {
        let own = conversation.tenant() == self.tenant;
        let name = if own { conversation.key() } else { conversation.as_str() };
        name.replace('/', "%2F")
    }
}

impl<N: Need, S: Sync> FromRequestParts<S> for Authorized<N>
where
    Arc<Own>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let own = Arc::<Own>::from_ref(state);
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let hear = |caller: Option<&str>| match peer {
            Some(peer) => own.attempts.hear(peer, caller, Instant::now()),
            None => Ok(()),
        };
        if own.callers.is_empty() {
            from_here(&parts.headers, &own.cors_origins)?;
            if peer.is_some_and(|peer| !peer.to_canonical().is_loopback()) {
                return Err(Problem::new(Code::CrossSite, "without callers only this machine may call"));
            }
        }
        let access = check(&own.callers, bearer(&parts.headers), N::SCOPE, hear)?;
        Ok(Self { access, need: PhantomData })
    }
}

/// `hear` is told of every key that was shown, and whose it is; it may answer for how long none is heard.
pub(super) fn check(
    callers: &Callers,
    key: Option<&str>,
    scope: Scope,
    hear: impl Fn(Option<&str>) -> Result<(), Duration>,
) -> Result<Access, Problem> {
    if callers.is_empty() {
        return Ok(Access::of_operator());
    }
    let caller = key.and_then(|key| callers.authenticate(key));
    if key.is_some() {
        hear(caller.map(|caller| caller.name.as_str())).map_err(too_many)?;
    }
    let Some(caller) = caller else {
        let problem = Problem::new(Code::Unauthorized, "a caller's key is needed as a bearer token");
        return Err(problem.with_header(header::WWW_AUTHENTICATE, BEARER));
    };
    if !caller.may(scope) {
        return Err(Problem::new(Code::MissingScope, "the caller's key lacks the scope for this"));
    }
    Ok(Access::of_caller(caller))
}

pub(super) fn too_many(left: Duration) -> Problem {
    let detail = "too many wrong keys came from this address; try again later";
    let problem = Problem::new(Code::TooManyAttempts, detail);
    problem.with_header(header::RETRY_AFTER, HeaderValue::from(left.as_secs() + 1))
}

/// Where nobody is asked for a key, what a browser sends for a page of another site is turned away, and so is what comes by
/// a name: it may be another site's that was made to lead here.
pub(super) fn from_here(headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let site = |origin: &str| origin.split_once("://").map(|(_, site)| site.to_owned());
    let host = text(header::HOST);
    let known = |origin: &str| allowed.iter().any(|allowed| allowed == origin) || site(origin).as_deref() == host;
    if text(header::ORIGIN).is_none_or(known) && host.is_none_or(is_here) {
        return Ok(());
    }
    Err(Problem::new(Code::CrossSite, "pages of other sites may not call without a key"))
}

/// Whether nobody else can make it lead here: an address, or a name of this machine's own.
fn is_here(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let name = name.to_ascii_lowercase();
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
    name == "localhost" || name.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

/// The one bearer token. Of two, one could be checked and the other believed.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::pipeline::Switch;
    use crate::runtime::{Metrics, Readiness};

    #[tokio::test]
    async fn without_callers_only_this_machine_may_call() {
        let own = Arc::new(Own {
            callers: Callers::default(),
            attempts: Arc::default(),
            cors_origins: Vec::new(),
            switch: Switch::new(Readiness::new().register("operator")),
            readiness: Readiness::new(),
            metrics: Metrics::install().unwrap(),
        });
        for (peer, here) in
            [("127.0.0.1:1", true), ("[::1]:1", true), ("[::ffff:127.0.0.1]:1", true), ("10.0.0.7:1", false)]
        {
            let peer: SocketAddr = peer.parse().unwrap();
            let (mut parts, ()) = Request::post("/drain").extension(ConnectInfo(peer)).body(()).unwrap().into_parts();
            let answer = Authorized::<Ops>::from_request_parts(&mut parts, &own).await;
            assert_eq!(answer.map_err(|problem| problem.code).err(), (!here).then_some(Code::CrossSite), "{peer}");
        }
    }
}
