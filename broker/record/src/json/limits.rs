/// The deepest nesting that the scanner can follow, whatever the limit says.
pub(super) const DEPTH_MAX: usize = 128;

/// What a request may hold. All but the record size are the service's; that one is the topic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Most bytes of key, value, header names and header values of a record together, decoded.
    pub record_bytes_max: usize,
    /// Most bytes of a key, decoded.
    pub key_bytes_max: usize,
    /// Most headers of a record; a name with a list counts once for each of its values.
    pub headers_max: usize,
    /// Most records of a request.
    pub records_max: usize,
    /// Deepest nesting of a value: `[]` is 1. More than 128 counts as 128.
    pub depth_max: usize,
}

impl Default for JsonLimits {
    /// The service's defaults: 1 MiB records, 32 KiB keys, 64 headers, 10 000 records, depth 64.
    fn default() -> Self {
        Self {
            record_bytes_max: 1 << 20,
            key_bytes_max: 32 << 10,
            headers_max: 64,
            records_max: 10_000,
            depth_max: 64,
        }
    }
}
