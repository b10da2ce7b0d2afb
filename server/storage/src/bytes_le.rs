//! Checksums, and little-endian fields at fixed places of a header.

/// CRC-32C, in hardware where there is any.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of several pieces that lie one after the other.
pub(crate) fn crc32c_parts<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    parts.for_each(|part| digest.update(part));
    u32::try_from(digest.finalize()).expect("a 32-bit checksum")
}

/// Writes the fields of a header one after the other into a zeroed block.
pub(crate) struct Put<'a> {
    block: &'a mut [u8],
    at: usize,
}

impl<'a> Put<'a> {
    pub(crate) fn at(block: &'a mut [u8], at: usize) -> Put<'a> {
        Put { block, at }
    }

    pub(crate) fn bytes(mut self, field: &[u8]) -> Self {
        self.block[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
        self
    }

    pub(crate) fn u8(self, field: u8) -> Self {
        self.bytes(&[field])
    }

    pub(crate) fn u32(self, field: u32) -> Self {
        self.bytes(&field.to_le_bytes())
    }

    pub(crate) fn u64(self, field: u64) -> Self {
        self.bytes(&field.to_le_bytes())
    }

    pub(crate) fn u128(self, field: u128) -> Self {
        self.bytes(&field.to_le_bytes())
    }
}

/// Reads the fields of a header whose length was checked before.
pub(crate) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(crate) fn from(rest: &'a [u8]) -> Take<'a> {
        Take { rest }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.rest.split_first_chunk().expect("the caller has checked the length of the header");
        self.rest = rest;
        *field
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.array())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c_whole_or_in_parts() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c_parts([&b"1234"[..], b"", b"56789"].into_iter()), 0xe306_9283);
        assert_eq!(crc32c(b""), crc32c_parts(std::iter::empty()));
    }
}
