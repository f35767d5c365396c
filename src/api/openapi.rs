//! The OpenAPI 3.1 document, made from the route table. It is served from `openapi.json` beside this
//! file, a golden copy that a test compares with the table; `COVAULT_BLESS=1 cargo test openapi` writes
//! it anew. Knows nothing of requests.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::api::{
    answer::Answer,
    headers::Media,
    problem::{Code, UNPROCESSABLE},
    routes::{Body, Operation, Right, Route},
    schemas,
    table::ROUTES,
};

const DOCUMENT: &str = include_str!("openapi.json");
/// What any request may be refused for.
const ALWAYS: &[Code] = &[Code::HeadersTooLarge];
/// What any request with a query may be refused for.
const QUERY: &[Code] =
    &[Code::InvalidUtf8, Code::UnknownParameter, Code::DuplicateParameter, Code::InvalidParameter];
/// What any request under a token may be refused for.
const VAULT: &[Code] = &[
    Code::InvalidHeader,
    Code::Unauthenticated,
    Code::Internal,
    Code::ShuttingDown,
    Code::Overloaded,
    Code::Timeout,
    Code::StorageFailed,
    Code::AuditUnavailable,
    // Of a token that a node without a majority does not know, and of an API process that reaches no node.
    Code::Unconfirmed,
    Code::QuorumUnavailable,
];
/// What any request that changes something may be refused for.
const CHANGE: &[Code] = &[Code::StaleTime, Code::ClockSkew, Code::WrongMasterKey, Code::StorageFull];
/// What any request with a body may be refused for.
const BODY: &[Code] = &[
    Code::InvalidJson,
    Code::MissingBody,
    Code::BodyCutOff,
    Code::UnknownField,
    Code::DuplicateField,
    Code::MissingField,
    Code::InvalidField,
    Code::BodyTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
];

/// `GET /openapi.json`
pub fn answer() -> Answer {
    Answer::new(StatusCode::OK, "application/json", DOCUMENT)
}

/// The document, from the table.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Covault",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "An embedded, peer-to-peer secrets vault.",
            "description": "A secret's name in a path keeps its slashes, plain or percent-encoded. Every \
                answer has X-Request-Id, every 503 has Retry-After.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "parameters": schemas::parameters(),
            "headers": schemas::headers(),
            "schemas": schemas::schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let tag = match route.path.split('/').nth(2) {
        Some(part) if route.right != Right::Public => part,
        _ => "node",
    };
    let captured = route.path_parameters().map(|name| match name {
        // Two kinds of things are called by an id.
        "id" if route.path.starts_with("/v1/grants") => reference("parameters", "grant_id"),
        "id" => reference("parameters", "token_id"),
        name => reference("parameters", name),
    });
    let named = route.parameters.iter().map(|name| reference("parameters", name));
    let request_id = reference("parameters", "X-Request-Id");
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "tags": [tag],
        "parameters": captured.chain(named).chain([request_id]).collect::<Vec<_>>(),
        "responses": responses(route),
    });
    if let Some(body) = route.body {
        let (required, schema) = match body {
            Body::Required(schema) | Body::TextOr(schema) => (true, schema),
            Body::Optional(schema) => (false, schema),
        };
        let mut content = json!({ "application/json": { "schema": reference("schemas", schema) } });
        if body.media().contains(&Media::Text) {
            content["text/plain"] = json!({ "schema": { "type": "string" } });
        }
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    if route.right != Right::Public {
        operation["security"] = json!([{ "token": [] }]);
    }
    if route.right == Right::Admin {
        operation["description"] = "Takes the role admin.".into();
    }
    operation
}

/// What a read says of the node that it was answered by.
const STANDING: [&str; 2] = ["Covault-Standing", "Covault-Last-Contact-Ms"];

fn responses(route: &Route) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    for (status, schema) in route.answers {
        responses.insert(status.to_string(), success(*status, schema));
    }
    for (status, codes) in refusals(route) {
        responses.insert(status.to_string(), refused(status, &codes));
    }
    if route.parameters.contains(&"Idempotency-Key") {
        for (status, _) in route.answers {
            add_headers(&mut responses[&status.to_string()]["headers"], &["Idempotency-Replayed"]);
        }
    }
    if route.right != Right::Public && route.operation.only_reads() {
        let from_here = |status: &u16| (200..400).contains(status) || *status == StatusCode::GONE.as_u16();
        for (_, response) in
            responses.iter_mut().filter(|(status, _)| status.parse().is_ok_and(|it| from_here(&it)))
        {
            add_headers(&mut response["headers"], &STANDING);
        }
    }
    Value::Object(responses)
}

