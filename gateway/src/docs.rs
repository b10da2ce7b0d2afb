//! `/docs`: the OpenAPI document as one page for people. It is whole in itself: no script, nothing from elsewhere.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::html::Escaped;

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}\
code,pre{font:14px/1.4 ui-monospace,monospace;background:#8881;border-radius:3px;padding:.1em .3em}\
pre{overflow:auto;padding:.6em}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;vertical-align:top;border-bottom:1px solid #8884;padding:.3em .6em .3em 0}\
details{border:1px solid #8884;border-radius:5px;margin:.5em 0;padding:.4em .8em}summary{cursor:pointer}\
summary b{display:inline-block;min-width:4.5em}:root{color-scheme:light dark}";

/// What the page may load and do: nothing but its own style.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page that shows `document`.
pub(crate) fn page(document: &Value) -> String {
    let mut page = Page { document, html: String::new() };
    page.head();
    let none = Vec::new();
    for tag in document["tags"].as_array().unwrap_or(&none) {
        page.tag(tag);
    }
    page.line("<h2>Schemas</h2>");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        page.schema(name, schema);
    }
    page.line("</html>");
    page.html
}

struct Page<'a> {
    document: &'a Value,
    html: String,
}

impl Page<'_> {
    fn line(&mut self, html: &str) {
        self.html.push_str(html);
        self.html.push('\n');
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.html.write_fmt(arguments).expect("a string takes any text");
    }

    fn head(&mut self) {
        let info = &self.document["info"];
        self.line("<!doctype html><html lang=en><meta charset=utf-8>");
        self.line("<meta name=viewport content=\"width=device-width\">");
        self.write(format_args!("<title>{0}</title><style>{STYLE}</style><h1>{0} ", Escaped(text(&info["title"]))));
        self.write(format_args!("<small>{}</small></h1>\n", Escaped(text(&info["version"]))));
        self.prose(text(&info["description"]));
        self.line("<p>The same for programs: <a href=\"/openapi.json\">/openapi.json</a></p>");
    }

    /// The operations of one tag.
    fn tag(&mut self, tag: &Value) {
        let name = text(&tag["name"]);
        self.write(format_args!("<h2>{}</h2>", Escaped(name)));
        self.prose(text(&tag["description"]));
        let document = self.document;
        for (path, item) in fields(&document["paths"]) {
            let operations = fields(item).filter(|(_, operation)| operation["tags"][0] == name);
            operations.for_each(|(method, operation)| self.operation(method, path, operation));
        }
    }

    fn operation(&mut self, method: &str, path: &str, operation: &Value) {
        let id = text(&operation["operationId"]);
        self.write(format_args!(
            "<details id=\"{}\"><summary><b>{}</b> <code>{}</code> {}</summary>\n",
            Escaped(id),
            Escaped(&method.to_ascii_uppercase()),
            Escaped(path),
            Escaped(text(&operation["summary"])),
        ));
        self.prose(text(&operation["description"]));
        if let Some(parameters) = operation["parameters"].as_array().filter(|parameters| !parameters.is_empty()) {
            self.line("<h4>Parameters</h4><table>");
            parameters.iter().for_each(|parameter| self.parameter(parameter));
            self.line("</table>");
        }
        if operation["requestBody"].is_object() {
            self.line("<h4>Body</h4>");
            self.prose(text(&operation["requestBody"]["description"]));
            self.contents(&operation["requestBody"]["content"]);
        }
        self.line("<h4>Responses</h4>");
        for (status, response) in fields(&operation["responses"]) {
            self.write(format_args!("<p><b>{}</b> ", Escaped(status)));
            self.write(format_args!("{}</p>\n", Inline(text(&response["description"]))));
            self.contents(&response["content"]);
            self.headers(&response["headers"]);
        }
        self.line("</details>");
    }

    fn parameter(&mut self, parameter: &Value) {
        let required = if parameter["required"] == true { ", required" } else { "" };
        self.write(format_args!(
            "<tr><td><code>{}</code><br><small>{}{required}</small><td>{}",
            Escaped(text(&parameter["name"])),
            Escaped(text(&parameter["in"])),
            Inline(text(&parameter["description"])),
        ));
        let example = &parameter["example"];
        if !example.is_null() {
            let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            self.write(format_args!(" <small>e.g. <code>{}</code></small>", Escaped(&example)));
        }
        self.line("");
    }

    /// Media types with what stands in them.
    fn contents(&mut self, contents: &Value) {
        for (media_type, content) in fields(contents) {
            self.write(format_args!("<p><code>{}</code> {}</p>\n", Escaped(media_type), Kind(&content["schema"])));
            if !content["example"].is_null() {
                self.example(&content["example"]);
            }
        }
    }

    fn headers(&mut self, headers: &Value) {
        if fields(headers).next().is_none() {
            return;
        }
        self.line("<details><summary>Headers</summary><table>");
        for (name, header) in fields(headers) {
            let description = Inline(text(&header["description"]));
            self.write(format_args!("<tr><td><code>{}</code><td>{description}\n", Escaped(name)));
        }
        self.line("</table></details>");
    }

    fn schema(&mut self, name: &str, schema: &Value) {
        self.write(format_args!("<details id=\"schema-{0}\"><summary><code>{0}</code></summary>\n", Escaped(name)));
        self.prose(text(&schema["description"]));
        if !schema["example"].is_null() {
            self.example(&schema["example"]);
        }
        let alternatives = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        for alternative in alternatives.into_iter().flatten() {
            self.write(format_args!("<p>{} {}</p>\n", Kind(alternative), Inline(text(&alternative["description"]))));
        }
        if fields(&schema["properties"]).next().is_some() {
            self.line("<table>");
            for (name, property) in fields(&schema["properties"]) {
                let description = Inline(text(&property["description"]));
                self.write(format_args!(
                    "<tr><td><code>{}</code><td>{}<td>{description}\n",
                    Escaped(name),
                    Kind(property)
                ));
            }
            self.line("</table>");
        }
        self.line("</details>");
    }

    fn example(&mut self, example: &Value) {
        let shown = example.as_str().map_or_else(|| format!("{example:#}"), str::to_owned);
        self.write(format_args!("<pre>{}</pre>\n", Escaped(&shown)));
    }

    /// Paragraphs.
    fn prose(&mut self, markdown: &str) {
        for paragraph in markdown.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            self.write(format_args!("<p>{}</p>\n", Inline(paragraph)));
        }
    }
}

