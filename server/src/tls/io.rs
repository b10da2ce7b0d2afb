//! `Io`: a byte stream, with or without TLS.

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::either::Either;

/// A byte stream: as it is, or encrypted.
pub(crate) type Io = Either<TcpStream, Box<TlsStream<TcpStream>>>;
