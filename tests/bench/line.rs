//! `Line`: a Channel on which one operation is outstanding at a time.

use quorate_proto::v1;
use quorate_proto::v1::channel_item::Item;
use quorate_proto::v1::channel_operation::Operation;
use quorate_proto::v1::channel_reply::Result as Answer;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// One Channel and its sending end.
pub(crate) struct Line {
    sender: mpsc::Sender<v1::ChannelRequest>,
    responses: Streaming<v1::ChannelResponse>,
}

impl Line {
    /// Opens a Channel and sends its first message.
    pub(crate) async fn open(client: &mut SessionServiceClient<Channel>, first: v1::ChannelRequest) -> Line {
        let (sender, receiver) = mpsc::channel(4);
        sender.send(first).await.unwrap();
        let responses = client.channel(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Line { sender, responses }
    }

    /// The next reply.
    pub(crate) async fn reply(&mut self) -> Answer {
        loop {
            for item in self.responses.message().await.unwrap().unwrap().items {
                if let Some(Item::Reply(reply)) = item.item {
                    return reply.result.unwrap();
                }
            }
        }
    }

    /// Sends one operation and waits for its reply; nothing else is outstanding.
    pub(crate) async fn call(&mut self, operation: Operation) -> Answer {
        let operations = vec![v1::ChannelOperation { id: 1, timeout_ms: 0, operation: Some(operation) }];
        self.sender.send(v1::ChannelRequest { attach: None, operations }).await.unwrap();
        self.reply().await
    }
}
