//! Every bound of the core in one place, with what happens at the bound.

use std::time::Duration;

/// Bytes of one stanza, tags included. Beyond it: stream error `policy-violation` for the sender. RFC 6120 section
/// 13.12 asks for at least 10,000.
pub const STANZA_BYTES_MAX: usize = 256 * 1024;

/// Bytes of one top-level element before authentication. Beyond it: stream error `policy-violation`.
pub const STANZA_BYTES_BEFORE_AUTHENTICATION_MAX: usize = 64 * 1024;

/// Bytes of the id and of `xml:lang` of a stanza. Beyond it the stanza is refused with `bad-request`. As much as a part
/// of a JID may have.
pub const STANZA_TEXT_BYTES_MAX: usize = 1023;

/// Nesting of elements within a stanza, the stanza itself being 1. Beyond it: stream error `policy-violation`.
pub const XML_DEPTH_MAX: usize = 64;

/// Attributes and namespace declarations of one element. Beyond it: stream error `policy-violation`.
pub const XML_ATTRIBUTES_MAX: usize = 64;

/// Bytes of one element or attribute name, prefix included. Beyond it: stream error `policy-violation`.
pub const XML_NAME_BYTES_MAX: usize = 512;

/// Bytes of one address: three parts and what stands between them (RFC 7622 section 3.1). Beyond it text is no JID, and
/// is not looked at.
pub const JID_BYTES_MAX: usize = 3 * JID_PART_BYTES_MAX + 2;

/// Bytes of one part of an address, as written and as prepared (RFC 7622 section 3.1). Beyond it text is no JID.
pub const JID_PART_BYTES_MAX: usize = 1023;

/// Characters of one label of a domain. In the form that DNS has it has as many bytes at least, and may have 63
/// (RFC 1035 section 2.3.4). Beyond it text is no JID, and is not converted.
pub const JID_LABEL_CHARACTERS_MAX: usize = 63;

/// Characters of a domain, as [`JID_LABEL_CHARACTERS_MAX`]. DNS allows 253 bytes.
pub const JID_DOMAIN_CHARACTERS_MAX: usize = 253;

/// Characters of a resource whose place is restricted by a rule (RFC 5892 appendix A), as the middle dot, if the resource
/// has others that only PRECIS knows. Each costs a look through the whole of it. Beyond it text is no JID.
pub const JID_CONTEXT_CHARACTERS_MAX: usize = 16;

/// How long a connection may take to authenticate, whatever it sends meanwhile. Beyond it: stream error
/// `connection-timeout`.
pub const AUTHENTICATION_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a TLS handshake may take. Beyond it the connection is closed.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Failed attempts to authenticate on one stream. Beyond it: stream error `policy-violation` (RFC 6120 section 6.4.5).
pub const AUTHENTICATION_FAILURES_MAX: u32 = 5;

/// File descriptors that a node keeps from its clients, or three quarters of those that it has: a hundred for the process,
/// its disk, its ports and its database, a hundred and fifty for those who may hold the ports for members, for health and
/// for operators, and the rest for links. A client beyond the others is refused.
pub const DESCRIPTORS_RESERVED: usize = 512;

/// Connections from one host (an IPv4 address, the /64 of an IPv6 address) on which nobody has authenticated: as many as
/// may come at once from behind one address translator after a failure. Beyond it, or beyond an eighth of what is free, a
/// connection is closed at once.
pub const HOST_STRANGERS_MAX: usize = 2_000;

/// How many of them are let in however little is free, as long as anything is: a client and its other devices.
pub const HOST_STRANGERS_MIN: usize = 16;

/// How long somebody who has come to a port where it has to say what it wants keeps its seat at least. The next one is
/// let in when the seat that it needs has been taken for so long. Long enough to look at what has come with a connection,
/// or right after it; short enough that 64 seats take in ten thousand strangers a second: whoever waits to be let in
/// longer than the queue of the system holds is not heard at all.
pub const SEAT_TIME_MIN: Duration = Duration::from_millis(5);

