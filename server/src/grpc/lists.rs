//! `Lists`: counts what the lists of an encoded message hold before the message is decoded.
//!
//! An empty element takes two bytes on the wire and hundreds in memory, so that a bound on a message's bytes alone would
//! let 8 MiB become more than a gigabyte, decoded in seconds in which nobody else is served. Where the lists are, the
//! contract's own descriptors say; what leads to none is passed over unseen, so a scan costs little.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message, Name};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorSet};
use quorate_proto::v1;
use quorate_types::Code;

use super::convert::Refusal;

/// Elements of all lists of one message together, however deep: the largest multi with 15 ACL entries for each of its
/// operations, decoded within some milliseconds.
pub(super) const ELEMENTS_MAX: usize = 65_536;

/// Elements of one list: as many as a multi has operations.
pub(super) const LIST_MAX: usize = quorate_types::limits::MULTI_OPS_MAX;

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| Shapes::new(v1::FILE_DESCRIPTOR_SET));

/// Where the lists of one kind of message are.
#[derive(Clone, Copy)]
pub(super) struct Lists(usize);

impl Lists {
    /// `None` if there are none.
    pub(super) fn of<M: Name>() -> Option<Lists> {
        let at = SHAPES.by_name.get(M::NAME).copied();
        at.filter(|at| !SHAPES.shapes[*at].is_empty()).map(Lists)
    }

    /// Refuses a message with too many elements, and one whose elements cannot be counted.
    pub(super) fn check(self, message: &[u8]) -> Result<(), Refusal> {
        let mut count = 0;
        match SHAPES.count(self.0, message, &mut count) {
            Ok(()) if count <= ELEMENTS_MAX => Ok(()),
            Ok(()) => Err(Refusal::new(
                "message",
                Code::TooLarge,
                format!("its lists have more than {ELEMENTS_MAX} elements"),
            )),
            Err(malformed) => Err(Refusal::bad("message", malformed.to_string())),
        }
    }
}

/// A field that is a list, or leads to one.
struct Field {
    number: u32,
    is_list: bool,
    content: Content,
}

enum Content {
    /// Another message, by its place among the shapes.
    Message(usize),
    /// Numbers, one after the other.
    Packed,
    /// One string, or bytes.
    Whole,
}

/// The fields that matter of every message of the contract.
struct Shapes {
    by_name: HashMap<String, usize>,
    shapes: Vec<Vec<Field>>,
}

impl Shapes {
    fn new(descriptors: &[u8]) -> Shapes {
        let files = FileDescriptorSet::decode(descriptors).expect("the descriptors were compiled in");
        let messages: Vec<_> = files.file.iter().flat_map(|file| &file.message_type).collect();
        let by_name: HashMap<_, _> =
            messages.iter().enumerate().map(|(at, message)| (message.name().to_owned(), at)).collect();
        let shape = |fields: &[FieldDescriptorProto]| fields.iter().map(|one| field(one, &by_name)).collect();
        let mut shapes: Vec<Vec<Field>> = messages.iter().map(|message| shape(&message.field)).collect();
        // Drops what leads nowhere, until nothing more does.
        loop {
            let empty: Vec<bool> = shapes.iter().map(Vec::is_empty).collect();
            let before: usize = shapes.iter().map(Vec::len).sum();
            let leads = |field: &Field| field.is_list || matches!(field.content, Content::Message(at) if !empty[at]);
            shapes.iter_mut().for_each(|shape| shape.retain(leads));
            if shapes.iter().map(Vec::len).sum::<usize>() == before {
                return Shapes { by_name, shapes };
            }
        }
    }

    /// Adds the elements in `message` to `count`, and stops early when there are too many.
    fn count(&self, shape: usize, mut message: &[u8], count: &mut usize) -> Result<(), DecodeError> {
        while !message.is_empty() && *count <= ELEMENTS_MAX {
            let (number, wire_type) = decode_key(&mut message)?;
            let field = self.shapes[shape].iter().find(|field| field.number == number);
            let (Some(field), WireType::LengthDelimited) = (field, wire_type) else {
                // A number of a list that is not packed counts, though it is not looked at.
                *count += usize::from(field.is_some());
                skip_field(wire_type, number, &mut message, DecodeContext::default())?;
                continue;
            };
            let start = message;
            skip_field(wire_type, number, &mut message, DecodeContext::default())?;
            let mut content = &start[..start.len() - message.len()];
            decode_varint(&mut content)?;
            match field.content {
                Content::Message(inner) => {
                    *count += usize::from(field.is_list);
                    self.count(inner, content, count)?;
                }
                // Each number ends with the byte that does not say that another follows.
                Content::Packed => *count += content.iter().filter(|byte| **byte < 0x80).count(),
                Content::Whole => *count += 1,
            }
        }
        Ok(())
    }
}

