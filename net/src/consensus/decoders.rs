//! What Raft's peers say and what Raft's files hold, handed to the attack on decoders.

use cresset_core::cluster::{ClusterState, Command, STATE_VERSIONS};
use cresset_core::ids::{Incarnation, Life, LogIndex, MemberId};

use super::testing::{binds, join};
use super::{log, rpc, snapshots};
use crate::hostile_bytes::Decoder;

/// Every decoder of this room, and core's of the agreed state.
pub(crate) fn decoders() -> Vec<Decoder> {
    let of_state = Decoder {
        name: "snapshot of the agreed state",
        sound: vec![ClusterState::new().encode_snapshot(), state().encode_snapshot()],
        seal: |bytes| {
            if let Some((header, content)) = bytes.split_at_mut_checked(12) {
                header[8..].copy_from_slice(&crc32fast::hash(content).to_be_bytes());
            }
        },
        decode: |bytes| ClusterState::decode_snapshot(bytes, STATE_VERSIONS).is_ok(),
    };
    let mut decoders = vec![of_state, snapshots::tests::decoder(state().encode_snapshot())];
    decoders.extend(rpc::tests::decoders());
    decoders.extend(log::tests::decoders());
    decoders
}

/// Two members, of which one has some sessions.
fn state() -> ClusterState {
    let life = Life { member: MemberId(1), incarnation: Incarnation(1) };
    let commands = [join(1, 11), join(2, 22), Command::Activate(life), binds(MemberId(1), Incarnation(1), 1, 5)];
    let mut state = ClusterState::new();
    for (index, command) in (1..).zip(&commands) {
        state.apply(LogIndex(index), command);
    }
    assert_eq!(state.sessions(), 5);
    state
}
