//! Archives: what was written is read the same, and what was written by others is not believed.

use quorate_client::{CreateMode, Stat};

use super::*;

fn node(path: &str, data: Option<&'static [u8]>, num_children: u32) -> TreeNode {
    TreeNode {
        path: path.to_owned(),
        stat: Stat { num_children, mtime_ms: 1_795_252_115_120, ..Stat::default() },
        data: data.map(Bytes::from_static),
        acl: Some("world:anyone:r".parse().expect("valid")),
        mode: CreateMode::Persistent,
    }
}

fn sample() -> Vec<TreeNode> {
    vec![
        node("/", None, 1),
        node("/a", Some(b"of a parent"), 5),
        node("/a/%data", Some(b"no parent's"), 0),
        node("/a/%%", Some(b"%"), 1),
        node("/a/%%/x", None, 0),
        node("/a/empty", Some(b""), 0),
        node("/a/binary \u{e9}", Some(&[0xff, 0]), 0),
        TreeNode { mode: CreateMode::Container, ..node(&format!("/a/{}", "long".repeat(100)), Some(b"x"), 0) },
    ]
}

/// An archive, and before its end something that is added by hand.
fn archive(nodes: &[TreeNode], add: impl FnOnce(&mut Builder<Vec<u8>>)) -> Bytes {
    let mut writer = TarWriter::new();
    let mut bytes = writer.head(&Head::new("/", 16, 1)).expect("memory takes it");
    for node in nodes {
        bytes.extend(writer.node(node).expect("memory takes it"));
    }
    add(&mut writer.0);
    bytes.extend(writer.end(End { znodes: nodes.len() as u64 }).expect("memory takes it"));
    bytes.into()
}

/// An entry that no library would write.
fn hostile(name: &[u8], entry: EntryType, size: u64, content: &[u8]) -> impl FnOnce(&mut Builder<Vec<u8>>) {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(entry);
    header.set_size(size);
    header.set_cksum();
    move |archive| {
        archive.append_pax_extensions([(ATTRIBUTE, b"{}".as_slice())]).expect("memory takes it");
        archive.append(&header, content).expect("memory takes it");
    }
}

#[test]
fn what_is_written_can_be_read() {
    let nodes = sample();
    let bytes = archive(&nodes, |_| {});
    assert!(is_tar(&bytes) && !is_tar(b"{\"quorate_export\":1}"));
    let contents = read(&bytes).expect("whole");
    assert_eq!(contents.head, Head::new("/", 16, 1));
    assert_eq!(contents.nodes.len(), nodes.len());
    for (planned, node) in contents.nodes.iter().zip(&nodes) {
        assert_eq!((&planned.path, &planned.data, planned.mode), (&node.path, &node.data, node.mode));
        assert_eq!(planned.acl, node.acl);
    }
}

#[test]
fn a_hostile_archive_is_refused_as_a_whole() {
    let check = |add: &mut dyn FnMut(&mut Builder<Vec<u8>>), part: &str| {
        let error = read(&archive(&sample(), add)).expect_err(part);
        assert!(error.contains(part), "{error}");
    };
    let refuse = |name: &[u8], entry, content: &[u8], part: &str| {
        let mut add = Some(hostile(name, entry, content.len() as u64, content));
        check(&mut |archive| add.take().expect("it is added once")(archive), part);
    };
    let file = EntryType::Regular;
    refuse(b"znodes/a/../../etc", file, b"", "`..` is no name");
    refuse(b"znodes/./b", file, b"", "`.` is no name");
    refuse(b"znodes//b", file, b"", "`` is no name");
    refuse(b"znodes/%b", file, b"", "`%b` is not how a name is written");
    refuse(b"/etc/passwd", file, b"", "/etc/passwd does not lie in znodes/");
    refuse(b"../znodes/b", file, b"", "does not lie in znodes/");
    refuse(b"znodesb", file, b"", "does not lie in znodes/");
    refuse(b"znodes/\xff", file, b"", "invalid utf-8");
    refuse(b"znodes/a", file, b"", "znodes/a is there twice");
    refuse(b"znodes/a/%data", file, b"", "znodes/a/%data is there twice");
    refuse(b"znodes/a/empty/%data", file, b"", "comes before znodes/a/empty");
    refuse(b"znodes/b", EntryType::Symlink, b"", "neither a file nor a directory, but Symlink");
    refuse(b"znodes/b", EntryType::Link, b"", "neither a file nor a directory");
    refuse(b"znodes/b", EntryType::GNULongName, b"x", "neither a file nor a directory");
    refuse(b"znodes/b", EntryType::GNUSparse, b"", "neither a file nor a directory");
    refuse(b"znodes/b/", EntryType::Directory, b"x", "more than a znode can have");
    refuse(b"znodes/b", file, &vec![0; DATA_BYTES_MAX + 1], "has 1000001 bytes");
    refuse(b"x", EntryType::XHeader, &vec![0; EXTENSIONS_BYTES_MAX + 1], "an extended header has 4194305 bytes");
    refuse(b"x", EntryType::XHeader, b"12 size=100\n", "says a size of its own");
    refuse(b"znodes/b", file, b"", "it should have 8 znodes and has 9");

    // It says to be larger than everything there is.
    let mut add = Some(hostile(b"znodes/b", file, 8 << 40, b""));
    check(&mut |archive| add.take().expect("it is added once")(archive), "cut off in znodes/b");
}

#[test]
fn an_archive_that_is_not_whole_or_not_an_export_is_refused() {
    let whole = archive(&sample(), |_| {});
    let check = |bytes: Bytes, part: &str| {
        let error = read(&bytes).expect_err(part);
        assert!(error.contains(part), "{error}");
    };
    check(whole.slice(..whole.len() - 3 * 512 - 512), "it is cut off: its end is missing");
    check(whole.slice(..700), "cut off");
    check(whole.slice(..0), "it is empty");
    let mut writer = TarWriter::new();
    let bytes = writer.node(&sample()[1]).expect("memory takes it");
    check(bytes.into(), "comes before quorate-export.json");
    let without_attribute = archive(&[], |archive| {
        let mut header = Header::new_ustar();
        header.set_path("znodes/b").expect("short");
        header.set_size(0);
        header.set_cksum();
        archive.append(&header, &b""[..]).expect("memory takes it");
    });
    check(without_attribute, "znodes/b has no attribute user.quorate");
}