fn field(field: &FieldDescriptorProto, by_name: &HashMap<String, usize>) -> Field {
    let content = match field.r#type() {
        Type::Message => {
            let name = field.type_name().rsplit('.').next().unwrap_or_default();
            // A message of another package would not be found: there is none, as a test sees.
            Content::Message(by_name[name])
        }
        Type::String | Type::Bytes => Content::Whole,
        _ => Content::Packed,
    };
    Field { number: field.number().unsigned_abs(), is_list: field.label() == Label::Repeated, content }
}

#[cfg(test)]
mod tests {
    use v1::channel_operation::Operation;

    use super::*;

    fn count<M: Message + Name>(message: &M) -> usize {
        let mut count = 0;
        if let Some(Lists(at)) = Lists::of::<M>() {
            SHAPES.count(at, &message.encode_to_vec(), &mut count).unwrap();
        }
        count
    }

    fn acl(entries: usize) -> Option<v1::Acl> {
        Some(v1::Acl { entries: vec![v1::AclEntry { perms: 1, scheme: "world".into(), id: "anyone".into() }; entries] })
    }

    fn multi(creates: usize) -> v1::MultiRequest {
        let create = v1::CreateRequest { path: "/a".into(), acl: acl(2), ..Default::default() };
        let operation = v1::multi_operation::Operation::Create(create);
        v1::MultiRequest { operations: vec![v1::MultiOperation { operation: Some(operation) }; creates], options: None }
    }

    #[test]
    fn elements_are_counted_at_every_depth() {
        assert_eq!(count(&v1::CreateRequest { acl: acl(3), ..Default::default() }), 3);
        assert_eq!(count(&multi(5)), 5 * (1 + 2));
        let operation = |operation| v1::ChannelOperation { id: 7, timeout_ms: 1, operation: Some(operation) };
        let watch = v1::WatchCreate { path: "/a".into(), exclude: vec![1, 2, 300], ..Default::default() };
        let get = v1::GetRequest { path: "/a".into(), options: None };
        let operations = vec![
            operation(Operation::Multi(multi(5))),
            operation(Operation::Watch(watch)),
            operation(Operation::Get(get)),
        ];
        assert_eq!(count(&v1::ChannelRequest { attach: None, operations }), 3 + 15 + 3);
    }

    #[test]
    fn a_message_without_lists_is_not_looked_at() {
        assert!(Lists::of::<v1::GetRequest>().is_none());
        assert!(Lists::of::<v1::DeleteRequest>().is_none());
        assert!(Lists::of::<v1::KeepAliveRequest>().is_none());
        assert!(Lists::of::<v1::ChannelRequest>().is_some());
    }

    #[test]
    fn numbers_are_counted_packed_or_not() {
        let lists = Lists::of::<v1::WatchCreate>().unwrap();
        // Field 9, as single varints: as proto2 wrote them.
        assert_eq!(lists.check(&[9 << 3, 1].repeat(ELEMENTS_MAX)), Ok(()));
        assert_eq!(lists.check(&[9 << 3, 1].repeat(ELEMENTS_MAX + 1)).unwrap_err().error.code(), Code::TooLarge);
        let packed = v1::WatchCreate { exclude: vec![1; ELEMENTS_MAX + 1], ..Default::default() };
        assert_eq!(lists.check(&packed.encode_to_vec()).unwrap_err().error.code(), Code::TooLarge);
    }

    #[test]
    fn the_smallest_elements_are_refused_by_their_number() {
        // `operations: {}`, two bytes each.
        let check = |lists: Option<Lists>, key: u8, count: usize| lists.unwrap().check(&[key, 0].repeat(count));
        let read = Lists::of::<v1::MultiReadRequest>();
        assert_eq!(check(read, 0x0a, ELEMENTS_MAX), Ok(()));
        assert_eq!(check(read, 0x0a, 4 << 20).unwrap_err().error.code(), Code::TooLarge);
        assert_eq!(check(Lists::of::<v1::ChannelRequest>(), 0x12, 3 << 20).unwrap_err().error.code(), Code::TooLarge);
        assert_eq!(check(Lists::of::<v1::SubscribeRequest>(), 0x0a, 3 << 20).unwrap_err().error.code(), Code::TooLarge);
        assert_eq!(check(Lists::of::<v1::Acl>(), 0x0a, 3 << 20).unwrap_err().error.code(), Code::TooLarge);
    }

    #[test]
    fn what_cannot_be_counted_is_malformed() {
        let lists = Lists::of::<v1::MultiReadRequest>().unwrap();
        for malformed in [&[0x0a, 5, 1][..], &[0x0a], &[0xff; 11], &[0x0f]] {
            assert_eq!(lists.check(malformed).unwrap_err().error.code(), Code::BadArguments, "{malformed:?}");
        }
    }
}
