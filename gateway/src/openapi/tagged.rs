//! Schemas of which one field says which of several is meant.
//!
//! The generator puts that field beside the others, by `allOf`; but a schema that allows no fields besides its own allows
//! that one neither, so that nothing is valid. Here it becomes one of them.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{Discriminator, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};

/// The field.
const TAG: &str = "op";

/// Puts the tag of each variant of `name` among the fields that the variant has.
pub(super) fn complete(schemas: &mut BTreeMap<String, RefOr<Schema>>, name: &str) {
    let Some(RefOr::T(Schema::OneOf(one_of))) = schemas.get_mut(name) else {
        panic!("{name} is a schema with several variants");
    };
    let mut tags: BTreeMap<String, Vec<Tag>> = BTreeMap::new();
    let mut discriminator = Discriminator::new(TAG);
    for (tag, target) in one_of.items.iter().map(variant) {
        discriminator.mapping.insert(tag.value.clone(), target.clone());
        tags.entry(target).or_default().push(tag);
    }
    one_of.items = tags.keys().map(|target| Ref::new(target.clone()).into()).collect();
    one_of.discriminator = Some(discriminator);
    for (target, tags) in tags {
        let schema = target.rsplit('/').next().and_then(|name| schemas.get_mut(name));
        let Some(RefOr::T(Schema::Object(object))) = schema else { panic!("{target} is an object's schema") };
        object.properties.insert(TAG.to_owned(), RefOr::T(Schema::Object(field(&tags))));
        object.required.push(TAG.to_owned());
    }
}

/// A value of the field.
struct Tag {
    value: String,
    description: String,
}

/// The tag of a variant, and where the schema of its other fields is.
fn variant(item: &RefOr<Schema>) -> (Tag, String) {
    let RefOr::T(Schema::AllOf(all_of)) = item else { panic!("a variant has a tag beside its fields") };
    let [RefOr::Ref(fields), RefOr::T(Schema::Object(tagged))] = all_of.items.as_slice() else {
        panic!("a variant has a schema and a tag")
    };
    let value = match tagged.properties.get(TAG) {
        Some(RefOr::T(Schema::Object(Object { enum_values: Some(values), .. }))) => values[0].as_str(),
        _ => None,
    };
    let value = value.expect("a tag is a text").to_owned();
    (Tag { value, description: all_of.description.clone().unwrap_or_default() }, fields.ref_location.clone())
}

/// The field with the values that mean one schema.
fn field(tags: &[Tag]) -> Object {
    let described: Vec<String> = tags.iter().map(|tag| format!("`{}`: {}", tag.value, tag.description)).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(tags.iter().map(|tag| tag.value.clone())))
        .description(Some(described.join(" ")))
        .build()
}
