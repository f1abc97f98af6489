//! The JSON Schema of case files, for editors: `cases/schema.json`.
//!
//! Generated from the tables that the reader uses (ioctls, fields, steps, shapes), so that
//! completion knows every field of every ioctl.

use serde_json::{Map, Value, json};
use uapi::{Ioctl, Struct};

use crate::{
    expand::{Parameters, Preludes, Signature},
    role::Shape,
    spec::{Key, Presence, Spec},
    steps::{
        ioctl::keys::{field_help, keys},
        table::TABLE,
    },
};

/// Returns the schema of a case file that may use these preludes.
pub fn schema(preludes: &Preludes) -> Value {
    let mut schema = frame(preludes);
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        let bodies = uapi::ioctls().iter();
        definitions.extend(bodies.map(|ioctl| (ioctl.name.to_owned(), ioctl_body(ioctl))));
    }
    schema
}

/// Returns the schema without the bodies of the ioctls.
fn frame(preludes: &Preludes) -> Value {
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
                "description": "Name of an errno; `none` for success, `any` for any errno." },
            "plan": plan(),
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
                    "properties": {
                        "not": { "$ref": "#/$defs/value", "description": "any value but this" },
                        "has": { "$ref": "#/$defs/value", "description": "bits that are set" },
                        "lacks": { "$ref": "#/$defs/value", "description": "bits that are clear" } } } ] },
            "device": { "type": "string", "description": "A device of the case: group.0, group.host-driver, other.0." },
            "group": { "type": "string", "description": "A group of the case: group, other, or a shape." },
            "elements": { "type": ["array", "integer", "object", "string"] },
            "struct": structure(),
            "needs": needs(),
            "condition": condition(),
        }
    })
}

fn needs() -> Value {
    json!({ "type": "object", "additionalProperties": false,
        "description": "what a guest needs to run the case; others skip it",
        "properties": {
            "features": texts("parts of the kernel or the machine, such as mdev_mtty"),
            "config": texts("options that the kernel has"),
            "headers": texts("names that the headers of the kernel under test have"),
            "platforms": texts("platforms that it runs on; default: all"),
            "since": text("first release that it runs on, such as \"7.3\""),
            "until": text("last release that it runs on") } })
}

fn plan() -> Value {
    json!({ "type": ["string", "object"],
        "description": "what is expected instead on a kernel that conforms to the plan of 2021: an errno, a signal, \
         lands or blocked, keys that replace those of the step, or one of these for each clause" })
}

fn condition() -> Value {
    json!({ "type": "object", "additionalProperties": false,
        "description": "where the case is known to fail; default: everywhere",
        "properties": {
            "platforms": texts("platforms that it fails on"), "shapes": shapes(),
            "config": texts("options that the kernel has"),
            "since": text("first release that fails"),
            "until": text("last release that fails") } })
}

fn texts(description: &str) -> Value {
    json!({ "$ref": "#/$defs/texts", "description": description })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn errnos() -> Vec<&'static str> {
    let errnos = uapi::ERRNOS.iter().map(|(name, _)| *name);
    ["none", "any"].into_iter().chain(errnos).collect()
}

fn header() -> Value {
    json!({
        "summary": text("rule that the case proves"),
        "proves": texts("clauses that hold literally"),
        "differs": reasons("clauses that Linux differs from"),
        "absent": reasons("clauses about something that the uAPI does not have"),
        "shapes": shapes(),
        "needs": { "$ref": "#/$defs/needs" },
        "xfail": { "anyOf": [ xfail(), { "type": "array", "items": xfail() } ],
            "description": "known failures, each with the finding that explains it" },
        "shows": { "type": ["string", "object", "array"],
            "description": "findings that the case shows by passing; {NAME: rows} for some rows of its table",
            "items": { "anyOf": [ finding(), { "type": "object", "minProperties": 1, "maxProperties": 1,
                "additionalProperties": { "$ref": "#/$defs/texts" } } ] } },
        "snapshot": { "enum": ["compared", "none"],
            "description": "`none` if the transcript differs from run to run; default: compared" },
        "fail_fast": { "type": "boolean", "description": "stop at the first failed step" },
        "timeout_ms": { "type": "integer",
            "description": "deadline in ms on an idle machine without emulation; default: 20000" },
        "table": { "type": "object", "additionalProperties": { "type": "object",
            "properties": { "needs": { "$ref": "#/$defs/needs" } } },
            "description": "one test for each row; steps refer to `row.NAME`; `needs` of a row adds to that of the case" },
        "contract": contract(),
        "steps": { "type": "array", "description": "what the case does, in this order",
            "items": { "anyOf": [
            { "$ref": "#/$defs/step" },
            { "type": "string", "pattern": r"^row\.", "description": "a step, or steps, of the row" } ] } },
    })
}

