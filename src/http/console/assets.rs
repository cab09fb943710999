//! Style, script and icon: they come from here. `htmx.min.js` is htmx 4.0.1 as its makers publish it (0BSD).

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::http::code::Code;
use crate::http::problem::Problem;

const FILES: [(&str, &str, &str); 3] = [
    ("console.css", "text/css; charset=utf-8", include_str!("assets/console.css")),
    ("htmx.min.js", "text/javascript; charset=utf-8", include_str!("assets/htmx.min.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// One of them.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text)) => ([(header::CONTENT_TYPE, *kind)], *text).into_response(),
        None => Problem::new(Code::NotFound, "there is nothing at this address").into_response(),
    }
}
