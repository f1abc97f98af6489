//! The JSON Schema of case files, for editors: `cases/schema.json`.
//!
//! Generated from the tables that the reader uses (ioctls, fields, steps, shapes), so that
//! completion knows every field of every ioctl.

use serde_json::{Map, Value, json};
use uapi::{Ioctl, Struct};

use crate::{
    expand::Preludes,
    role::Shape,
    spec::{Key, Presence, Spec},
    steps::{ioctl::keys::keys, table::TABLE},
};

/// Returns the schema of a case file that may use these preludes.
pub fn schema(preludes: &Preludes) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Conformance case for iommufd and vfio",
        "type": "object",
        "required": ["summary", "steps"],
        "additionalProperties": false,
        "properties": header(),
        "$defs": {
            "step": { "type": "object", "minProperties": 1, "maxProperties": 1,
                "additionalProperties": false, "properties": steps() },
            "use": used(preludes),
            "steps": { "anyOf": [defined("row"), defined("step"),
                { "type": "array", "items": { "anyOf": [defined("step"), defined("row")] } }] },
            "texts": { "type": ["string", "array"], "items": { "type": "string" } },
            "number": { "anyOf": [{ "type": "integer" }, defined("row")] },
            "flag": { "anyOf": [{ "type": "boolean" }, defined("row")] },
            "name": { "type": "string", "pattern": NAME_OR_SLOT },
            "errno": { "anyOf": [{ "enum": errnos() }, defined("row")],
                "description": "Name of an errno; `none` for success." },
            "row": { "type": "string", "pattern": r"^(row|arg)\." ,
                "description": "A value of the row, or an argument of the prelude." },
            "value": {
                "description": "Number, name of a constant, list of constants for all of their bits, $NAME of something saved, or in a field headers.NAME for a constant that only the headers of the kernel under test have.",
                "type": ["integer", "string", "array"],
                "items": { "type": ["integer", "string"] },
            },
            "expected": { "anyOf": [
                { "$ref": "#/$defs/value" },
                { "type": "object", "minProperties": 1, "additionalProperties": false,
                    "properties": { "not": { "$ref": "#/$defs/value" },
                        "has": { "$ref": "#/$defs/value" }, "lacks": { "$ref": "#/$defs/value" } } } ] },
            "device": { "type": "string", "description": "A device of the case: group.0, group.host-driver, other.0." },
            "group": { "type": "string", "description": "A group of the case: group, other, or a shape." },
            "elements": { "type": ["array", "integer", "object", "string"] },
            "struct": structure(),
            "needs": { "type": "object", "additionalProperties": false, "properties": {
                "features": { "$ref": "#/$defs/texts" }, "config": { "$ref": "#/$defs/texts" },
                "platforms": { "$ref": "#/$defs/texts" },
                "since": { "type": "string" }, "until": { "type": "string" } } },
            "condition": { "type": "object", "additionalProperties": false, "properties": {
                "platforms": { "$ref": "#/$defs/texts" }, "shapes": shapes(),
                "config": { "$ref": "#/$defs/texts", "description": "options that the kernel has" },
                "since": { "type": "string" }, "until": { "type": "string" } } },
        }
    })
}

fn errnos() -> Vec<&'static str> {
    let errnos = uapi::ERRNOS.iter().map(|(name, _)| *name);
    std::iter::once("none").chain(errnos).collect()
}

fn header() -> Value {
    json!({
        "summary": { "type": "string", "description": "rule that the case proves" },
        "proves": { "$ref": "#/$defs/texts", "description": "clauses that hold literally" },
        "differs": reasons("clauses that Linux differs from"),
        "absent": reasons("clauses about something that the uAPI does not have"),
        "shapes": shapes(),
        "needs": { "$ref": "#/$defs/needs" },
        "xfail": { "type": ["array", "object"], "items": { "type": "object", "properties": {
            "when": { "$ref": "#/$defs/condition" }, "finding": finding(),
            "rows": { "$ref": "#/$defs/texts", "description": "rows of the table that it applies to; default: all" },
            "splat": { "$ref": "#/$defs/texts", "description": "the failure is a complaint of the kernel with one of these texts" } },
            "required": ["finding"], "additionalProperties": false } },
        "shows": { "type": ["string", "object", "array"],
            "description": "findings that the case shows by passing; {NAME: rows} for some rows of its table",
            "items": { "anyOf": [ finding(), { "type": "object", "minProperties": 1, "maxProperties": 1,
                "additionalProperties": { "$ref": "#/$defs/texts" } } ] } },
        "snapshot": { "enum": ["compared", "none"] },
        "fail_fast": { "type": "boolean", "description": "stop at the first failed step" },
        "timeout_ms": { "type": "integer" },
        "table": { "type": "object", "additionalProperties": { "type": "object",
            "properties": { "needs": { "$ref": "#/$defs/needs" } } },
            "description": "one test for each row; steps refer to `row.NAME`; `needs` of a row adds to that of the case" },
        "contract": contract(),
        "steps": { "type": "array", "items": { "anyOf": [
            { "$ref": "#/$defs/step" },
            { "type": "string", "pattern": r"^row\.", "description": "a step, or steps, of the row" } ] } },
    })
}