/// As [`HOST_STRANGERS_MAX`], from one network (the /24 of an IPv4 address, the /48 of an IPv6 address), with a quarter of
/// what is free.
pub const NETWORK_STRANGERS_MAX: usize = 4_000;

/// As [`HOST_STRANGERS_MIN`], from one network.
pub const NETWORK_STRANGERS_MIN: usize = 32;

/// Sessions of one account in the whole cluster. Beyond it a bind is refused with `resource-constraint`. Part of the
/// agreed state's format: all members must use the same number.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 32;

/// Stanzas that wait for one client, unacknowledged ones included. Beyond it the session is ended with
/// `resource-constraint` and what waited is routed again.
pub const SESSION_QUEUE_STANZAS_MAX: usize = 10_000;

/// Weight of the stanzas that wait for one client, in its mailbox and unacknowledged. Beyond it as for
/// [`SESSION_QUEUE_STANZAS_MAX`].
pub const SESSION_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Weight of the stanzas that wait on one node for all clients of one account. A session may have as much of it as is
/// left, so the sum never comes near it, and a session for which little waits is not ended because much waits for
/// others. Beyond what is left as for [`SESSION_QUEUE_STANZAS_MAX`].
pub const ACCOUNT_QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a session without a connection may be resumed (XEP-0198 `max`); what a client asks beyond it is reduced
/// to it.
pub const RESUMPTION_TIME_MAX: Duration = Duration::from_secs(300);

/// How long messages to a session that was just bound wait for its initial presence while earlier ones to the same full
/// JID are stored. Beyond it they are delivered; a client that never sends presence gets what is sent to its full JID.
pub const INITIAL_PRESENCE_TIME_MAX: Duration = Duration::from_secs(3);

/// How long they wait for the client to enable stream management (XEP-0198), as most do as soon as they are bound: what is
/// written before is never acknowledged. Beyond it they are delivered as to one that never does.
pub const ENABLE_TIME_MAX: Duration = Duration::from_secs(1);

/// Messages kept for an account that is not there. Beyond it the sender gets `service-unavailable` (XEP-0160).
pub const OFFLINE_MESSAGES_MAX: u64 = 1000;

/// Weight of the messages kept for an account that is not there. Beyond it as for [`OFFLINE_MESSAGES_MAX`].
pub const OFFLINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Messages of one sender kept for an account that is not there. Beyond it as for [`OFFLINE_MESSAGES_MAX`].
pub const OFFLINE_MESSAGES_PER_SENDER_MAX: u64 = 500;

/// Weight of those messages. Beyond it as for [`OFFLINE_MESSAGES_MAX`].
pub const OFFLINE_BYTES_PER_SENDER_MAX: u64 = 4 * 1024 * 1024;

/// Items of one roster. Beyond it a roster set is refused with `resource-constraint`.
pub const ROSTER_ITEMS_MAX: usize = 5000;

/// Entities to which one session has sent directed presence and which are told when it goes. Beyond it directed
/// presence is refused with `resource-constraint`.
pub const DIRECTED_PRESENCE_MAX: usize = 1000;

/// Bytes of the JIDs of those entities. Beyond it as for [`DIRECTED_PRESENCE_MAX`].
pub const DIRECTED_PRESENCE_BYTES_MAX: usize = 256 * 1024;

/// Stanzas of one client that are not handled yet. Beyond it the client's bytes are not read.
pub const SESSION_UNHANDLED_STANZAS_MAX: usize = 1024;

/// Weight of the stanzas of one client that are not handled yet, wherever they wait: for an announcement, the account
/// store, a lane or what is under way. Beyond it the client's bytes are not read.
pub const SESSION_UNHANDLED_BYTES_MAX: usize = 1024 * 1024;

/// Entities whose presence one session has seen and whose loss it is told of. Of more it is not told.
pub const PRESENCE_SEEN_MAX: usize = 5000;

/// Bytes of the JIDs of those entities. Of more the session is not told.
pub const PRESENCE_SEEN_BYTES_MAX: usize = 1024 * 1024;

/// Entities of which the server itself told one session that they are gone, remembered so that their own word for it is
/// not told as well. Of more it may be.
pub const PRESENCE_GONE_MAX: usize = 32;

