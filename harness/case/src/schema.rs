//! The JSON Schema of case files, for editors: `cases/schema.json`.
//!
//! Generated from the tables that the reader uses (ioctls, fields, steps, shapes), so that
//! completion knows every field of every ioctl.

use serde_json::{Map, Value, json};
use uapi::{Arg, Ioctl, Kind};

use crate::{role::Shape, steps::step::KEYS};

/// The schema of a case file.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Conformance case of iommufd and vfio",
        "type": "object",
        "required": ["summary", "steps"],
        "additionalProperties": false,
        "properties": header(),
        "$defs": {
            "step": { "type": "object", "minProperties": 1, "maxProperties": 1,
                "additionalProperties": false, "properties": steps() },
            "texts": { "type": ["string", "array"], "items": { "type": "string" } },
            "errno": { "type": "string", "description": "errno name; `none` for success" },
            "value": {
                "description": "number, name of a constant, $saved, or row.NAME of the table",
                "type": ["integer", "string", "array", "object"],
            },
            "condition": { "type": "object", "additionalProperties": false, "properties": {
                "platforms": { "$ref": "#/$defs/texts" }, "shapes": shapes(),
                "since": { "type": "string" }, "until": { "type": "string" } } },
        }
    })
}

fn header() -> Value {
    json!({
        "summary": { "type": "string", "description": "the rule that the case proves" },
        "proves": { "$ref": "#/$defs/texts", "description": "clauses that hold as they stand" },
        "differs": reasons("clauses from which Linux is shown to differ"),
        "absent": reasons("clauses for which the uAPI has no such thing"),
        "shapes": shapes(),
        "needs": { "type": "object", "additionalProperties": false, "properties": {
            "features": { "$ref": "#/$defs/texts" }, "config": { "$ref": "#/$defs/texts" },
            "platforms": { "$ref": "#/$defs/texts" },
            "since": { "type": "string" }, "until": { "type": "string" } } },
        "xfail": { "type": ["array", "object"], "items": { "type": "object", "properties": {
            "when": { "$ref": "#/$defs/condition" }, "reason": { "type": "string" },
            "splat": { "type": "string" } },
            "required": ["reason"], "additionalProperties": false } },
        "snapshot": { "enum": ["compared", "none"] },
        "fail_fast": { "type": "boolean", "description": "stop at the first step that is not as expected" },
        "timeout_ms": { "type": "integer" },
        "table": { "type": "object", "additionalProperties": { "type": "object" },
            "description": "one test for each row; steps refer to `row.NAME`" },
        "contract": contract(),
        "steps": { "type": "array", "items": { "anyOf": [
            { "$ref": "#/$defs/step" },
            { "type": "string", "pattern": r"^row\.", "description": "a step, or steps, of the row" } ] } },
    })
}

fn contract() -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": ["call"],
        "description": "one test for each way to spoil the argument of an ioctl",
        "properties": {
            "call": { "$ref": "#/$defs/step", "description": "a call that succeeds after `steps`" },
            "undo": { "type": "array", "items": { "$ref": "#/$defs/step" },
                "description": "steps that let the call succeed once more" },
            "except": { "type": "object", "description": "rows that end in another way",
                "additionalProperties": { "type": "object", "additionalProperties": false,
                    "properties": { "errno": { "$ref": "#/$defs/errno" },
                        "done": { "type": "boolean" },
                        "xfail": { "type": "string" }, "reason": { "type": "string" } } } },
            "omit": reasons("rows that are left out, and why") } })
}

fn reasons(description: &str) -> Value {
    json!({ "type": "object", "description": description,
        "additionalProperties": { "type": "string" } })
}

fn shapes() -> Value {
    let names = Shape::ALL.map(|(name, _)| name);
    json!({ "type": ["string", "array"], "items": { "enum": names },
        "description": "group shapes: one test for each" })
}

fn steps() -> Value {
    let mut steps = Map::new();
    steps.insert(
        "use".to_owned(),
        json!({ "description": "the steps of a prelude of preludes.yaml" }),
    );
    for (key, description) in KEYS {
        steps.insert((*key).to_owned(), json!({ "description": description }));
    }
    for ioctl in uapi::ioctls() {
        steps.insert(ioctl.name.to_owned(), ioctl_body(ioctl));
    }
    Value::Object(steps)
}

fn ioctl_body(ioctl: &Ioctl) -> Value {
    let mut keys = Map::new();
    for (key, body) in common_keys() {
        keys.insert(key.to_owned(), body);
    }
    match ioctl.arg {
        Arg::None => {}
        Arg::Value => drop(keys.insert("value".to_owned(), value())),
        Arg::IntPtr => drop(keys.insert("fd".to_owned(), value())),
        Arg::StrPtr => drop(keys.insert("string".to_owned(), json!({ "type": "string" }))),
        Arg::Struct(layout) => {
            for field in layout.fields {
                keys.insert(field.name.to_owned(), described(&field.kind));
            }
            if let Some(tail) = layout.tail {
                keys.insert(tail.name.to_owned(), json!({ "type": ["array", "string"] }));
            }
        }
    }
    json!({ "type": "object", "required": ["on"], "additionalProperties": false,
        "properties": keys })
}

fn common_keys() -> [(&'static str, Value); 12] {
    [
        (
            "on",
            json!({ "type": "string", "description": "name of an opened descriptor" }),
        ),
        ("errno", json!({ "$ref": "#/$defs/errno" })),
        ("plan", json!({ "$ref": "#/$defs/errno" })),
        (
            "expect",
            json!({ "type": ["object", "string"], "description": "fields after the call" }),
        ),
        (
            "save",
            json!({ "type": ["object", "string"], "description": "field: name to save it under" }),
        ),
        ("returns", value()),
        ("save_return", json!({ "type": "string" })),
        (
            "pointer",
            json!({ "description": "null, unmapped, read_only, or $NAME of memory", "type": "string" }),
        ),
        (
            "trailing",
            json!({ "description": "zeros or garbage behind the struct", "type": "string" }),
        ),
        (
            "mapped",
            json!({ "description": "bytes of the struct that are there, whatever its size says",
                "type": "integer" }),
        ),
        (
            "request",
            json!({ "description": "another number for the call", "type": "integer" }),
        ),
        (
            "..",
            json!({ "type": "string", "pattern": r"^row(\.|$)",
                "description": "every key of the row, or of a mapping in it" }),
        ),
    ]
}

fn value() -> Value {
    json!({ "$ref": "#/$defs/value" })
}

fn described(kind: &Kind) -> Value {
    let names = match kind {
        Kind::Flags(names) | Kind::Enum(names) => names.iter().map(|c| c.short()).collect(),
        _ => Vec::new(),
    };
    if names.is_empty() {
        return value();
    }
    json!({ "$ref": "#/$defs/value", "description": names.join(", ") })
}

/// The schema as it is stored.
#[must_use]
pub fn schema_text() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}
