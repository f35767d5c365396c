//! The shapes of the OpenAPI document: bodies in, bodies out, parameters and headers.
//! The route table refers to them by name; a test sends wrong values for every property of every body
//! and expects the parser to know it by that name.

mod tokens;

use covault_model::{
    limits::{
        CALLER_BYTES_MAX, CONTENT_TYPE_BYTES_MAX, CREATE_MAX, DESCRIPTION_BYTES_MAX,
        IDEMPOTENCY_KEY_BYTES_MAX, INVITATION_SECONDS_MAX, LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX,
        LABELS_MAX, NAME_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX, VERSIONS_PER_REQUEST_MAX,
    },
    line::State,
};
use serde_json::{Value, json};

use crate::{
    api::problem::Code,
    envfile::{Format, Reason},
    vault::{Invitee, MemberRole},
};

fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn list(of_what: &str) -> Value {
    json!({ "type": "array", "items": of(of_what) })
}

fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

fn hex(bytes: usize) -> Value {
    json!({ "type": "string", "pattern": format!("^[0-9a-f]{{{}}}$", 2 * bytes) })
}

/// Query, path and header parameters, by name.
pub fn parameters() -> Value {
    let query = |name: &str, description: &str, schema: Value| parameter("query", name, description, schema);
    let header =
        |name: &str, description: &str, schema: Value| parameter("header", name, description, schema);
    let path = |name: &str, description: &str, schema: Value| {
        let mut parameter = parameter("path", name, description, schema);
        parameter["required"] = true.into();
        parameter
    };
    let text = || json!({ "type": "string" });
    json!({
        "name": path("name", "The secret's name; its slashes may be percent-encoded.", of("SecretName")),
        "caller": path("caller", "The caller's name.", of("CallerName")),
        "token_id": path("id", "The token's public half.", hex(8)),
        "node": path("node", "The node's id, which is its public key.", hex(32)),
        "grant_id": path("id", "The grant's id.", hex(16)),
        "owner": query("owner", "Whose namespace; the caller's own when absent.", of("CallerName")),
        "version": query("version", "A version's number or id.",
            json!({ "type": "string", "pattern": "^([1-9][0-9]{0,18}|[0-9a-f]{64})$" })),
        "at": query("at", "The version in force at this moment; not together with version.", of("Time")),
        "consistency": query("consistency", "Whether a majority must confirm a hit.",
            json!({ "type": "string", "enum": ["local", "quorum"], "default": "local" })),
        "prefix": query("prefix", "Only names that begin so.",
            json!({ "type": "string", "pattern": "^[A-Za-z0-9._/-]*$", "maxLength": NAME_BYTES_MAX })),
        "label": query("label", "Only secrets with this label, as key:value.",
            json!({ "type": "string", "pattern": "^[A-Za-z0-9._/-]{1,64}:" })),
        "limit": query("limit", "Rows of the page.",
            json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT })),
        "cursor": query("cursor", "The `next` of the page before.", text()),
        "epoch": path("epoch", "The epoch's number.", tokens::epoch_number()),
        "If-Match": header("If-Match",
            "What must be current, quoted: ids of the last agreed version, or the active epoch's number; or *.",
            text()),
        "If-None-Match": header("If-None-Match", "Versions whose value need not be sent.", text()),
        "Prefer": header("Prefer", "agreed refuses a provisional version.", text()),
        "Idempotency-Key": header("Idempotency-Key", "Makes a retry safe: the first answer is replayed.",
            json!({ "type": "string", "pattern": "^[!-~]+$", "maxLength": IDEMPOTENCY_KEY_BYTES_MAX })),
        "X-Request-Id": header("X-Request-Id", "An id for this request, echoed if it is valid.",
            json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" })),
    })
}

fn parameter(place: &str, name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": place, "description": description, "schema": schema })
}

