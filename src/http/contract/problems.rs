//! The problems that a call may be answered with.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::http::code::Code;
use crate::http::problem::Document;

/// Names a type for `responses(…)` that stands for these lists of codes.
macro_rules! problems {
    ($name:ident: $($codes:expr),+ $(,)?) => {
        pub(super) enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> $crate::http::contract::Responses {
                $crate::http::contract::responses(&[$(&$codes),+])
            }
        }
    };
}

pub(in crate::http) use problems;

/// By status.
pub(in crate::http) type Responses = BTreeMap<String, RefOr<Response>>;

/// One answer for each status, with the codes that it may have.
pub(in crate::http) fn responses(lists: &[&[Code]]) -> Responses {
    let mut by_status = BTreeMap::<StatusCode, BTreeSet<Code>>::new();
    for code in lists.iter().copied().flatten() {
        by_status.entry(code.status()).or_default().insert(*code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.as_u16().to_string(), response(status, &codes).into()))
        .collect()
}

fn response(status: StatusCode, codes: &BTreeSet<Code>) -> Response {
    let names: Vec<String> = codes.iter().map(Code::to_string).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Document::name()))).build();
    let response = ResponseBuilder::new().description(format!("`{}`", names.join("`, `")));
    let response = response.content("application/problem+json", content);
    let header = |schema, text| HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build();
    let response = match status {
        StatusCode::UNAUTHORIZED => response.header("WWW-Authenticate", header(String::schema(), "`Bearer`")),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            response.header("Retry-After", header(u32::schema(), "Seconds after which another try makes sense"))
        }
        _ => response,
    };
    response.build()
}
