//! The form tar of an export, for those who want to look at it as files:
//!
//! | entry | is |
//! | --- | --- |
//! | `quorate-export.json` | the head, which comes first |
//! | `znodes/app/port`, a file | a znode with data and without children |
//! | `znodes/app/`, a directory | a znode with children, or with null data |
//! | `znodes/app/%data` | the data of a znode that is a directory; a name that begins with `%` has one more of it |
//! | `quorate-export-end.json` | the end, by which an archive that was cut off is told from a whole one |
//!
//! The kind and the ACL of a znode are JSON in its extended attribute `user.quorate`, which `tar --xattrs` keeps.
//!
//! Whoever has made an archive may mean no good: nothing is believed of a size before the bytes are there, nothing has a
//! place outside of the tree, and what is neither a file nor a directory has no place at all.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use quorate_client::TreeNode;
use serde::Serialize;
use tar::{Archive, Builder, EntryType, Header, PaxExtensions};

use super::export_file::{Contents, End, EndLine, Head, Kind, Planned, check_end, check_format};

/// The first entry.
const HEAD: &str = "quorate-export.json";

/// The last entry.
const END: &str = "quorate-export-end.json";

/// The directory that the root is.
const ROOT: &str = "znodes";

/// The data of a znode that is a directory.
const DATA: &str = "%data";

/// How an extended attribute is written in an archive.
const ATTRIBUTE: &str = "SCHILY.xattr.user.quorate";

/// How a name is that is too long for the entry itself.
const LONG_PATH: &str = "path";

/// What stands in the entry then.
const SHORT_PATH: &str = "znodes/%long";

/// The ensemble takes no more.
const DATA_BYTES_MAX: usize = 1_000_000;

/// A path and an ACL have room in it several times.
const EXTENSIONS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Writes an archive piece by piece.
pub(super) struct TarWriter(Builder<Vec<u8>>);

impl TarWriter {
    pub(super) fn new() -> TarWriter {
        TarWriter(Builder::new(Vec::new()))
    }

    pub(super) fn head(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        self.document(HEAD, head)
    }

    pub(super) fn node(&mut self, node: &TreeNode) -> io::Result<Vec<u8>> {
        let path = format!("{ROOT}{}", escaped(&node.path));
        let kind = serde_json::to_vec(&Kind::new(node))?;
        let mtime = u64::try_from(node.stat.mtime_ms / 1000).unwrap_or(0);
        match &node.data {
            Some(data) if node.stat.num_children == 0 => {
                self.entry(&path, EntryType::Regular, mtime, Some(&kind), data)?
            }
            data => {
                let path = format!("{}/", path.trim_end_matches('/'));
                self.entry(&path, EntryType::Directory, mtime, Some(&kind), b"")?;
                if let Some(data) = data {
                    let path = format!("{path}{DATA}");
                    self.entry(&path, EntryType::Regular, mtime, None, data)?;
                }
            }
        }
        Ok(self.take())
    }

    pub(super) fn end(mut self, end: End) -> io::Result<Vec<u8>> {
        let mut rest = self.document(END, &EndLine { end })?;
        rest.extend(self.0.into_inner()?);
        Ok(rest)
    }

    fn document(&mut self, name: &str, document: &impl Serialize) -> io::Result<Vec<u8>> {
        self.entry(name, EntryType::Regular, 0, None, &serde_json::to_vec(document)?)?;
        Ok(self.take())
    }

    fn entry(&mut self, path: &str, kind: EntryType, mtime: u64, about: Option<&[u8]>, data: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_mtime(mtime);
        header.set_size(data.len() as u64);
        let mut extensions: Vec<(&str, &[u8])> = about.map(|about| (ATTRIBUTE, about)).into_iter().collect();
        if header.set_path(path).is_err() {
            header.set_path(SHORT_PATH)?;
            extensions.push((LONG_PATH, path.as_bytes()));
        }
        header.set_cksum();
        self.0.append_pax_extensions(extensions)?;
        self.0.append(&header, data)
    }

    /// What was written since.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.0.get_mut())
    }
}

/// Whether these bytes begin an archive.
pub(super) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// Reads and checks a whole archive.
pub(super) fn read(bytes: &Bytes) -> Result<Contents, String> {
    let mut reading = Reading::default();
    let mut archive = Archive::new(&bytes[..]);
    let entries = archive.entries().map_err(|error| format!("it is no archive: {error}"))?;
    for entry in entries.raw(true) {
        let entry = entry.map_err(|error| format!("it is damaged or cut off: {error}"))?;
        let content =
            place(entry.raw_file_position(), entry.size()).and_then(|place| bytes.get(place.clone()).map(|_| place));
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let content = content.ok_or_else(|| format!("it is cut off in {name}"))?;
        reading.take_in(&entry.header().entry_type(), &entry.path_bytes(), bytes.slice(content))?;
    }
    reading.finish()
}

