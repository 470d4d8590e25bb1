package streaming

import "encoding/json"

// ResetTo is where a group shall go on, as JSON: ResetToEarliest, ResetToLatest, or a ResetAt, ResetShift
// or ResetOffsets that went through json.Marshal.
type ResetTo = json.RawMessage

// The ends of a group's partitions.
var (
	ResetToEarliest = ResetTo(`"earliest"`)
	ResetToLatest   = ResetTo(`"latest"`)
)
