//! `Machine`: the directories and files of one simulated computer, and what becomes of them at a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::file::SimFile;
use super::rng::Rng;
use super::{Crash, Faults};

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(u64),
    Dir(u64),
}

/// One directory.
#[derive(Clone, Debug, Default)]
struct SimDir {
    live: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    /// What was done since the last sync, each all or nothing.
    pending: Vec<Vec<(String, Option<Entry>)>>,
}

impl SimDir {
    fn change(&mut self, change: Vec<(String, Option<Entry>)>) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }
}

fn apply(entries: &mut BTreeMap<String, Entry>, change: &[(String, Option<Entry>)]) {
    for (name, entry) in change {
        match entry {
            Some(entry) => entries.insert(name.clone(), *entry),
            None => entries.remove(name),
        };
    }
}

const ROOT: u64 = 0;

/// The state behind all handles of one simulated disk.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    /// Counts the crashes: handles from before the last one are dead.
    pub(super) boot: u64,
    pub(super) locked: bool,
    /// Operations that change something, since the beginning.
    pub(super) operations: u64,
    pub(super) crash_at: Option<u64>,
    /// The machine has stopped; nothing works until the crash is carried out.
    halted: bool,
    dirs: BTreeMap<u64, SimDir>,
    files: BTreeMap<u64, SimFile>,
    next_id: u64,
}

impl Machine {
    pub(super) fn new(seed: u64, faults: Faults) -> Machine {
        assert!(faults.sector_bytes.is_power_of_two(), "sectors of {} bytes", faults.sector_bytes);
        Machine {
            rng: Rng::new(seed),
            faults,
            boot: 0,
            locked: false,
            operations: 0,
            crash_at: None,
            halted: false,
            dirs: BTreeMap::from([(ROOT, SimDir::default())]),
            files: BTreeMap::new(),
            next_id: ROOT + 1,
        }
    }

    pub(super) fn check_alive(&self, boot: u64) -> io::Result<()> {
        if self.halted || boot != self.boot {
            Err(io::Error::other("the simulated machine has stopped"))
        } else {
            Ok(())
        }
    }

    /// Counts an operation that changes something. `Ok(false)` if the machine stops in the middle of it, so that it
    /// may or may not be carried out, and cannot be answered.
    pub(super) fn begin(&mut self, boot: u64) -> io::Result<bool> {
        self.check_alive(boot)?;
        self.operations += 1;
        self.halted = self.crash_at.is_some_and(|at| self.operations >= at);
        Ok(!self.halted)
    }

    pub(super) fn crash(&mut self, crash: Crash) {
        if crash == Crash::Power {
            for dir in self.dirs.values_mut() {
                for change in std::mem::take(&mut dir.pending) {
                    if self.rng.coin() {
                        apply(&mut dir.durable, &change);
                    }
                }
                dir.live = dir.durable.clone();
            }
            self.files.values_mut().for_each(|file| file.lose_power(&self.faults, &mut self.rng));
        }
        for file in self.files.values_mut() {
            if self.rng.chance(self.faults.rot) {
                file.rot(&mut self.rng);
            }
        }
        self.collect();
        self.boot += 1;
        self.locked = false;
        self.halted = false;
        self.crash_at = None;
    }

    /// Forgets what no name leads to any more.
    fn collect(&mut self) {
        let (mut dirs, mut files) = (BTreeSet::from([ROOT]), BTreeSet::new());
        let mut unvisited = vec![ROOT];
        while let Some(id) = unvisited.pop() {
            let dir = &self.dirs[&id];
            let pending = dir.pending.iter().flatten().filter_map(|(_, entry)| entry.as_ref());
            for entry in dir.live.values().chain(dir.durable.values()).chain(pending) {
                match *entry {
                    Entry::File(id) => {
                        files.insert(id);
                    }
                    Entry::Dir(id) if dirs.insert(id) => unvisited.push(id),
                    Entry::Dir(_) => {}
                }
            }
        }
        self.dirs.retain(|id, _| dirs.contains(id));
        self.files.retain(|id, _| files.contains(id));
    }

    /// The directory that a path leads to.
    fn dir_of(&self, path: &str) -> io::Result<u64> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(ROOT, |dir, part| {
            match self.dirs[&dir].live.get(part) {
                Some(Entry::Dir(id)) => Ok(*id),
                Some(Entry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }

    fn parent_of<'p>(&self, path: &'p str) -> io::Result<(u64, &'p str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.dir_of(parent)?, name))
    }

    fn dir_mut(&mut self, id: u64) -> &mut SimDir {
        self.dirs.get_mut(&id).expect("entries lead to directories that exist")
    }

    fn entry(&self, path: &str) -> io::Result<Entry> {
        let (parent, name) = self.parent_of(path)?;
        self.dirs[&parent].live.get(name).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    fn add(&mut self, path: &str, entry: impl FnOnce(u64) -> Entry) -> io::Result<u64> {
        let (parent, name) = self.parent_of(path)?;
        if self.dirs[&parent].live.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.next_id;
        self.next_id += 1;
        self.dir_mut(parent).change(vec![(name.to_owned(), Some(entry(id)))]);
        Ok(id)
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<u64> {
        let id = self.add(path, Entry::File)?;
        self.files.insert(id, SimFile::default());
        Ok(id)
    }

    pub(super) fn create_dir(&mut self, path: &str) -> io::Result<()> {
        let id = self.add(path, Entry::Dir)?;
        self.dirs.insert(id, SimDir::default());
        Ok(())
    }

    pub(super) fn find(&self, path: &str) -> io::Result<u64> {
        match self.entry(path)? {
            Entry::File(id) => Ok(id),
            Entry::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        Ok(self.dirs[&self.dir_of(path)?].live.keys().cloned().collect())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (parent, old) = self.parent_of(from)?;
        let (other, new) = self.parent_of(to)?;
        assert_eq!(parent, other, "{from} renamed into another directory");
        let entry = self.entry(from)?;
        self.dir_mut(parent).change(vec![(old.to_owned(), None), (new.to_owned(), Some(entry))]);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        self.find(path)?;
        let (parent, name) = self.parent_of(path)?;
        self.dir_mut(parent).change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &str) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (parent, name) = self.parent_of(path)?;
        self.dir_mut(parent).change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        let id = self.dir_of(path)?;
        let dir = self.dir_mut(id);
        dir.durable = dir.live.clone();
        dir.pending.clear();
        Ok(())
    }

    pub(super) fn file(&mut self, id: u64) -> &mut SimFile {
        self.files.get_mut(&id).expect("files outlive their handles until a crash")
    }

    pub(super) fn file_and_rng(&mut self, id: u64) -> (&mut SimFile, &mut Rng, &Faults) {
        let file = self.files.get_mut(&id).expect("files outlive their handles until a crash");
        (file, &mut self.rng, &self.faults)
    }

    /// Bytes that a file may still grow.
    pub(super) fn room(&self) -> u64 {
        let named = self.dirs.values().flat_map(|dir| dir.live.values());
        let used = named.map(|entry| if let Entry::File(id) = entry { self.files[id].len() } else { 0 });
        self.faults.capacity_bytes.saturating_sub(used.sum())
    }

    /// The paths of all files.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut unvisited = vec![(ROOT, String::new())];
        while let Some((id, prefix)) = unvisited.pop() {
            for (name, entry) in &self.dirs[&id].live {
                match entry {
                    Entry::File(_) => paths.push(format!("{prefix}{name}")),
                    Entry::Dir(id) => unvisited.push((*id, format!("{prefix}{name}/"))),
                }
            }
        }
        paths.sort_unstable();
        paths
    }
}