/// Where an entry is; `None` if it says something that cannot be.
fn place(start: u64, size: u64) -> Option<Range<usize>> {
    let end = start.checked_add(size)?;
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    head: Option<Head>,
    nodes: Vec<Planned>,
    /// Where in `nodes` a path is, and whether it is a directory.
    known: HashMap<String, (usize, bool)>,
    /// What is said about the entry that comes next.
    extensions: Extensions,
    end: Option<End>,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    kind: Option<Kind>,
}

impl Reading {
    fn take_in(&mut self, entry: &EntryType, path: &[u8], content: Bytes) -> Result<(), String> {
        if *entry == EntryType::XHeader {
            self.extensions = extensions(&content)?;
            return Ok(());
        }
        let Extensions { path: long, kind } = std::mem::take(&mut self.extensions);
        let path = String::from_utf8(long.unwrap_or_else(|| path.to_vec())).map_err(|error| error.to_string())?;
        let is_directory = match entry {
            EntryType::Regular => false,
            EntryType::Directory => true,
            other => return Err(format!("{path} is neither a file nor a directory, but {other:?}")),
        };
        if content.len() > if is_directory { 0 } else { DATA_BYTES_MAX } {
            return Err(format!("{path} has {} bytes, which is more than a znode can have", content.len()));
        }
        if self.end.is_some() {
            return Err(format!("{path} comes after its end"));
        }
        let wrong = |error: serde_json::Error| format!("{path}: {error}");
        match path.as_str() {
            HEAD if self.head.is_none() => {
                let head = serde_json::from_slice(&content).map_err(wrong)?;
                check_format(&head)?;
                self.head = Some(head);
                Ok(())
            }
            _ if self.head.is_none() => {
                Err(format!("{path} comes before {HEAD}: `quorate export` has not written this"))
            }
            END => {
                let EndLine { end } = serde_json::from_slice(&content).map_err(wrong)?;
                self.end = Some(end);
                Ok(())
            }
            _ => self.znode(&path, is_directory, kind, content),
        }
    }

    fn znode(&mut self, path: &str, is_directory: bool, kind: Option<Kind>, content: Bytes) -> Result<(), String> {
        if let Some(of) = path.strip_suffix(DATA).and_then(|of| of.strip_suffix('/')).filter(|_| !is_directory) {
            let znode = znode_path(of)?;
            let known = self.known.get(&znode).filter(|(_, is_directory)| *is_directory);
            let node = known.map(|(at, _)| &mut self.nodes[*at]).ok_or_else(|| format!("{path} comes before {of}"))?;
            return match node.data.replace(content) {
                None => Ok(()),
                Some(_) => Err(format!("{path} is there twice")),
            };
        }
        let znode = znode_path(path)?;
        let kind = kind.ok_or_else(|| {
            format!("{path} has no attribute user.quorate, with its ACL: was it packed without `tar --xattrs`?")
        })?;
        if self.known.insert(znode.clone(), (self.nodes.len(), is_directory)).is_some() {
            return Err(format!("{path} is there twice"));
        }
        self.nodes.push(Planned::new(znode, (!is_directory).then_some(content), kind)?);
        Ok(())
    }

    fn finish(self) -> Result<Contents, String> {
        let head = self.head.ok_or_else(|| "it is empty".to_owned())?;
        check_end(self.end, self.nodes.len())?;
        Ok(Contents { head, nodes: self.nodes })
    }
}

fn extensions(content: &Bytes) -> Result<Extensions, String> {
    if content.len() > EXTENSIONS_BYTES_MAX {
        return Err(format!("an extended header has {} bytes", content.len()));
    }
    let mut found = Extensions::default();
    for extension in PaxExtensions::new(content) {
        let extension = extension.map_err(|error| format!("an extended header is damaged: {error}"))?;
        match extension.key_bytes() {
            key if key == LONG_PATH.as_bytes() => found.path = Some(extension.value_bytes().to_vec()),
            key if key == ATTRIBUTE.as_bytes() => {
                let kind = serde_json::from_slice(extension.value_bytes());
                found.kind = Some(kind.map_err(|error| format!("an attribute user.quorate is wrong: {error}"))?);
            }
            b"size" => return Err("an extended header says a size of its own".to_owned()),
            _ => {}
        }
    }
    Ok(found)
}

/// Names that begin as [`DATA`] does are told from it.
fn escaped(path: &str) -> String {
    path.replace("/%", "/%%")
}

/// The znode of an entry.
fn znode_path(entry: &str) -> Result<String, String> {
    let outside = || format!("{entry} does not lie in {ROOT}/");
    let rest = entry.trim_end_matches('/').strip_prefix(ROOT).ok_or_else(outside)?;
    if rest.is_empty() {
        return Ok("/".to_owned());
    }
    let mut path = String::new();
    for name in rest.strip_prefix('/').ok_or_else(outside)?.split('/') {
        let plain = match name.strip_prefix('%') {
            None => name,
            Some(rest) if rest.starts_with('%') => rest,
            Some(_) => return Err(format!("{entry}: `{name}` is not how a name is written")),
        };
        if ["", ".", ".."].contains(&plain) {
            return Err(format!("{entry}: `{plain}` is no name"));
        }
        path.push('/');
        path.push_str(plain);
    }
    Ok(path)
}

#[cfg(test)]
mod tests;