/// Headers of answers, by name.
pub fn headers() -> Value {
    let header = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "X-Request-Id": header("The id of this request, as logs and audit have it."),
        "ETag": header("The version's id, or the active epoch's number, quoted."),
        "Covault-Standing": {
            "description": "How the answering node stands with its majority.",
            "schema": { "type": "string", "enum": ["majority", "minority"] },
        },
        "Covault-Last-Contact-Ms": {
            "description": "With the standing minority: how long ago the node last heard of a majority. Absent \
                            when it did not since it was started.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "Idempotency-Replayed": header("true on a remembered answer."),
        "Retry-After": header("Seconds after which to try again."),
        "WWW-Authenticate": header("Bearer, with the reason."),
    })
}

/// Bodies and their parts, by name.
pub fn schemas() -> Value {
    let mut all = parts();
    for (name, schema) in [
        problem(),
        secret_requests(),
        other_requests(),
        tokens::requests(),
        secret_answers(),
        other_answers(),
        tokens::answers(),
        env(),
    ]
    .iter()
    .filter_map(Value::as_object)
    .flatten()
    {
        all[name] = schema.clone();
    }
    all
}

fn parts() -> Value {
    json!({
        "SecretName": {
            "type": "string",
            "description": "Segments of [A-Za-z0-9._-] joined by slashes; none is . or ..",
            "pattern": "^(?!\\.{1,2}(/|$))[A-Za-z0-9._-]+(/(?!\\.{1,2}(/|$))[A-Za-z0-9._-]+)*$",
            "maxLength": NAME_BYTES_MAX,
        },
        "CallerName": {
            "type": "string",
            "pattern": "^(?!\\.{1,2}$)[A-Za-z0-9._-]+$",
            "maxLength": CALLER_BYTES_MAX,
        },
        "Time": { "type": "string", "format": "date-time" },
        "Role": { "type": "string", "enum": ["member", "admin"] },
        "Access": { "type": "string", "enum": ["read", "write"] },
        "VersionId": hex(32),
        "VersionRef": {
            "description": "A version's number or id.",
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": u64::MAX }, of("VersionId")],
        },
        "LabelValue": { "type": "string", "description": "At most 256 bytes, no control characters.",
            "maxLength": LABEL_VALUE_BYTES_MAX },
        "Description": { "type": "string",
            "description": "At most 1024 bytes, no control characters but line breaks and tabs.",
            "maxLength": DESCRIPTION_BYTES_MAX },
        "Labels": schema_of_labels(),
        "LabelKey": { "type": "string", "pattern": format!("^[A-Za-z0-9._/-]{{1,{LABEL_KEY_BYTES_MAX}}}$") },
    })
}

fn problem() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "Problem": {
            "type": "object",
            "description": "RFC 9457. `code` is stable; the other members depend on it.",
            "required": ["type", "title", "status", "code", "detail"],
            "properties": {
                "type": { "type": "string", "format": "uri" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "code": { "type": "string", "enum": codes },
                "detail": { "type": "string" },
                "field": { "type": "string", "description": "The field, parameter or header at fault." },
                "line": { "type": "integer" },
                "column": { "type": "integer" },
                "names": { "type": "array", "items": { "type": "string" } },
                "references": { "type": "array", "items": of("UnresolvedReference") },
                "version": { "type": "string" },
                "key": { "type": "string" },
                "limit": { "type": "string" },
            },
        },
    })
}

fn secret_requests() -> Value {
    let value = json!({
        "value": { "type": "string", "description": "The value as text; this or value_base64." },
        "value_base64": { "type": "string", "contentEncoding": "base64", "description": "The value as bytes." },
        "content_type": or_null(json!({
            "type": "string", "pattern": "^[ -~]+$", "maxLength": CONTENT_TYPE_BYTES_MAX,
        })),
        "expires_at": or_null(of("Time")),
        "labels": or_null(of("Labels")),
        "description": or_null(of("Description")),
    });
    let mut create = object(&["name"], value.clone());
    create["properties"]["name"] = of("SecretName");
    create["properties"]["owner"] = or_null(of("CallerName"));
    let mut update = object(&[], value);
    for body in [&mut create, &mut update] {
        body["oneOf"] = json!([{ "required": ["value"] }, { "required": ["value_base64"] }]);
    }
    let mut labels = schema_of_labels();
    labels["additionalProperties"] = or_null(of("LabelValue"));
    let mut patch = object(&[], json!({ "labels": labels, "description": or_null(of("Description")) }));
    patch["minProperties"] = 1.into();
    json!({ "CreateSecret": create, "UpdateSecret": update, "PatchSecret": patch })
}