fn xfail() -> Value {
    let steps = json!({ "type": "object", "minProperties": 1,
        "additionalProperties": texts("everything that is observed there"),
        "description": "every step that does not end as expected, by its label (`LABEL (2)` is \
         the second with it), and what is observed there" });
    let any = texts("a text in the lines of a complaint, or a list of which one is there");
    let splat = json!({ "type": ["string", "array"], "items": any,
        "description": "every complaint of the kernel: a text in its lines, or a list of which one \
         is there" });
    json!({ "type": "object", "additionalProperties": false, "required": ["finding"],
        "properties": {
            "when": { "$ref": "#/$defs/condition" }, "finding": finding(),
            "rows": texts("rows of the table that it applies to; default: all"),
            "steps": steps, "splat": splat,
            "leaves": texts("texts of everything that the case leaves changed"),
            "killed_in": text("label of the step in which the kernel kills the process, or \
             `after the last step`") },
        "anyOf": [ { "required": ["steps"] }, { "required": ["splat"] },
            { "required": ["leaves"] }, { "required": ["killed_in"] } ] })
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
                        "done": { "type": "boolean",
                            "description": "whether the call has done its work, so that it is undone" },
                        "xfail": text("how the kernel is known to end the call instead, such as \
                         `success`"),
                        "finding": finding(),
                        "reason": text("why the row ends differently") } } },
            "omit": reasons("rows to leave out, each with its reason") } })
}

fn finding() -> Value {
    text("a page of results/findings, without .md")
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
        let mut body = anywhere(&may_plan((entry.spec)()));
        describe(&mut body, entry.help);
        steps.insert(entry.key.to_owned(), body);
    }
    for ioctl in uapi::ioctls() {
        // Defined apart from what is required: a prelude may add keys to a body.
        let mut body = defined(ioctl.name);
        body["anyOf"] = required(&keys(ioctl));
        describe(
            &mut body,
            &format!("Make this ioctl; {} defines it.", ioctl.source),
        );
        steps.insert(ioctl.name.to_owned(), body);
    }
    Value::Object(steps)
}

/// A mapping may have a plan.
fn may_plan(spec: Spec) -> Spec {
    match spec {
        Spec::Mapping(mut keys) => {
            keys.push(plan_key());
            Spec::Mapping(keys)
        }
        Spec::Open(mut keys) => {
            keys.push(plan_key());
            Spec::Open(keys)
        }
        Spec::Either(specs) => Spec::Either(specs.into_iter().map(may_plan).collect()),
        other => other,
    }
}

fn plan_key() -> Key {
    Key {
        name: "plan".to_owned(),
        help: String::new(),
        spec: Spec::Plan,
        presence: Presence::Optional,
    }
}

/// Returns the schema of a prelude's name, with or without arguments.
fn used(preludes: &Preludes) -> Value {
    let name = |it: Signature<'_>| json!({ "const": it.name, "description": it.summary });
    let names: Vec<_> = preludes.signatures().map(name).collect();
    let bodies = preludes.signatures().map(|it| {
        let mut body = or_row(arguments(&it.parameters));
        describe(&mut body, it.summary);
        (it.name.to_owned(), body)
    });
    let bodies: Map<_, _> = bodies.collect();
    json!({ "anyOf": [{ "anyOf": names }, defined("row"),
        { "type": "object", "minProperties": 1, "maxProperties": 1,
            "properties": bodies, "additionalProperties": false }] })
}

