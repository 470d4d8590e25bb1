//! What queries and headers may say.

use utoipa::{IntoParams, ToSchema};

/// Makes a repeat safe.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub struct IdempotencyHeader {
    /// 1 to 255 visible ASCII characters: a repeat with the same key within 15 minutes appends
    /// nothing and answers the first offsets.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[ -~]+$",
        example = "order-17"
    )]
    idempotency_key: Option<String>,
}

/// In which form a key is given, and the record is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct KeyParams {
    /// `base64`: the key in the path is bytes, in URL-safe base64 without padding.
    #[param(inline)]
    key_encoding: Option<EncodingParam>,
    /// `base64`: key, value and headers as bytes.
    #[param(inline)]
    encoding: Option<EncodingParam>,
}

/// What a fetch may say beside where it starts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct FetchParams {
    /// Start at the first record at that time or later: RFC 3339, or milliseconds since the epoch.
    at: Option<String>,
    /// Start at `earliest`, `latest`, or the newest N records: `tail-N`.
    #[param(pattern = "^(earliest|latest|tail-[0-9]{1,15})$")]
    from: Option<String>,
    /// Records at most.
    #[param(minimum = 1, maximum = 10000, example = 500)]
    max_records: Option<u32>,
    /// Bytes of records at most; the first always fits.
    #[param(minimum = 1, maximum = 16777216, example = 1048576)]
    max_bytes: Option<u32>,
    /// How long to wait for the first record, in milliseconds.
    #[param(minimum = 0, maximum = 60000, example = 0)]
    wait_ms: Option<u32>,
    /// What to do at an offset that is not there: `error` (416), `earliest` or `latest`.
    #[param(inline)]
    on_out_of_range: Option<OutOfRangeParam>,
    /// `base64`: keys, values and headers as bytes.
    #[param(inline)]
    encoding: Option<EncodingParam>,
    /// `strong`: everything that was acknowledged before the call began is in the answer's view. Its
    /// leader asks the other copies first. `committed` may be of a moment ago.
    #[param(inline)]
    consistency: Option<ConsistencyParam>,
}

/// What a tail may say.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct TailParams {
    /// Start where an earlier answer ended.
    cursor: Option<String>,
    /// Start at the first record at that time or later: RFC 3339, or milliseconds since the epoch.
    at: Option<String>,
    /// Start at `earliest`, `latest`, or the newest N records: `tail-N`.
    #[param(pattern = "^(earliest|latest|tail-[0-9]{1,15})$")]
    from: Option<String>,
    /// What to do at an offset that is not there: `error` (416), `earliest` or `latest`.
    #[param(inline)]
    on_out_of_range: Option<OutOfRangeParam>,
    /// `base64`: keys, values and headers as bytes.
    #[param(inline)]
    encoding: Option<EncodingParam>,
}

/// `on_out_of_range`
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub enum OutOfRangeParam {
    /// 416
    Error,
    /// Go on at the oldest record.
    Earliest,
    /// Go on at the end.
    Latest,
}

/// `consistency`
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub enum ConsistencyParam {
    /// What the leader knows to be committed.
    Committed,
    /// Everything that was acknowledged before the call.
    Strong,
}

/// `encoding`
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingParam {
    /// Text and JSON where possible.
    Json,
    /// Bytes.
    Base64,
}
