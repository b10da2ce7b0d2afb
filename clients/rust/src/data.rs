//! `Data`: what a znode holds, where null and empty differ.

use bytes::Bytes;

/// The data of a znode: null, or any bytes, at most 1,000,000. Null and empty are different things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data(Option<Bytes>);

impl Data {
    /// No data at all.
    #[must_use]
    pub const fn null() -> Data {
        Data(None)
    }

    pub(crate) fn into_inner(self) -> Option<Bytes> {
        self.0
    }
}

impl From<Option<Bytes>> for Data {
    fn from(data: Option<Bytes>) -> Data {
        Data(data)
    }
}

impl From<Bytes> for Data {
    fn from(data: Bytes) -> Data {
        Data(Some(data))
    }
}

impl From<Vec<u8>> for Data {
    fn from(data: Vec<u8>) -> Data {
        Data(Some(data.into()))
    }
}

impl From<String> for Data {
    fn from(data: String) -> Data {
        Data(Some(data.into()))
    }
}

impl From<&[u8]> for Data {
    fn from(data: &[u8]) -> Data {
        Data(Some(Bytes::copy_from_slice(data)))
    }
}

impl<const N: usize> From<&[u8; N]> for Data {
    fn from(data: &[u8; N]) -> Data {
        Data::from(data.as_slice())
    }
}

impl From<&str> for Data {
    fn from(data: &str) -> Data {
        Data::from(data.as_bytes())
    }
}
