//! Variables, and whether a result is as expected.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a case has captured.
pub(super) type Variables = BTreeMap<String, Value>;

/// `value` with its variables replaced.
pub(super) fn fill(value: &Value, variables: &Variables) -> Value {
    match value {
        Value::String(text) => fill_text(text, variables),
        Value::Array(items) => items.iter().map(|item| fill(item, variables)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), fill(value, variables))).collect(),
        other => other.clone(),
    }
}

fn fill_text(text: &str, variables: &Variables) -> Value {
    if let Some(value) = text.strip_prefix('$').and_then(|name| variables.get(name)) {
        return value.clone();
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let braced = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            after.split_at(end)
        });
        match &variables.get(name).unwrap_or_else(|| panic!("no variable ${name} in {text:?}")) {
            Value::String(value) => filled.push_str(value),
            value => filled.push_str(&value.to_string()),
        }
        rest = after;
    }
    filled.push_str(rest);
    Value::String(filled)
}

/// The part of a result that `field.field` names; numbers are places in lists.
pub(super) fn part<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('.').try_fold(value, |value, field| match field.parse::<usize>() {
        Ok(at) => value.get(at),
        Err(_) => value.get(field),
    })
}

/// Compares a result with what is expected of it; the error says where they differ.
pub(super) fn check(expected: &Value, actual: Option<&Value>) -> Result<(), String> {
    if let Value::Object(fields) = expected
        && let Some((rule, operand)) = fields.iter().next()
        && rule.starts_with('$')
    {
        return check_rule(rule, operand, actual);
    }
    let Some(actual) = actual else { return Err(format!("is missing, expected {expected}")) };
    match (expected, actual) {
        (Value::Object(fields), Value::Object(_)) => fields.iter().try_for_each(|(name, expected)| {
            check(expected, actual.get(name)).map_err(|difference| format!(".{name} {difference}"))
        }),
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            let mut pairs = expected.iter().zip(actual).enumerate();
            pairs.try_for_each(|(at, (expected, actual))| {
                check(expected, Some(actual)).map_err(|difference| format!("[{at}]{difference}"))
            })
        }
        _ if expected == actual => Ok(()),
        _ => Err(format!("is {actual}, expected {expected}")),
    }
}

fn check_rule(rule: &str, operand: &Value, actual: Option<&Value>) -> Result<(), String> {
    let holds = match (rule, actual) {
        ("$absent", actual) => actual.is_none(),
        ("$any", actual) => actual.is_some(),
        ("$above", Some(actual)) => {
            let pair = (actual.as_i64().unwrap_or(i64::MIN), operand.as_i64().unwrap_or(i64::MAX));
            pair.0 > pair.1
        }
        ("$not", actual) => check(operand, actual).is_err(),
        ("$set", Some(Value::Array(actual))) => is_permutation(operand.as_array().expect("a list"), actual),
        ("$above" | "$set", _) => false,
        _ => panic!("there is no rule {rule}"),
    };
    if holds { Ok(()) } else { Err(format!("is {actual:?}, expected {rule} {operand}")) }
}

fn is_permutation(expected: &[Value], actual: &[Value]) -> bool {
    let mut left: Vec<&Value> = actual.iter().collect();
    let all_found = expected.iter().all(|one| {
        let found = left.iter().position(|actual| check(one, Some(actual)).is_ok());
        found.map(|at| left.swap_remove(at)).is_some()
    });
    all_found && left.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_match_what_their_rules_say() {
        let holds = |expected: Value, actual: Value| check(&expected, Some(&actual)).is_ok();
        assert!(holds(json!({"a": 1}), json!({"a": 1, "b": 2})));
        assert!(!holds(json!({"a": 1}), json!({"b": 2})));
        assert!(!holds(json!([1]), json!([1, 2])));
        assert!(holds(json!({"a": {"$absent": true}}), json!({"b": 1})));
        assert!(!holds(json!({"a": {"$absent": true}}), json!({"a": null})));
        assert!(holds(json!({"$above": 1}), json!(2)) && !holds(json!({"$above": 2}), json!(2)));
        assert!(holds(json!({"$not": 3}), json!(2)) && !holds(json!({"$not": 2}), json!(2)));
        assert!(holds(json!({"$set": [2, 1]}), json!([1, 2])) && !holds(json!({"$set": [1, 1]}), json!([1, 2])));
        assert!(!holds(json!(null), json!("")));
    }

    #[test]
    fn variables_are_replaced_whole_and_within_text() {
        let variables = Variables::from([("root".into(), json!("/r")), ("z".into(), json!(7))]);
        let filled = fill(&json!({"path": "$root/a", "zxid": "$z", "text": "${z}0"}), &variables);
        assert_eq!(filled, json!({"path": "/r/a", "zxid": 7, "text": "70"}));
    }
}