fn schema_of_labels() -> Value {
    json!({
        "type": "object",
        "propertyNames": of("LabelKey"),
        "additionalProperties": of("LabelValue"),
        "maxProperties": LABELS_MAX,
    })
}

fn other_requests() -> Value {
    let versions = json!({
        "type": "array", "items": of("VersionRef"), "minItems": 1, "maxItems": VERSIONS_PER_REQUEST_MAX,
    });
    let grant = json!({
        "prefix": { "type": "string", "pattern": "^[A-Za-z0-9._/-]*$", "maxLength": NAME_BYTES_MAX },
        "grantee": of("CallerName"),
        "access": of("Access"),
    });
    let caller = json!({
        "name": of("CallerName"), "role": or_null(of("Role")), "expires_at": or_null(of("Time")),
    });
    json!({
        "UndeleteSecret": object(&[], json!({ "versions": or_null(versions.clone()) })),
        "DestroySecret": object(&["versions"], json!({ "versions": versions })),
        "RollBackSecret": object(&["version"], json!({ "version": of("VersionRef") })),
        "AddCaller": object(&["name"], caller),
        "AddToken": object(&[], json!({ "expires_at": or_null(of("Time")) })),
        "Invite": object(&[], json!({
            "lifetime_seconds": or_null(json!({
                "type": "integer", "minimum": 1, "maximum": INVITATION_SECONDS_MAX,
            })),
            "role": or_null(json!({ "type": "string", "enum": Invitee::ALL.map(Invitee::as_str) })),
        })),
        "AddGrant": object(&["prefix", "grantee", "access"], grant),
    })
}

fn env() -> Value {
    let content = json!({ "type": "string", "description": "The .env file." });
    let position = json!({ "type": "integer", "minimum": 1 });
    let formats = json!({ "type": "string", "enum": Format::ALL.map(Format::as_str) });
    let values = json!({
        "type": "object",
        "description": "Values of names that the file asks for with enc(NAME) and does not have itself.",
        "propertyNames": of("SecretName"),
        "additionalProperties": { "type": "string" },
        "maxProperties": CREATE_MAX,
    });
    json!({
        "EncryptEnv": object(&["content"], json!({ "content": content.clone(), "values": or_null(values) })),
        "ExpandEnv": object(&["content"], json!({ "content": content.clone(), "format": or_null(formats.clone()) })),
        "EncryptedEnv": answer(json!({
            "content": content.clone(),
            "created": { "type": "array", "items": of("SecretName") },
            "replication": of("Replication"),
        })),
        "ExpandedEnv": answer(json!({ "content": content, "format": formats })),
        "UnresolvedReference": answer(json!({
            "name": of("SecretName"),
            "line": position.clone(),
            "column": position,
            "reason": { "type": "string", "enum": Reason::ALL.map(Reason::as_str) },
        })),
    })
}

/// An object of an answer: all its properties are there, and more may come with a later release.
fn answer(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(|all| all.keys()).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn secret_answers() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let next = or_null(json!({ "type": "string" }));
    let summary = json!({
        "name": of("SecretName"),
        "version": of("Version"),
        "labels": of("Labels"),
        "description": or_null(of("Description")),
    });
    let mut secret = answer(summary.clone());
    secret["properties"]["value"] = json!({ "type": "string", "description": "The value, if it is UTF-8." });
    secret["properties"]["value_base64"] =
        json!({ "type": "string", "description": "The value, if it is not UTF-8." });
    secret["oneOf"] = json!([{ "required": ["value"] }, { "required": ["value_base64"] }]);
    let mut marked = summary.clone();
    marked["replication"] = of("Replication");
    json!({
        "Secret": secret,
        "Summary": answer(summary),
        "Marked": answer(marked),
        "Version": version(),
        "Replication": answer(json!({ "acknowledged": count, "members": count, "quorum": count })),
        "Written": answer(json!({
            "name": of("SecretName"), "version": of("Version"), "replication": of("Replication"),
        })),
        "SecretPage": answer(json!({ "secrets": list("Summary"), "next": next })),
        "VersionPage": answer(json!({ "name": of("SecretName"), "versions": list("Version"), "next": next })),
    })
}