/// Requests of one client for acknowledgement that wait for it. Beyond it they are answered at once with what is
/// handled.
pub const ACK_REQUESTS_MAX: usize = 64;

/// How long a request for acknowledgement waits for the stanzas before it. Beyond it it is answered with what is
/// handled.
pub const ACK_DELAY_MAX: Duration = Duration::from_secs(1);

/// Requests of one client to its roster that are not answered. Beyond it they are refused with `resource-constraint`.
pub const ROSTER_REQUESTS_MAX: usize = 64;

/// Groups of one item of a roster. Beyond it a roster set is refused with `not-acceptable`.
pub const ROSTER_GROUPS_MAX: usize = 64;

/// Bytes of one item of a roster: its JID, name and groups. Beyond it a roster set is refused with `not-acceptable`.
pub const ROSTER_ITEM_BYTES_MAX: usize = 8 * 1024;

/// Bytes of all items of a roster as they are stored. Beyond it a roster set is refused with `resource-constraint`,
/// unless it makes the roster smaller.
pub const ROSTER_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the items that the account store hands out at once, one item at least. What a roster has beyond it comes in
/// further parts, each when the client has taken the one before. Escaped as XML a part may have some six times as much,
/// and must fit what may wait for a client ([`SESSION_QUEUE_BYTES_MAX`]) when that is half full.
pub const ROSTER_PART_BYTES_MAX: usize = 512 * 1024;

/// Bytes of the name and of each group of an item of a roster. Beyond it a roster set is refused with `not-acceptable`.
pub const ROSTER_NAME_BYTES_MAX: usize = 1023;

/// Operations in one batch of proposals of a member. What does not fit waits for the next batch.
pub const BATCH_OPERATIONS_MAX: usize = 4096;

/// Bytes of the operations in one batch, so that it fits a control message with room to spare.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;

/// The time between two batches of one member when much is asked. Each costs every member a write to its disk and several
/// messages, so what is asked waits for company.
pub const BATCH_GAP: Duration = Duration::from_millis(10);

/// Batches of one member that may follow each other without a gap after a quiet time, so that nobody waits when little is
/// asked.
pub const BATCH_BURST: u32 = 8;

/// Binds of one node's sessions that wait for a batch. Beyond it a bind is refused with `resource-constraint`.
pub const REQUESTS_WAITING_MAX: usize = 100_000;

/// Members a cluster can have, dead ones included. Beyond it a join is refused.
pub const MEMBERS_MAX: usize = 128;

/// Ended lives of other members of which a node remembers what had arrived. One that comes back asks within seconds.
pub const ENDED_LIVES_MAX: usize = 256;

/// Names of stanzas that were given to several or decided about again, of which a node remembers that it has taken
/// them. A copy that comes back does so within seconds.
pub const NAMES_MAX: usize = 65_536;

/// How often a stanza is routed anew because the route was stale. Beyond it the sender gets
/// `recipient-unavailable`.
pub const REROUTES_MAX: u8 = 8;

/// Parcels to one member that nobody there has taken yet. At the bound the senders' sockets are not read.
pub const OUTBOX_UNTAKEN_PARCELS_MAX: u64 = 20_000;

/// Weight of parcels to one member that nobody there has taken yet. At the bound as for
/// [`OUTBOX_UNTAKEN_PARCELS_MAX`].
pub const OUTBOX_UNTAKEN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long an answer for which nobody waits may wait for others that go the same way. A client that asks whether its
/// stanzas are taken waits that much longer.
pub const ANSWERS_GATHER_MAX: Duration = Duration::from_millis(1);

/// So many answers wait for no others.
pub const ANSWERS_TOGETHER_MAX: usize = 64;

/// Parcels to one member that are not settled, also because clients there do not acknowledge. At the bound as for
/// [`OUTBOX_UNTAKEN_PARCELS_MAX`].
pub const OUTBOX_PARCELS_MAX: usize = 1_000_000;

