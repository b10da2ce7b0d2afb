//! `Remembered`: the answers to writes that carried a request id.

use std::collections::BTreeMap;

use quorate_types::{Code, Op, Reply, RequestId, Response, SessionId, limits};

use super::{Ask, error};

/// Whose sequence of requests it is: a session's, or that of one client of a sessionless caller.
type Client = (SessionId, Vec<(String, String)>, u128);

/// Answers by client and sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    clients: BTreeMap<Client, Answers>,
}

#[derive(Clone, Debug, Default)]
struct Answers {
    by_sequence: BTreeMap<u64, (Op, Reply)>,
    forgotten_through: u64,
}

impl Remembered {
    /// The answer to a request whose id is known, if it is known.
    pub(super) fn recall(&self, ask: &Ask) -> Option<Response> {
        let (client, id) = key(ask)?;
        let answers = self.clients.get(&client)?;
        match answers.by_sequence.get(&id.sequence) {
            Some((op, reply)) if *op == ask.op => Some(Ok(reply.clone())),
            Some(_) => Some(Err(error(Code::RequestIdReused))),
            None if id.sequence <= answers.forgotten_through => Some(Err(error(Code::RequestIdForgotten))),
            None => None,
        }
    }

    /// Keeps the answer to a request that was carried out, and drops what need not be kept any longer.
    pub(super) fn remember(&mut self, ask: &Ask, reply: &Reply) {
        let Some((client, id)) = key(ask) else { return };
        let answers = self.clients.entry(client).or_default();
        answers.by_sequence.retain(|sequence, _| *sequence > id.acknowledged_through);
        answers.forgotten_through = answers.forgotten_through.max(id.acknowledged_through);
        answers.by_sequence.insert(id.sequence, (ask.op.clone(), reply.clone()));
        while answers.by_sequence.len() > limits::REMEMBERED_REQUESTS_MAX {
            if let Some((sequence, _)) = answers.by_sequence.pop_first() {
                answers.forgotten_through = answers.forgotten_through.max(sequence);
            }
        }
    }

    pub(super) fn forget_session(&mut self, session: SessionId) {
        self.clients.retain(|(of, _, _), _| *of != session);
    }
}

fn key(ask: &Ask) -> Option<(Client, RequestId)> {
    let id = ask.request_id?;
    if ask.session.is_some() {
        return Some(((ask.session, Vec::new(), 0), id));
    }
    let identities = ask.caller.identities.iter().map(|one| (one.scheme.clone(), one.id.clone())).collect();
    Some(((SessionId::NONE, identities, id.client), id))
}
