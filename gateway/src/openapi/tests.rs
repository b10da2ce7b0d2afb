//! The document is what is checked in, and it says what tools need.

use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// Set to write the document instead of comparing it.
const WRITE: &str = "QUORATE_WRITE_OPENAPI";

fn document() -> Value {
    serde_json::from_slice(&json()).unwrap()
}

fn each_operation(document: &Value, mut visit: impl FnMut(&str, &str, &Value)) {
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            visit(path, method, operation);
        }
    }
}

#[test]
fn the_document_that_is_checked_in_is_that_of_the_routes() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../openapi/quorate.yaml");
    let generated = openapi().to_yaml().unwrap();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&file, &generated).unwrap();
    }
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        checked_in == generated,
        "openapi/quorate.yaml is not what the routes say: write it with {WRITE}=1 cargo test -p quorate-gateway openapi"
    );
}

#[test]
fn every_operation_says_what_tools_need() {
    let document = document();
    let mut ids = Vec::new();
    each_operation(&document, |path, method, operation| {
        let place = format!("{method} {path}");
        ids.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{place} has no id")).to_owned());
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{place} has no summary");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{place}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(described, "{place}: {name} is not described");
            let in_path = parameter["in"] == "path";
            assert_eq!(path.contains(&format!("{{{name}}}")), in_path, "{place}: {name}");
            assert!(!in_path || parameter["required"] == true, "{place}: {name}");
        }
        for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            let mut parameters = operation["parameters"].as_array().unwrap().iter();
            assert!(parameters.any(|parameter| parameter["name"] == name), "{place} does not describe {name}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["headers"]["Quorate-Zxid"].is_object(), "{place} {status}");
            if status == "default" || status.starts_with(['4', '5']) {
                let is_problem = response["content"]["application/problem+json"].is_object();
                assert!(is_problem || method == "head", "{place} {status} is no problem");
            }
        }
    });
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are distinct");
}

#[test]
fn answers_about_a_znode_list_every_header_of_its_stat() {
    let document = document();
    let listed = |method: &str, status: &str, name: &str| {
        document["paths"][ZNODES][method]["responses"][status]["headers"][name].is_object()
    };
    for (method, status) in [("get", "200"), ("get", "304"), ("head", "200"), ("put", "204"), ("post", "201")] {
        for name in ["ETag", "Quorate-Stat-Czxid", "Quorate-Stat-Ctime-Ms", "Quorate-Stat-Ephemeral-Owner"] {
            assert!(listed(method, status, name), "{method} {status}: {name}");
        }
    }
    assert!(listed("put", "200", "Preference-Applied") && !listed("get", "200", "Preference-Applied"));
    assert!(!listed("delete", "204", "ETag") && !listed("put", "default", "ETag"));
}

#[test]
fn no_path_has_a_wildcard_and_every_reference_leads_somewhere() {
    let document = document();
    assert!(document["paths"].as_object().unwrap().keys().all(|path| !path.contains('*')));
    assert_eq!(document["info"]["license"]["identifier"], "Apache-2.0");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}