fn contract() -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": ["call"],
        "description": "one test for each malformed argument of an ioctl",
        "properties": {
            "call": { "$ref": "#/$defs/step", "description": "a call that succeeds after `steps`" },
            "undo": { "type": "array", "items": { "$ref": "#/$defs/step" },
                "description": "steps that undo the call so that it can succeed again" },
            "except": { "type": "object", "description": "rows that end differently",
                "additionalProperties": { "type": "object", "additionalProperties": false,
                    "properties": { "errno": { "$ref": "#/$defs/errno" },
                        "done": { "type": "boolean" },
                        "xfail": { "type": "boolean", "description": "the kernel is known to end \
                         the row differently" },
                        "finding": finding(), "reason": { "type": "string" } } } },
            "omit": reasons("rows to leave out, each with its reason") } })
}

fn finding() -> Value {
    json!({ "type": "string", "description": "a page of results/findings, without .md" })
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
    let preludes = json!({ "description": "The steps of preludes.",
        "anyOf": [defined("use"), { "type": "array", "items": defined("use") }] });
    steps.insert("use".to_owned(), preludes);
    for entry in TABLE {
        let mut body = anywhere(&(entry.spec)());
        describe(&mut body, entry.help);
        steps.insert(entry.key.to_owned(), body);
    }
    for ioctl in uapi::ioctls() {
        steps.insert(ioctl.name.to_owned(), ioctl_body(ioctl));
    }
    Value::Object(steps)
}

/// Returns the schema of a prelude's name, with or without arguments.
fn used(preludes: &Preludes) -> Value {
    let names: Vec<_> = preludes.arguments().map(|(name, _)| name).collect();
    let bodies = preludes.arguments().map(|(name, arguments)| {
        let any = arguments.is_none();
        let known = arguments.into_iter().flatten().chain([".."]);
        let known: Map<_, _> = known.map(|name| (name.to_owned(), json!({}))).collect();
        let body = json!({ "type": "object", "properties": known, "additionalProperties": any });
        (name.to_owned(), or_row(body))
    });
    let bodies: Map<_, _> = bodies.collect();
    json!({ "anyOf": [{ "enum": names }, defined("row"),
        { "type": "object", "minProperties": 1, "maxProperties": 1,
            "properties": bodies, "additionalProperties": false }] })
}

/// Returns the schema of an ioctl's body. `expect` and `save` have the fields of its struct.
fn ioctl_body(ioctl: &Ioctl) -> Value {
    let mut body = mapping(&keys(ioctl));
    let Some(layout) = ioctl.layout() else {
        return body;
    };
    for (key, of) in [("expect", Spec::Expected), ("save", Spec::Name)] {
        if let Some(place) = body.pointer_mut(&format!("/properties/{key}")) {
            let help = place.get("description").cloned();
            *place = or_row(fields_of(layout, &of, key == "expect"));
            place["description"] = help.unwrap_or_default();
        }
    }
    body
}

/// Returns the schema of the fields of a struct and of the data behind it.
fn fields_of(layout: &Struct, of: &Spec, behind: bool) -> Value {
    let of = anywhere(of);
    let mut properties = Map::new();
    for field in layout.fields {
        properties.insert(field.name.to_owned(), of.clone());
    }
    if behind {
        properties.insert(
            "capabilities".to_owned(),
            json!({ "type": ["array", "object", "string"] }),
        );
    }
    let mut patterns = Map::new();
    if let Some(tail) = layout.tail {
        patterns.insert(format!(r"^{}\.", tail.name), of);
        if behind {
            properties.insert(
                tail.name.to_owned(),
                json!({ "type": ["array", "object", "string"] }),
            );
        }
    }
    properties.insert(SPREAD.to_owned(), spread());
    json!({ "type": "object", "additionalProperties": false, "properties": properties,
        "patternProperties": patterns })
}

