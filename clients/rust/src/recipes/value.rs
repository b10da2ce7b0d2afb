//! `Value`: what can be written into a znode and read back.

use bytes::Bytes;

/// A type of which a recipe keeps values in znodes.
///
/// Numbers are written as decimal text, which people can read and kazoo's `Counter` does.
pub trait Value: Sized + Send + Sync + 'static {
    /// As a znode's data.
    fn to_data(&self) -> Bytes;

    /// From a znode's data.
    ///
    /// # Errors
    /// What is wrong with it, for humans.
    fn from_data(data: &[u8]) -> Result<Self, String>;
}

impl Value for Bytes {
    fn to_data(&self) -> Bytes {
        self.clone()
    }

    fn from_data(data: &[u8]) -> Result<Bytes, String> {
        Ok(Bytes::copy_from_slice(data))
    }
}

impl Value for String {
    fn to_data(&self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }

    fn from_data(data: &[u8]) -> Result<String, String> {
        std::str::from_utf8(data).map(str::to_owned).map_err(|error| error.to_string())
    }
}

impl Value for i64 {
    fn to_data(&self) -> Bytes {
        self.to_string().into()
    }

    fn from_data(data: &[u8]) -> Result<i64, String> {
        let text = String::from_data(data)?;
        text.trim().parse().map_err(|error| format!("{text:?} is no number: {error}"))
    }
}