/// Weight of parcels to one member that are not settled. At the bound as for [`OUTBOX_UNTAKEN_PARCELS_MAX`].
pub const OUTBOX_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Which part of what is left of [`OUTBOX_BYTES_MAX`] the parcels for one account may have that are not settled. The more
/// accounts do not acknowledge, the less each of them may have, and there is always room for those who do. Beyond it a
/// stanza comes back to its sender with `resource-constraint`.
pub const OUTBOX_ACCOUNT_SHARE: usize = 16;

/// Weight of what waits to be put on one lane. Beyond it its senders wait, each with one stanza.
pub const LANE_QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Weight of parcels that come from other members before this node knows their routes. Beyond it they go back and are
/// decided again.
pub const EARLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Recipients for whom one sender remembers by which route it last reached them. Beyond it the oldest is forgotten;
/// should that recipient's session end at the same moment, what follows may overtake what was under way to it.
pub const PATHS_MAX: usize = 64;

/// How long what one sender says to an account waits for what is under way to a session of that account that has become
/// unavailable and still has its route. Mostly such a client logs out, and its route ends within milliseconds; one that
/// stays connected and acknowledges nothing holds up what is said to itself, and no longer than this.
pub const ABANDONED_WAY_WAIT_MAX: Duration = Duration::from_secs(1);

/// Bytes that wait for such an account. Beyond it they are sent on at once, and order gives way.
pub const ABANDONED_WAITING_BYTES_MAX: usize = 128 * 1024;

/// Bytes of what one session has said that waits for its recipients (for a full lane, for the store, for what is under
/// way on an ended route). Beyond it the client's bytes are not read.
pub const SENDER_WAITING_BYTES_MAX: usize = 1024 * 1024;

/// Recipients for whom something waits that one session has said. Beyond it the client's bytes are not read.
pub const SENDER_QUEUES_MAX: usize = 256;

/// Messages that one session has the store at work on at a time. What comes beyond it waits for one of them.
pub const SENDER_STORING_MAX: usize = 16;

/// How long what was not delivered waits for the view to show what a closed mailbox says: that the route is gone. Mostly it
/// does already. Then it is decided about again in any case.
pub const STALE_VIEW_WAIT_MAX: Duration = Duration::from_millis(100);

/// How long a message that nobody else has waits for a store that is away before it is decided about again.
pub const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long a node that stops in good order waits until its clients have taken their leave and what they left is routed.
pub const FAREWELL_TIME_MAX: Duration = Duration::from_millis(1500);

/// How long a node that stops in good order waits after that if it has not decided yet about what it has acknowledged:
/// with the node that would be lost. It waits for an account store that is away, for the end of a route that the others have
/// to agree on, for its next life. Docker kills a container ten seconds after it was asked to stop, and the farewells and
/// the end of the membership take three and a half of them.
pub const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// Queues of what came back on one node: as many as a store that gathers its writes can make use of.
pub const RETRY_QUEUES: u64 = 32;

/// As [`SENDER_STORING_MAX`], for one queue of what came back.
pub const RETRY_STORING_MAX: usize = 1;

/// As [`PATHS_MAX`], for what stood in one row of what came back.
pub const ROW_PATHS_MAX: usize = 1024;

/// Debts of those who tried secrets in vain, of accounts, places and networks together. Beyond it the one that would be
/// forgotten first is.
pub const TRY_DEBTS_MAX: usize = 65_536;

/// Places from which accounts were logged in to, and which need not wait for what others have tried. Beyond it the one
/// whose last log-in is the longest ago is forgotten.
pub const TRY_KNOWN_HOSTS_MAX: usize = 65_536;

/// How long a try of a secret waits for its turn. Beyond it it is refused. Half of [`AUTHENTICATION_TIME_MAX`].
pub const TRY_WAIT_MAX: Duration = Duration::from_secs(15);

/// How long a try waits because of what others have tried. Beyond it it waits no longer.
pub const TRY_PAUSE_MAX: Duration = Duration::from_secs(3);

/// How long it takes to pay off what was tried in vain. Beyond it further tries cost nothing.
pub const TRY_DEBT_TIME_MAX: Duration = Duration::from_secs(3600);

/// Bursts of tries that are told of one by one. Beyond it all others are told of together.
pub const TRY_BURSTS_MAX: usize = 1024;
