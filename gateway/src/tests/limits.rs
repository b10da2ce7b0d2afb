//! What is too much or too slow is refused, each in its way.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;

fn limited(config: Config) -> Router {
    router(tree().client(), config)
}

fn pieces(pieces: &[&'static str]) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Send + use<> {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
    StreamBody::new(stream::iter(pieces))
}

#[tokio::test]
async fn a_body_is_limited_whether_it_says_its_length_or_not() {
    let gateway = limited(Config { body_bytes_max: 10, ..Config::default() });
    let put = || request("PUT", "/v1/znodes/a");
    let too_large = (413, "TOO_LARGE".to_owned());
    assert_eq!(send(&gateway, put().header("content-length", "11"), "").await.verdict(), too_large);
    assert_eq!(send(&gateway, put(), "01234567890").await.verdict(), too_large);
    assert_eq!(send(&gateway, put(), Body::new(pieces(&["01234", "56789", "0"]))).await.verdict(), too_large);
    assert_eq!(send(&gateway, put(), "0123456789").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let fake = tree();
    let gateway = gateway(&fake);
    for (given, expected) in [(vec!["one"], "one"), (vec!["one", "", " two", " three"], "one two three"), (vec![], "")]
    {
        send(&gateway, request("PUT", "/v1/znodes/a"), Body::new(pieces(&given))).await;
        let asked = fake.asked();
        let [Operation::SetData(asked)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!(asked.data.as_deref(), Some(expected.as_bytes()));
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let gateway = limited(Config { body_timeout: Duration::from_millis(20), ..Config::default() });
    let stalled = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>().boxed());
    let answered = send(&gateway, request("PUT", "/v1/znodes/a"), Body::new(stalled)).await;
    assert_eq!(answered.verdict(), (408, "REQUEST_TIMEOUT".to_owned()));
}

#[tokio::test]
async fn bodies_that_are_not_all_there_have_a_limit_together() {
    let gateway = limited(Config { bodies_bytes_max: 8, ..Config::default() });
    let put = || request("PUT", "/v1/znodes/a");
    let throttled = (429, "THROTTLED".to_owned());
    let (sender, body) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let body = Body::new(StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(body)));
    let slow = tokio::spawn({
        let gateway = gateway.clone();
        async move { send(&gateway, put(), body).await }
    });
    sender.send(Ok(Frame::data(Bytes::from_static(b"01234")))).await.unwrap();
    // Its place is free when the first piece was taken.
    sender.reserve().await.unwrap();
    assert_eq!(send(&gateway, put(), Body::new(pieces(&["01", "23"]))).await.verdict(), throttled);
    assert_eq!(send(&gateway, put(), Body::new(pieces(&["0", "12"]))).await.status.as_u16(), 200);
    // What is there at once waits for nobody.
    assert_eq!(send(&gateway, put(), "0123456789").await.status.as_u16(), 200);
    sender.send(Ok(Frame::data(Bytes::from_static(b"5678")))).await.unwrap();
    assert_eq!(slow.await.unwrap().verdict(), throttled);
    // Nothing is kept for what was refused.
    assert_eq!(send(&gateway, put(), Body::new(pieces(&["0123", "4567"]))).await.status.as_u16(), 200);
}

#[tokio::test]
async fn urls_and_headers_are_limited() {
    let gateway = limited(Config { uri_bytes_max: 100, header_bytes_max: 200, ..Config::default() });
    let long = format!("/v1/znodes/{}", "x".repeat(100));
    assert_eq!(get(&gateway, &long).await.verdict(), (414, "URI_TOO_LONG".to_owned()));
    let query = format!("/v1/znodes/a?consistency={}", "x".repeat(100));
    assert_eq!(get(&gateway, &query).await.verdict(), (414, "URI_TOO_LONG".to_owned()));
    let large = request("GET", "/v1/znodes/a").header("x-large", "x".repeat(200));
    assert_eq!(send(&gateway, large, "").await.verdict(), (431, "HEADER_TOO_LARGE".to_owned()));
    let many = (0..8).fold(request("GET", "/v1/znodes/a"), |builder, at| builder.header(format!("x-{at}"), "y"));
    assert_eq!(send(&gateway, many, "").await.verdict(), (431, "HEADER_TOO_LARGE".to_owned()));
    assert_eq!(get(&gateway, "/v1/znodes/a").await.status.as_u16(), 200);
}

#[tokio::test]
async fn requests_under_way_are_limited() {
    let config = Config { requests_max: 1, body_timeout: Duration::from_secs(60), ..Config::default() };
    let gateway = limited(config);
    let (sender, body) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let body = Body::new(StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(body)));
    let slow = tokio::spawn({
        let gateway = gateway.clone();
        async move { send(&gateway, request("PUT", "/v1/znodes/a"), body).await }
    });
    tokio::task::yield_now().await;
    let refused = get(&gateway, "/livez").await;
    assert_eq!(refused.verdict(), (429, "THROTTLED".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-policy"), "\"requests\";q=1;qu=\"concurrent-requests\"");
    assert_eq!(refused.header("ratelimit"), "\"requests\";r=0");
    drop(sender);
    assert_eq!(slow.await.unwrap().status.as_u16(), 200);
    assert_eq!(get(&gateway, "/livez").await.status.as_u16(), 200);
}