fn version() -> Value {
    let states = [
        State::Current,
        State::Past,
        State::Provisional,
        State::Superseded,
        State::Deleted,
        State::Destroyed,
    ];
    let mut version = answer(json!({
        "number": or_null(json!({ "type": "integer", "minimum": 1 })),
        "id": of("VersionId"),
        "valid_from": of("Time"),
        "valid_to": or_null(of("Time")),
        "created_at": of("Time"),
        "author": hex(32),
        "caller": of("CallerName"),
        "state": { "type": "string", "enum": states.map(State::as_str) },
        "content_type": or_null(json!({ "type": "string" })),
        "expires_at": or_null(of("Time")),
    }));
    version["properties"]["restores"] = of("VersionId");
    version
}

fn other_answers() -> Value {
    json!({
        "Token": answer(json!({ "id": hex(8), "created_at": of("Time"), "expires_at": or_null(of("Time")) })),
        "Tokens": answer(json!({ "tokens": list("Token") })),
        "NewToken": answer(json!({
            "caller": of("CallerName"),
            "role": of("Role"),
            "id": hex(8),
            "token": or_null(json!({ "type": "string", "description": "Shown once; null on a retry." })),
            "expires_at": or_null(of("Time")),
        })),
        "Caller": answer(json!({
            "name": of("CallerName"), "role": of("Role"), "created_at": of("Time"), "tokens": list("Token"),
        })),
        "Callers": answer(json!({ "callers": list("Caller") })),
        "Grant": answer(json!({
            "id": hex(16),
            "owner": of("CallerName"),
            "prefix": { "type": "string" },
            "grantee": of("CallerName"),
            "access": of("Access"),
            "created_at": of("Time"),
        })),
        "Grants": answer(json!({ "grants": list("Grant") })),
        "NewInvitation": answer(json!({
            "id": hex(8),
            "token": or_null(json!({ "type": "string", "description": "Shown once; null on a retry." })),
            "expires_at": of("Time"),
        })),
        "Member": member(),
        "Members": answer(json!({ "members": list("Member") })),
        "Status": status(&json!({ "type": "integer", "minimum": 0 })),
        "Up": answer(json!({ "status": { "type": "string", "enum": ["up", "ready"] } })),
        "Metrics": { "type": "string" },
        "OpenApi": { "type": "object" },
    })
}

fn member() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    answer(json!({
        "node": hex(32),
        "role": { "type": "string", "enum": MemberRole::ALL.map(MemberRole::as_str) },
        "address": or_null(json!({ "type": "string" })),
        "lag": or_null(count.clone()),
        "last_contact_ms": or_null(count),
        "clock_ahead_ms": or_null(json!({ "type": "integer" })),
    }))
}