/// Returns the schema of a prelude's arguments. `..: arg` gives them to the body of an ioctl, which
/// has to know each of them.
fn arguments(parameters: &Parameters<'_>) -> Value {
    let named = parameters.named.iter().map(|(name, paths)| {
        let places: Vec<_> = paths.iter().map(|path| becomes(path)).collect();
        let help = format!("Becomes {}.", places.join(", "));
        ((*name).to_owned(), json!({ "description": help }))
    });
    let mut properties: Map<_, _> = named.collect();
    properties.insert(SPREAD.to_owned(), spread());
    let body_of = |path: &Vec<&str>| match path.as_slice() {
        ["ioctl"] => Some(json!({ "patternProperties": { FIELD: true },
            "additionalProperties": false })),
        [step] => uapi::ioctl(step).map(|ioctl| defined(ioctl.name)),
        _ => None,
    };
    let bodies: Option<Vec<_>> = parameters.spread.iter().map(body_of).collect();
    match bodies.as_deref() {
        Some([]) => json!({ "type": "object", "additionalProperties": false,
            "properties": properties }),
        Some(bodies) => json!({ "type": "object", "allOf": bodies, "properties": properties }),
        None => json!({ "type": "object", "properties": properties }),
    }
}

/// Says where an argument goes: `` `expect.flags` of IOMMU_GET_HW_INFO ``.
fn becomes(path: &[&str]) -> String {
    match path {
        [] => "a step".to_owned(),
        [step] => format!("the body of `{step}`"),
        [step, keys @ ..] => format!("`{}` of `{step}`", keys.join(".")),
    }
}

/// Returns the schema of an ioctl's body, without the keys that are required. `expect` and `save`
/// have the fields of its struct.
fn ioctl_body(ioctl: &Ioctl) -> Value {
    let mut keys = keys(ioctl);
    keys.push(plan_key());
    let mut body = closed(&keys);
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
        let mut value = of.clone();
        describe(&mut value, &field_help(field));
        properties.insert(field.name.to_owned(), value);
    }
    let data = |help: &str| {
        json!({ "type": ["array", "object", "string"],
            "description": help })
    };
    let mut patterns = Map::new();
    if behind {
        let help = "Capabilities in the chain behind the struct.";
        properties.insert("capabilities".to_owned(), data(help));
    }
    if let Some(tail) = layout.tail {
        patterns.insert(format!(r"^{}\.", tail.name), of);
        if behind {
            properties.insert(tail.name.to_owned(), data(TAIL));
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
        Spec::Plan => defined("plan"),
        Spec::Device => defined("device"),
        Spec::Group => defined("group"),
        Spec::Words(words) => json!({ "enum": words }),
        Spec::List(of) => {
            let of = anywhere(of);
            json!({ "anyOf": [{ "type": "array", "items": of }, of] })
        }
        Spec::Mapping(keys) => mapping(keys),
        Spec::Open(keys) => {
            let mut open = mapping(keys);
            open["patternProperties"] = json!({ FIELD: true });
            open
        }
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
const TAIL: &str = "Elements of the array behind the struct.";
const NAME_OF_STRUCT: &str = "The struct, whose fields are the other keys.";

fn named(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false,
        "patternProperties": { NAME: of }, "properties": { SPREAD: spread() } })
}

fn spread() -> Value {
    json!({ "type": "string", "pattern": r"^(row|arg)(\.|$)",
        "description": "Every key of the row, or of a mapping in it." })
}

fn mapping(keys: &[Key]) -> Value {
    let mut mapping = closed(keys);
    mapping["anyOf"] = required(keys);
    mapping
}

/// Returns the schema of a mapping with any of these keys, and no other.
fn closed(keys: &[Key]) -> Value {
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
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// Returns the alternatives for required keys: a row may have them.
fn required(keys: &[Key]) -> Value {
    let required = keys.iter().filter(|key| key.presence == Presence::Required);
    let required: Vec<_> = required.map(|key| key.name.as_str()).collect();
    json!([{ "required": required }, { "required": [SPREAD] }])
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
        | Spec::Plan
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
        fields.insert(
            "struct".to_owned(),
            json!({ "description": NAME_OF_STRUCT }),
        );
        for field in layout.fields {
            let help = json!({ "description": field_help(field) });
            fields.insert(field.name.to_owned(), help);
        }
        fields.insert(SPREAD.to_owned(), spread());
        json!({ "if": { "properties": { "struct": { "const": layout.name } } },
            "then": { "additionalProperties": false, "properties": fields } })
    });
    let mut name = or_row(json!({ "enum": names }));
    describe(&mut name, NAME_OF_STRUCT);
    json!({ "type": "object", "required": ["struct"],
        "properties": { "struct": name },
        "allOf": known.collect::<Vec<_>>() })
}

/// Returns the text of the schema.
pub fn schema_text(preludes: &Preludes) -> String {
    let mut text = serde_json::to_string_pretty(&schema(preludes)).unwrap_or_default();
    text.push('\n');
    text
}