/// Returns the schema of a node.
fn node(spec: &Spec) -> Value {
    match spec {
        Spec::Number => defined("number"),
        Spec::Flag => defined("flag"),
        Spec::Text => json!({ "type": "string" }),
        Spec::Name => defined("name"),
        Spec::Value => defined("value"),
        Spec::Expected => defined("expected"),
        Spec::Errno => defined("errno"),
        Spec::Device => defined("device"),
        Spec::Group => defined("group"),
        Spec::Words(words) => json!({ "enum": words }),
        Spec::List(of) => {
            let of = anywhere(of);
            json!({ "anyOf": [{ "type": "array", "items": of }, of] })
        }
        Spec::Mapping(keys) => mapping(keys),
        Spec::Named(of) => named(anywhere(of)),
        Spec::Process(of) => {
            let mut named = named(anywhere(of));
            named["minProperties"] = json!(1);
            named["maxProperties"] = json!(1);
            named
        }
        Spec::Either(specs) => {
            let specs: Vec<_> = specs.iter().map(node).collect();
            json!({ "anyOf": specs })
        }
        Spec::Struct => defined("struct"),
        Spec::Fields(of) => json!({ "type": "object", "propertyNames": { "pattern": FIELD },
            "additionalProperties": anywhere(of) }),
        Spec::Elements => defined("elements"),
        Spec::Step => defined("step"),
        Spec::Steps => defined("steps"),
    }
}

/// A name that a case chooses.
const NAME: &str = "^[A-Za-z][A-Za-z0-9_]*$";
/// The same, with an optional `$`, or a reference to a value of a row.
const NAME_OR_SLOT: &str = r"^(\$?[A-Za-z][A-Za-z0-9_]*|(row|arg)\..*)$";
/// The name of a field, or of one in a flexible array.
const FIELD: &str = r"^([a-z_0-9]+(\.[a-z_0-9]+)*|\.\.)$";
/// Key that spreads a row, or a mapping in it, into a mapping.
const SPREAD: &str = "..";

fn named(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false,
        "patternProperties": { NAME: of }, "properties": { SPREAD: spread() } })
}

fn spread() -> Value {
    json!({ "type": "string", "pattern": r"^(row|arg)(\.|$)",
        "description": "Every key of the row, or of a mapping in it." })
}

fn mapping(keys: &[Key]) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let mut value = anywhere(&key.spec);
        let help = match &key.presence {
            Presence::Default(default) if !default.is_empty() => {
                format!("{} Default: {default}", key.help)
            }
            _ => key.help.clone(),
        };
        describe(&mut value, &help);
        properties.insert(key.name.clone(), value);
    }
    properties.insert(SPREAD.to_owned(), spread());
    let required = keys.iter().filter(|key| key.presence == Presence::Required);
    let required: Vec<_> = required.map(|key| key.name.as_str()).collect();
    // A row may have the required keys.
    json!({ "type": "object", "additionalProperties": false, "properties": properties,
        "anyOf": [{ "required": required }, { "required": [SPREAD] }] })
}

fn defined(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// Returns the schema of a node that may come from a row of a table or an argument of a prelude.
/// Most definitions already allow that.
fn anywhere(spec: &Spec) -> Value {
    match spec {
        Spec::Number
        | Spec::Flag
        | Spec::Text
        | Spec::Name
        | Spec::Value
        | Spec::Expected
        | Spec::Errno
        | Spec::Device
        | Spec::Group
        | Spec::Steps => node(spec),
        _ => or_row(node(spec)),
    }
}

fn or_row(value: Value) -> Value {
    json!({ "anyOf": [value, defined("row")] })
}

fn describe(value: &mut Value, help: &str) {
    if !help.is_empty() {
        value["description"] = json!(help);
    }
}

/// Returns the schema of a struct in memory; its name determines the fields.
fn structure() -> Value {
    let names: Vec<_> = uapi::structs().iter().map(|layout| layout.name).collect();
    let known = uapi::structs().iter().map(|layout| {
        let mut fields = Map::new();
        fields.insert("struct".to_owned(), json!(true));
        for field in layout.fields {
            fields.insert(field.name.to_owned(), json!(true));
        }
        fields.insert(SPREAD.to_owned(), json!(true));
        json!({ "if": { "properties": { "struct": { "const": layout.name } } },
            "then": { "additionalProperties": false, "properties": fields } })
    });
    json!({ "type": "object", "required": ["struct"],
        "properties": { "struct": or_row(json!({ "enum": names })) },
        "allOf": known.collect::<Vec<_>>() })
}

/// Returns the text of the schema.
pub fn schema_text(preludes: &Preludes) -> String {
    let mut text = serde_json::to_string_pretty(&schema(preludes)).unwrap_or_default();
    text.push('\n');
    text
}
