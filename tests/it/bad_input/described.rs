//! What the published description says that each route takes, so that a sweep leaves no route out.
//! Knows nothing of what is wrong with a request.

use serde_json::Value;

use crate::support::Vault;

/// Where the parameters of paths lead in the vault that is swept.
const PLACES: &[(&str, &str)] = &[
    ("{name}", "here"),
    ("{caller}", "ann"),
    ("{id}", "0000000000000000"),
    ("{epoch}", "1"),
    ("{node}", "0000000000000000000000000000000000000000000000000000000000000000"),
];

/// One operation.
pub struct Described {
    pub method: String,
    pub path: String,
    pub parameters: Vec<Parameter>,
    /// The fields of its body, and those of them that must be there; absent when it takes none.
    pub body: Option<(Vec<String>, Vec<String>)>,
}

/// One parameter of an operation.
pub struct Parameter {
    /// What the description calls it, which tells two of one name apart.
    pub key: String,
    pub name: String,
    pub place: String,
}

impl Described {
    /// The path with something in the place of its parameters.
    pub fn filled(&self) -> String {
        filled(&self.path)
    }

    /// The path with this text in the place of a parameter.
    pub fn filled_with(&self, parameter: &str, text: &str) -> String {
        filled(&self.path.replace(&format!("{{{parameter}}}"), text))
    }
}

fn filled(path: &str) -> String {
    let path = path.replace("/v1/grants/{id}", "/v1/grants/00000000000000000000000000000000");
    PLACES.iter().fold(path, |path, (parameter, text)| path.replace(parameter, text))
}

/// All operations that there are.
pub fn described(vault: &Vault) -> Vec<Described> {
    let document = vault.stranger().get("/openapi.json").expect(200).body_json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let references = operation["parameters"].as_array().unwrap().iter();
            let parameters = references.map(|one| parameter(&document, one)).collect();
            let schema = operation.pointer("/requestBody/content/application~1json/schema");
            let body = schema.map(|schema| fields(resolved(&document, schema)));
            all.push(Described { method: method.to_uppercase(), path: path.clone(), parameters, body });
        }
    }
    all
}

fn parameter(document: &Value, reference: &Value) -> Parameter {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (key, said) = (text(&reference["$ref"]), resolved(document, reference));
    let key = key.rsplit('/').next().unwrap().to_owned();
    Parameter { key, name: text(&said["name"]), place: text(&said["in"]) }
}

fn resolved<'d>(document: &'d Value, reference: &Value) -> &'d Value {
    let pointer = reference["$ref"].as_str().and_then(|text| text.strip_prefix('#')).unwrap();
    document.pointer(pointer).unwrap()
}

fn fields(schema: &Value) -> (Vec<String>, Vec<String>) {
    let all = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let required = schema["required"].as_array().into_iter().flatten();
    (all, required.map(|field| field.as_str().unwrap().to_owned()).collect())
}
