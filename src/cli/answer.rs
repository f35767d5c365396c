//! Reads single fields out of the server's JSON for people. A field that is missing or null is a dash,
//! so that an older or newer server can still be read.
//! Knows nothing of HTTP.

use serde_json::Value;

/// Hexadecimal digits that tell an id from its neighbours for a person.
const SHORT_ID_CHARS: usize = 12;

/// The field at a JSON pointer, as a table shows it.
pub fn cell(answer: &Value, pointer: &str) -> String {
    match answer.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(item, "")).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

/// The id at a JSON pointer, shortened.
pub fn short_id(answer: &Value, pointer: &str) -> String {
    cell(answer, pointer).chars().take(SHORT_ID_CHARS).collect()
}

/// The labels at a JSON pointer as `key=value, …`.
pub fn labels(answer: &Value, pointer: &str) -> String {
    match answer.pointer(pointer).and_then(Value::as_object) {
        Some(labels) if !labels.is_empty() => labels
            .iter()
            .map(|(key, value)| format!("{key}={}", cell(value, "")))
            .collect::<Vec<_>>()
            .join(", "),
        _ => "-".to_owned(),
    }
}

/// How a version is named in a sentence: by number, or as provisional with its id.
pub fn version_name(version: &Value) -> String {
    match version.get("number").and_then(Value::as_u64) {
        Some(number) => format!("version {number} ({})", short_id(version, "/id")),
        None => format!("the provisional version {}", cell(version, "/id")),
    }
}

/// What a write came to: `<done> NAME: version 3 (1f2e…), on 1 of 1 nodes`.
pub fn written(done: &str, answer: &Value) -> String {
    let mut text = format!("{done} {}", cell(answer, "/name"));
    if let Some(version) = answer.get("version").filter(|version| version.is_object()) {
        text = format!("{text}: {}", version_name(version));
        if version.get("number").is_none_or(Value::is_null) && version.get("id").is_some() {
            text.push_str(", until a majority can agree to it");
        }
    }
    if answer.get("replication").is_some_and(Value::is_object) {
        let known = cell(answer, "/replication/acknowledged");
        text = format!("{text}, on {known} of {} nodes", cell(answer, "/replication/members"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_null_and_empty_fields_are_dashes() {
        let answer = json!({"number": null, "names": []});
        assert_eq!(cell(&answer, "/number"), "-");
        assert_eq!(cell(&answer, "/names"), "-");
        assert_eq!(cell(&answer, "/none/such"), "-");
        assert_eq!(labels(&answer, "/labels"), "-");
    }

    #[test]
    fn a_write_names_its_version_and_how_widely_it_is_kept() {
        let id = "ab".repeat(32);
        let replication = json!({"acknowledged": 2, "members": 3, "quorum": 2});
        let agreed = json!({"name": "a/b", "version": {"number": 3, "id": id}, "replication": replication});
        assert_eq!(written("updated", &agreed), "updated a/b: version 3 (abababababab), on 2 of 3 nodes");
        let kept = json!({"name": "a/b", "version": {"number": null, "id": id}});
        let text = written("kept", &kept);
        assert!(text.contains(&id), "a provisional version is named by its whole id: {text}");
    }
}
