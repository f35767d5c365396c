//! The shapes of bodies about tokens, epochs and fields.

use covault_model::{
    field::Format,
    limits::{FIELD_BYTES_MAX, FIELDS_MAX},
};
use serde_json::{Value, json};

use super::{answer, list, object, of, or_null};
use crate::api::body::VALUES_MAX;

/// The number of an epoch.
pub(super) fn epoch_number() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })
}

/// Bodies in.
pub(super) fn requests() -> Value {
    let pointer = json!({
        "type": "string", "maxLength": FIELD_BYTES_MAX,
        "description": "A JSON pointer (RFC 6901); * stands for each element of a list.",
    });
    let asked = json!({ "type": "array", "minItems": 1, "maxItems": FIELDS_MAX,
        "items": { "anyOf": [pointer, of("TokenField")] } });
    let token = object(
        &["token", "format", "type"],
        json!({
            "token": { "type": "string" },
            "format": of("TokenFormat"),
            "type": { "type": "string", "maxLength": FIELD_BYTES_MAX },
            "epoch": or_null(epoch_number()),
        }),
    );
    let mut detokenize = object(
        &[],
        json!({
            "document": { "description": "Any JSON." },
            "fields": or_null(asked.clone()),
            "epoch": or_null(epoch_number()),
            "tokens": { "type": "array", "minItems": 1, "maxItems": VALUES_MAX,
                "items": { "anyOf": [{ "type": "string" }, token] } },
        }),
    );
    detokenize["oneOf"] = json!([{ "required": ["document"] }, { "required": ["tokens"] }]);
    json!({
        "TokenFormat": { "type": "string", "enum": Format::ALL.map(Format::as_str) },
        "TokenField": object(&["pointer", "format"], json!({
            "pointer": pointer,
            "format": of("TokenFormat"),
            "type": or_null(json!({ "type": "string", "maxLength": FIELD_BYTES_MAX })),
        })),
        "Tokenize": object(&["document"], json!({
            "document": { "description": "Any JSON." }, "fields": or_null(asked),
        })),
        "Detokenize": detokenize,
        "ActivateEpoch": object(&["activate"], json!({ "activate": epoch_number() })),
        "SetFields": object(&["fields"], json!({
            "fields": { "type": "array", "maxItems": FIELDS_MAX, "items": of("TokenField") },
        })),
    })
}

/// Bodies out.
pub(super) fn answers() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let placed = answer(json!({ "pointer": { "type": "string" }, "token": { "type": "string" } }));
    let mut detokenized = json!({ "type": "object", "properties": {
        "document": { "description": "The document with its values." },
        "values": { "type": "array", "description": "The values, in the order of the tokens." },
    } });
    detokenized["oneOf"] = json!([{ "required": ["document"] }, { "required": ["values"] }]);
    json!({
        "Tokenized": answer(json!({
            "document": { "description": "The document with its tokens." },
            "epoch": epoch_number(),
            "tokens": { "type": "array", "items": placed },
            "new": count,
            "replication": or_null(of("Replication")),
        })),
        "Detokenized": detokenized,
        "Epochs": answer(json!({
            "active": epoch_number(),
            "epochs": { "type": "array", "items": answer(json!({
                "epoch": epoch_number(),
                "key": { "type": "string" },
                "since": of("Time"),
                "destroyed_at": or_null(of("Time")),
            })) },
        })),
        "TokenFields": answer(json!({ "fields": list("TokenField") })),
    })
}
