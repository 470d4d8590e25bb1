package streaming

import "encoding/json"

// HeaderValues are the values of one header of a record. In JSON a single one stands for itself.
type HeaderValues []string

// MarshalJSON writes a single value as a string, any other number as a list.
func (values HeaderValues) MarshalJSON() ([]byte, error) {
	if len(values) == 1 {
		return json.Marshal(values[0])
	}
	return json.Marshal([]string(values))
}

// UnmarshalJSON takes a string or a list of strings.
func (values *HeaderValues) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*values = HeaderValues{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(values))
}
