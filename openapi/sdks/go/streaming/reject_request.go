package streaming

import "encoding/json"

// RejectRequest is a lease whose record no attempt will help, with the reason if there is one. In JSON a lease
// without a reason stands for itself.
type RejectRequest struct {
	Lease  string  `json:"lease"`
	Reason *string `json:"reason,omitempty"`
}

// MarshalJSON writes the lease alone where there is no reason.
func (reject RejectRequest) MarshalJSON() ([]byte, error) {
	if reject.Reason == nil {
		return json.Marshal(reject.Lease)
	}
	type fields RejectRequest
	return json.Marshal(fields(reject))
}

// UnmarshalJSON takes a lease, or one with its reason.
func (reject *RejectRequest) UnmarshalJSON(data []byte) error {
	var lease string
	if json.Unmarshal(data, &lease) == nil {
		*reject = RejectRequest{Lease: lease}
		return nil
	}
	type fields RejectRequest
	return json.Unmarshal(data, (*fields)(reject))
}
