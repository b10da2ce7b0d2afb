//! `Rotating`: something made of files, made again when they change.
//!
//! Files are replaced one after another, and not all at once: a change counts only when nothing has moved between two
//! looks. If what is there then cannot be used, what was made before stays in use, and the log says so.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time;

use super::TlsError;

/// How often the files are looked at. Twice this is how long a new certificate takes to be used.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

type Make<T> = Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>;

/// See the module.
pub(crate) struct Rotating<T> {
    /// What it is for, in the log.
    purpose: &'static str,
    files: Vec<PathBuf>,
    make: Make<T>,
    current: RwLock<T>,
    seen: Mutex<Seen>,
}

/// What tells one content of a file from another without reading it; `None` if there is no such file.
type Print = Option<(u64, u64, i64, i64)>;

/// The files as they were ...
struct Seen {
    /// ... when something was last made of them, or could not be.
    judged: Vec<Print>,
    /// ... at the last look.
    last: Vec<Print>,
}

/// What came of a look at the files.
#[derive(Debug)]
enum Look {
    Same,
    Changing,
    Made,
    Unusable(TlsError),
}

impl<T: Clone + Send + Sync + 'static> Rotating<T> {
    /// Makes it for the first time.
    pub(crate) fn new(
        purpose: &'static str,
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Rotating<T>, TlsError> {
        // Looked at first: what is written meanwhile is found to have changed.
        let prints: Vec<Print> = files.iter().map(print).collect();
        let current = RwLock::new(make()?);
        let seen = Mutex::new(Seen { judged: prints.clone(), last: prints });
        Ok(Rotating { purpose, files, make: Box::new(make), current, seen })
    }

    /// What was last made.
    pub(crate) fn current(&self) -> T {
        self.current.read().clone()
    }

    /// Looks at the files from time to time, until `stop`. On a thread of its own: a file may take long to be read, and
    /// this one must not wait.
    pub(crate) async fn keep_fresh(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = time::sleep(LOOK_INTERVAL) => {}
            }
            let looking = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || looking.look()).await {
                Ok(Look::Same | Look::Changing) => {}
                Ok(Look::Made) => tracing::info!(purpose = self.purpose, "new certificates are in use"),
                Ok(Look::Unusable(error)) => {
                    let purpose = self.purpose;
                    tracing::error!(purpose, %error, "new certificates cannot be used; those before stay in use");
                }
                // It was cancelled with the runtime.
                Err(_) => return,
            }
        }
    }

    fn look(&self) -> Look {
        let prints: Vec<Print> = self.files.iter().map(print).collect();
        let mut seen = self.seen.lock();
        let stands_still = seen.last == prints;
        seen.last.clone_from(&prints);
        if prints == seen.judged {
            return Look::Same;
        }
        if !stands_still {
            return Look::Changing;
        }
        seen.judged = prints;
        match (self.make)() {
            Ok(made) => {
                *self.current.write() = made;
                Look::Made
            }
            Err(error) => Look::Unusable(error),
        }
    }
}

/// Of what a link leads to, as that is what is swapped where certificates are mounted.
fn print(path: &PathBuf) -> Print {
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The length of a file, which must not be odd.
    fn even(path: PathBuf) -> Result<usize, TlsError> {
        let length = fs::read(&path).map_err(|error| TlsError::unusable(&path, error))?.len();
        if length.is_multiple_of(2) { Ok(length) } else { Err(TlsError::unusable(&path, "odd")) }
    }

    #[test]
    fn a_change_counts_once_it_stands_still_and_what_cannot_be_used_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "12").unwrap();
        let path = file.clone();
        let rotating = Rotating::new("a test", vec![file.clone()], move || even(path.clone())).unwrap();
        assert!(matches!(rotating.look(), Look::Same));
        fs::write(&file, "1234").unwrap();
        assert!(matches!(rotating.look(), Look::Changing));
        assert_eq!(rotating.current(), 2);
        assert!(matches!(rotating.look(), Look::Made));
        assert_eq!(rotating.current(), 4);
        assert!(matches!(rotating.look(), Look::Same));

        for unusable in [Some("12345"), None] {
            match unusable {
                Some(text) => fs::write(&file, text).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            assert!(matches!(rotating.look(), Look::Changing));
            assert!(matches!(rotating.look(), Look::Unusable(_)));
            // Said once.
            assert!(matches!(rotating.look(), Look::Same));
            assert_eq!(rotating.current(), 4);
        }

        // What moves between any two looks is left alone until it does not.
        for text in ["1", "123456", "12345678"] {
            fs::write(&file, text).unwrap();
            assert!(matches!(rotating.look(), Look::Changing));
        }
        assert!(matches!(rotating.look(), Look::Made));
        assert_eq!(rotating.current(), 8);
    }
}