fn success(status: u16, schema: &str) -> Value {
    let meaning = match status {
        201 => "Made.",
        202 => "Kept, not agreed yet.",
        204 => "Done.",
        304 => "The client has this version already.",
        _ => "Done.",
    };
    let mut response = json!({ "description": meaning, "headers": response_headers(schema) });
    let content_type = if schema == "Metrics" { "text/plain" } else { "application/json" };
    if !schema.is_empty() {
        response["content"] = json!({ content_type: { "schema": reference("schemas", schema) } });
    }
    if matches!(schema, "EncryptedEnv" | "ExpandedEnv") {
        response["content"]["text/plain"] = json!({ "schema": { "type": "string" } });
    }
    response
}

fn response_headers(schema: &str) -> Value {
    let mut headers = json!({ "X-Request-Id": reference("headers", "X-Request-Id") });
    let more: &[&str] = match schema {
        "Tokenized" | "Detokenized" => &STANDING,
        "Secret" | "Epochs" | "Written" | "Marked" => &["ETag"],
        _ => &[],
    };
    add_headers(&mut headers, more);
    headers
}

fn add_headers(headers: &mut Value, names: &[&str]) {
    for name in names {
        headers[*name] = reference("headers", name);
    }
}

fn refusals(route: &Route) -> BTreeMap<u16, Vec<&'static str>> {
    let cursor: &[Code] = if route.parameters.contains(&"cursor") { &[Code::InvalidCursor] } else { &[] };
    let only_reads = route.operation.only_reads();
    let anybody_may = route.right != Right::Admin && only_reads;
    let forbidden: &[Code] = if anybody_may { &[] } else { &[Code::Forbidden] };
    let vault = if route.right == Right::Public { &[] } else { VAULT };
    let change: &[Code] = if only_reads { &[] } else { CHANGE };
    let body = if route.body.is_some() { BODY } else { &[] };
    let of_documents = matches!(route.operation, Operation::Tokenize | Operation::Detokenize);
    let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for code in [ALWAYS, QUERY, cursor, vault, change, forbidden, body, route.refusals].concat() {
        by_status.entry(code.status()).or_default().push(code.as_str());
    }
    if of_documents {
        by_status.entry(UNPROCESSABLE).or_default().push(Code::UnknownField.as_str());
    }
    by_status
}

fn refused(status: u16, codes: &[&str]) -> Value {
    let mut headers = json!({ "X-Request-Id": reference("headers", "X-Request-Id") });
    match status {
        401 => headers["WWW-Authenticate"] = reference("headers", "WWW-Authenticate"),
        429 | 503 => headers["Retry-After"] = reference("headers", "Retry-After"),
        _ => {}
    }
    json!({
        "description": format!("Refused: {}.", codes.join(", ")),
        "headers": headers,
        "content": { "application/problem+json": { "schema": reference("schemas", "Problem") } },
    })
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeSet, path::Path};

    use super::*;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_golden_document_is_what_the_table_gives() {
        let made = format!("{:#}\n", document());
        if std::env::var_os("COVAULT_BLESS").is_some() {
            let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/openapi.json");
            std::fs::write(golden, made).unwrap();
        } else {
            assert!(
                made == DOCUMENT,
                "openapi.json is not what the table gives; COVAULT_BLESS=1 writes it anew"
            );
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_used() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        for kind in ["parameters", "headers", "schemas"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                let used = found.contains(&format!("#/components/{kind}/{name}"));
                assert!(used, "{kind}/{name} is not used");
            }
        }
    }

    #[test]
    fn ready_is_refused_for_all_that_keeps_a_node_from_writing() {
        let ready = ROUTES.iter().find(|route| route.operation == Operation::Ready).unwrap();
        let codes =
            ["quorum_unavailable", "master_key_unavailable", "storage_full", "storage_failed", "clock_skew"];
        assert_eq!(refusals(ready)[&503], codes);
    }

    #[test]
    fn every_code_of_a_refusal_is_documented_somewhere() {
        // These come before a route is known, or are told to a node that joins.
        let elsewhere = [Code::UnknownPath, Code::MethodNotAllowed, Code::InvitationInvalid, Code::NodeKnown];
        let documented: BTreeSet<&str> =
            ROUTES.iter().flat_map(refusals).flat_map(|(_, codes)| codes).collect();
        for code in Code::ALL.iter().filter(|code| !elsewhere.contains(code)) {
            assert!(documented.contains(code.as_str()), "{code:?}");
        }
    }
}
