//! Every bound of the domain in one place, with the relations between them.

/// Longest secret name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest caller name, in bytes.
pub const CALLER_BYTES_MAX: usize = 64;
/// Largest plaintext value, in bytes (1 MiB); a node may be configured lower.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Largest sealed payload, in bytes: the value and the envelope around it.
pub const PAYLOAD_BYTES_MAX: usize = VALUE_BYTES_MAX + 1024;
/// Longest label key, in bytes.
pub const LABEL_KEY_BYTES_MAX: usize = 64;
/// Longest label value, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Labels one request may set, and one secret may carry.
pub const LABELS_MAX: usize = 64;
/// Longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1024;
/// Longest content type, in bytes.
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Parents one record may name.
pub const PARENTS_MAX: usize = 16;
/// Greatest depth of a record.
pub const DEPTH_MAX: u64 = u32::MAX as u64;
/// Marks one record may carry.
pub const MARKS_MAX: usize = 128;
/// Largest signed record, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Secrets one command may create.
pub const CREATE_MAX: usize = 1024;
/// Bytes that the values may have together which one command creates (1 MiB). With all there is beside them, and
/// behind what else goes into the same log entry, they fit a frame between nodes.
pub const CREATE_BYTES_MAX: usize = VALUE_BYTES_MAX;
/// References that one `.env` file may have.
pub const ENV_REFERENCES_MAX: usize = CREATE_MAX;
/// Versions one request may destroy, delete or bring back.
pub const VERSIONS_PER_REQUEST_MAX: usize = 128;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Longest master key name, in bytes.
pub const MASTER_KEY_NAME_BYTES_MAX: usize = 64;
/// Tokens one caller may hold.
pub const TOKENS_PER_CALLER_MAX: usize = 64;
/// Grants one owner may give.
pub const GRANTS_PER_OWNER_MAX: usize = 1024;
/// Invitations that may wait to be used.
pub const INVITATIONS_MAX: usize = 64;
/// Nodes a cluster may have at a time: what a joiner is told of them fits its one answer.
pub const MEMBERS_MAX: usize = 16;
/// API processes a cluster may have let in at a time.
pub const API_PROCESSES_MAX: usize = 64;
/// How long an invitation is good for unless told otherwise, in seconds.
pub const INVITATION_SECONDS_DEFAULT: u64 = 60 * 60;
/// The longest that an invitation may be good for, in seconds: a week.
pub const INVITATION_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;
/// Epochs one owner may have had.
pub const EPOCHS_PER_OWNER_MAX: usize = 256;
/// Fields one owner may have configured for tokenization, or one request may name.
pub const FIELDS_MAX: usize = 64;
/// Longest pointer to a field, and longest type of one, in bytes.
pub const FIELD_BYTES_MAX: usize = 256;
/// Largest value behind a token, in its canonical form, in bytes.
pub const TOKEN_VALUE_BYTES_MAX: usize = 16 * 1024;
/// Mappings one issue may carry.
pub const ISSUE_MAPPINGS_MAX: usize = 512;
/// What a sealed value takes beside the value, in bytes: one for its kind, and its authentication tag.
pub const TOKEN_SEAL_BYTES: usize = 17;
/// The least number of values that a format which keeps the form of a value may have to choose from
/// (NIST SP 800-38G, Revision 1).
pub const FORM_DOMAIN_MIN: u64 = 1_000_000;
/// Longest value whose form a token may keep, in characters.
pub const FORM_CHARS_MAX: usize = 128;
/// Rows one page may hold.
pub const PAGE_MAX: usize = 1000;
/// Rows of a page when the request does not say.
pub const PAGE_DEFAULT: usize = 100;
/// How far ahead of a node's clock a record's time may lie before it is held back, in milliseconds.
pub const SKEW_MS_MAX: u64 = 30_000;

const _: () = assert!(LABELS_MAX < MARKS_MAX, "one request may set all labels and more in one record");
const _: () = assert!(VERSIONS_PER_REQUEST_MAX <= MARKS_MAX, "one record marks all versions of a request");
const _: () = assert!(VALUE_BYTES_MAX < PAYLOAD_BYTES_MAX, "a sealed value is larger than the value");
const _: () = assert!(MARKS_MAX * (LABEL_KEY_BYTES_MAX + LABEL_VALUE_BYTES_MAX + 16) < RECORD_BYTES_MAX);
const _: () = assert!(TOKEN_VALUE_BYTES_MAX + 1024 < RECORD_BYTES_MAX, "an issue carries any one value");
const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX);
