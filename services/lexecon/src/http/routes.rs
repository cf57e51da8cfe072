//! The one table of operations: the router and the OpenAPI document are both made from it.
//!
//! Paths, methods, parameters and bodies stand at the handlers (`#[utoipa::path]`); here stands only which there are.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on, post};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};

use super::app::App;
use super::problem::{Code, Problem};
use super::{dead_letters, decisions, edge, health, ledger, lookups, outcomes, policies, statistics};

/// Stands for every path that is not in the table.
pub const UNMATCHED: &str = "unmatched";

macro_rules! operations {
    ($($module:ident::$handler:ident,)*) => {
        #[derive(OpenApi)]
        #[openapi(paths($($module::$handler),*))]
        struct Described;

        /// The handler of an operation, by the operation's id.
        fn handler(operation: &str, filter: MethodFilter) -> Option<MethodRouter<App>> {
            $(if operation == stringify!($handler) {
                return Some(on(filter, $module::$handler));
            })*
            None
        }
    };
}

operations! {
    decisions::submit,
    decisions::batch,
    decisions::raw,
    lookups::decision,
    lookups::decisions,
    lookups::request,
    outcomes::outcomes,
    ledger::partitions,
    ledger::export,
    ledger::backup,
    statistics::statistics,
    statistics::conservation,
    policies::active,
    dead_letters::dead_letters,
    dead_letters::dead_letter,
    dead_letters::retry,
    dead_letters::discard,
    health::health,
    health::ready,
    health::live,
    health::metrics,
    health::openapi,
}

/// One operation as the document has it.
pub struct Row {
    /// Path as documented.
    pub path: String,
    /// Method.
    pub method: Method,
    /// Its id: the handler's name.
    pub operation: String,
}

/// Every operation of the document.
pub fn rows() -> Vec<Row> {
    let document = Described::openapi();
    let mut rows = Vec::new();
    for (path, item) in document.paths.paths {
        let found: [(Method, Option<Operation>); 2] = [(Method::GET, item.get), (Method::POST, item.post)];
        for (method, operation) in found {
            let Some(operation) = operation else { continue };
            rows.push(Row { path: path.clone(), method, operation: operation.operation_id.unwrap_or_default() });
        }
    }
    rows
}

/// Patterns of the router, and [`UNMATCHED`]: the values of the label `route`.
static PATTERNS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let patterns: BTreeSet<String> = rows().iter().map(|row| pattern(&row.path).to_owned()).collect();
    // Once a process, a few dozen: labels live as long as the process does.
    let mut all: Vec<&'static str> = patterns.into_iter().map(|pattern| &*pattern.leak()).collect();
    all.push(UNMATCHED);
    all
});

/// The values of the label `route`.
pub fn paths() -> Vec<&'static str> {
    PATTERNS.clone()
}

/// The label of a matched pattern.
pub(super) fn label(matched: &str) -> &'static str {
    PATTERNS.iter().find(|pattern| **pattern == matched).copied().unwrap_or(UNMATCHED)
}

/// The router's pattern for a documented path. The router knows no text after a parameter, so `{position}:retry` is
/// matched as `{position}`, and [`dead_letters::act`] looks at the verb.
fn pattern(path: &str) -> &str {
    match path.rsplit_once("}:") {
        Some((before, _)) => path.get(..before.len().saturating_add(1)).unwrap_or(path),
        None => path,
    }
}

/// The document, OpenAPI 3.1.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Described::openapi();
    "Lexecon".clone_into(&mut document.info.title);
    document.info.description = Some(
        "Decides whether an AI system or a person may do a thing, and can prove afterwards what it decided and why."
            .to_owned(),
    );
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().security_schemes.insert("token".to_owned(), bearer.into());
    // The token is needed when one is configured, so "none" is an alternative.
    document.security =
        Some(vec![SecurityRequirement::new("token", Vec::<String>::new()), SecurityRequirement::default()]);
    document
}

/// The router.
pub fn router(app: App) -> Router {
    let mut router = Router::new();
    let mut seen = BTreeSet::new();
    for row in rows() {
        let pattern = pattern(&row.path);
        if pattern != row.path {
            if seen.insert(pattern.to_owned()) {
                router = router.route(pattern, post(dead_letters::act));
            }
            continue;
        }
        let filter = if row.method == Method::POST { MethodFilter::POST } else { MethodFilter::GET };
        if let Some(handler) = handler(&row.operation, filter) {
            router = router.route(pattern, handler);
        }
    }
    router
        .fallback(|| async { Problem::new(Code::NotFound, "there is nothing at this path; see /openapi.json") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "see /openapi.json for the methods of this path")
        })
        .layer(CatchPanicLayer::custom(|_| {
            axum::response::IntoResponse::into_response(Problem::internal("the request", &"the handler panicked"))
        }))
        .layer(from_fn_with_state(app.clone(), edge::edge))
        .with_state(app)
}

/// Serves one page of the document without building it again.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_operation_has_a_handler_and_a_name_of_its_own() {
        let mut names = BTreeSet::new();
        for row in rows() {
            assert!(names.insert(row.operation.clone()), "{} stands twice", row.operation);
            assert!(handler(&row.operation, MethodFilter::GET).is_some(), "{} {} has no handler", row.method, row.path);
        }
        assert!(names.len() >= 20, "{}", names.len());
    }

    #[test]
    fn the_document_is_openapi_3_1_and_its_references_resolve() {
        let document: serde_json::Value = serde_json::from_str(&DOCUMENT).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let text = DOCUMENT.as_str();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
        }
        // Every operation can be refused, and says how.
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
            }
        }
    }
}