fn status(count: &Value) -> Value {
    let text = json!({ "type": "string" });
    let names = json!({ "type": "array", "items": text });
    answer(json!({
        "node": hex(32),
        "release": text,
        "cluster": hex(16),
        "members": list("Member"),
        "leader": or_null(hex(32)),
        "term": count,
        "last_log": count,
        "applied": count,
        "lag": count,
        "standing": { "type": "string", "enum": ["majority", "minority"] },
        "keys": answer(json!({ "active": or_null(text.clone()), "usable": names, "unavailable": names })),
        "secrets": count,
        "versions": count,
        "provisional": count,
        "mappings": count,
        "held_back": count,
        "refused_records": { "type": "object", "additionalProperties": count },
        "disk_used": count,
        "disk_free": count,
        "refuses_writes": or_null(text),
        "clock_skew_ms": { "type": "integer" },
        "now": of("Time"),
        "started_at": of("Time"),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::api::{
        problem::Problem,
        resources::{callers, env, epochs, grants, members, secrets, tokens as token_bodies},
        routes::Body,
        table::ROUTES,
    };

    /// What the parser of the body with this schema says against `bytes`.
    fn refused(schema: &str, bytes: &[u8]) -> Option<Problem> {
        match schema {
            "CreateSecret" => secrets::create_body(bytes, 64).err(),
            "UpdateSecret" => secrets::update_body(bytes, 64).err(),
            "PatchSecret" => secrets::patch_body(bytes).err(),
            "UndeleteSecret" => secrets::undelete_body(bytes).err(),
            "DestroySecret" => secrets::destroy_body(bytes).err(),
            "RollBackSecret" => secrets::roll_back_body(bytes).err(),
            "AddCaller" => callers::add_body(bytes).err(),
            "AddToken" => callers::add_token_body(bytes).err(),
            "AddGrant" => grants::add_body(bytes).err(),
            "EncryptEnv" => env::encrypt_body(bytes).err(),
            "ExpandEnv" => env::expand_body(bytes).err(),
            "Tokenize" => token_bodies::tokenize_body(bytes).err(),
            "Detokenize" => token_bodies::detokenize_body(bytes).err(),
            "ActivateEpoch" => epochs::activate_body(bytes).err(),
            "SetFields" => epochs::set_fields_body(bytes).err(),
            "Invite" => members::invite_body(bytes).err(),
            other => panic!("{other} has no parser"),
        }
    }

    fn bodies() -> impl Iterator<Item = &'static str> {
        ROUTES.iter().filter_map(|route| route.body).map(|body| match body {
            Body::Required(schema) | Body::Optional(schema) | Body::TextOr(schema) => schema,
        })
    }

    /// A body with what the schema requires, all of it right.
    fn least(schema: &str) -> Value {
        match schema {
            "CreateSecret" => json!({ "name": "a", "value": "v" }),
            "UpdateSecret" => json!({ "value": "v" }),
            "PatchSecret" => json!({ "description": "d" }),
            "DestroySecret" => json!({ "versions": [1] }),
            "RollBackSecret" => json!({ "version": 1 }),
            "AddCaller" => json!({ "name": "ci" }),
            "EncryptEnv" | "ExpandEnv" => json!({ "content": "A=1" }),
            "Tokenize" => json!({ "document": {} }),
            "Detokenize" => json!({ "tokens": ["tok_1_0"] }),
            "ActivateEpoch" => json!({ "activate": 2 }),
            "SetFields" => json!({ "fields": [] }),
            "AddGrant" => json!({ "prefix": "", "grantee": "ci", "access": "read" }),
            _ => json!({}),
        }
    }

    #[test]
    fn the_parsers_know_every_property_of_the_schemas() {
        let schemas = schemas();
        for schema in bodies() {
            // Whatever JSON there is, is a document.
            let properties = schemas[schema]["properties"].as_object().unwrap().keys();
            for property in properties.filter(|property| *property != "document") {
                let mut body = least(schema);
                if property == "value_base64" {
                    body.as_object_mut().unwrap().remove("value");
                }
                body[property] = json!([[true]]);
                let code = refused(schema, body.to_string().as_bytes()).unwrap().code();
                assert_eq!(code, Code::InvalidField, "{schema}.{property}");
            }
        }
    }

    #[test]
    fn the_parsers_know_nothing_else() {
        let schemas = schemas();
        for schema in bodies() {
            assert!(refused(schema, least(schema).to_string().as_bytes()).is_none(), "{schema}");
            let mut body = least(schema);
            body["other"] = json!(1);
            let code = refused(schema, body.to_string().as_bytes()).unwrap().code();
            assert_eq!(code, Code::UnknownField, "{schema}");
            for required in schemas[schema]["required"].as_array().unwrap() {
                let mut body = least(schema);
                body.as_object_mut().unwrap().remove(required.as_str().unwrap());
                let code = refused(schema, body.to_string().as_bytes()).unwrap().code();
                assert_eq!(code, Code::MissingField, "{schema}.{required}");
            }
        }
    }
}
