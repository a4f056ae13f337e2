//! What must hold for whatever bytes a peer sends. The fuzz targets, the property tests and the kept corpus all ask the same questions.

pub mod addresses;
pub mod commands;
pub mod configuration;
pub mod haproxy;
pub mod info;
pub mod paths;
pub mod proxy_header;
pub mod replies;
pub mod requests;

use mainstay::resp::frames::ProtocolError;

/// Where frames end in a stream, and why there are no more of them.
pub type Ends = (Vec<usize>, Option<ProtocolError>);

/// Feeds `bytes` to a scanner, cut into pieces of `step(n)` bytes.
fn ends(
    bytes: &[u8],
    mut step: impl FnMut() -> usize,
    mut scan: impl FnMut(&[u8]) -> Result<Option<usize>, ProtocolError>,
) -> Ends {
    let mut ends = Vec::new();
    let (mut at, mut end) = (0, 0);
    while end < bytes.len() {
        end = bytes.len().min(end + step());
        while at < end {
            match scan(&bytes[at..end]) {
                Ok(Some(used)) => {
                    assert!(used > 0 && used <= end - at, "{used} bytes of {} belong to a frame", end - at);
                    at += used;
                    ends.push(at);
                }
                Ok(None) => at = end,
                Err(error) => return (ends, Some(error)),
            }
        }
    }
    (ends, None)
}

/// The same whole, byte by byte and in pieces of changing size; asserts that the cuts change nothing.
fn ends_however_cut<S: FnMut(&[u8]) -> Result<Option<usize>, ProtocolError>>(bytes: &[u8], scanner: impl Fn() -> S) -> Ends {
    let whole = ends(bytes, || bytes.len(), scanner());
    assert_eq!(ends(bytes, || 1, scanner()), whole, "byte by byte: {}", bytes.escape_ascii());
    for longest in [3, 17] {
        let mut random = bytes.iter().fold(0x9e37_79b9_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) | 1;
        let step = || {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            1 + random as usize % longest
        };
        assert_eq!(ends(bytes, step, scanner()), whole, "in pieces of up to {longest}: {}", bytes.escape_ascii());
    }
    whole
}