/// Text with `code` and **strong** words: as much of Markdown as our descriptions have.
struct Inline<'a>(&'a str);

impl std::fmt::Display for Inline<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, part) in self.0.split('`').enumerate() {
            if at % 2 == 1 {
                write!(f, "<code>{}</code>", Escaped(part))?;
                continue;
            }
            for (at, part) in part.split("**").enumerate() {
                let (open, close) = if at % 2 == 1 { ("<strong>", "</strong>") } else { ("", "") };
                write!(f, "{open}{}{close}", Escaped(part))?;
            }
        }
        Ok(())
    }
}

/// What kind of value a schema describes, in a few words, with a link if it has a name.
struct Kind<'a>(&'a Value);

impl std::fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let schema = self.0;
        if let Some(name) = text(&schema["$ref"]).strip_prefix("#/components/schemas/") {
            return write!(f, "<a href=\"#schema-{0}\">{0}</a>", Escaped(name));
        }
        for combined in ["allOf", "oneOf", "anyOf"] {
            if let Some(parts) = schema[combined].as_array() {
                let separator = if combined == "allOf" { " and " } else { " or " };
                for (at, part) in parts.iter().enumerate() {
                    write!(f, "{}{}", if at > 0 { separator } else { "" }, Kind(part))?;
                }
                return Ok(());
            }
        }
        if let Some(values) = schema["enum"].as_array() {
            for (at, value) in values.iter().enumerate() {
                write!(f, "{}<code>{}</code>", if at > 0 { " " } else { "" }, Escaped(&value.to_string()))?;
            }
            return Ok(());
        }
        match &schema["type"] {
            Value::String(kind) if kind == "array" => write!(f, "list of {}", Kind(&schema["items"])),
            Value::String(kind) => write!(f, "{}", Escaped(kind)),
            Value::Array(kinds) => {
                let kinds: Vec<&str> = kinds.iter().map(text).collect();
                write!(f, "{}", Escaped(&kinds.join(" or ")))
            }
            _ => Ok(()),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The fields of an object; none of anything else.
fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi;

    #[test]
    fn the_page_shows_every_operation_and_every_schema() {
        let document: Value = serde_json::from_slice(&openapi::json()).unwrap();
        let page = page(&document);
        for (path, item) in fields(&document["paths"]) {
            for (_, operation) in fields(item) {
                let id = format!("<details id=\"{}\">", text(&operation["operationId"]));
                assert!(page.contains(&id) && page.contains(&format!("<code>{path}</code>")), "{path} {id}");
            }
        }
        for (name, _) in fields(&document["components"]["schemas"]) {
            assert!(page.contains(&format!("<details id=\"schema-{name}\">")), "{name}");
        }
        for target in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!(" id=\"{target}\"")), "{target} leads nowhere");
        }
    }

    #[test]
    fn the_page_loads_nothing() {
        let document: Value = serde_json::from_slice(&openapi::json()).unwrap();
        let page = page(&document);
        for loading in ["<script", "<link", "<img", "<iframe", " src=", "url(", "@import", "href=\"http"] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn what_the_document_says_is_text() {
        assert_eq!(Inline("a `<b>` & **c**").to_string(), "a <code>&lt;b&gt;</code> &amp; <strong>c</strong>");
        let document = serde_json::json!({"info": {"title": "<script>alert(1)</script>"}});
        assert!(!page(&document).contains("<script>"));
    }
}
