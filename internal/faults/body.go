package faults

import (
	"encoding/json"
	"slices"

	"heliograph.dev"
)

// collection is a body with notifications, as far as it is changed.
type collection struct {
	Value  []map[string]json.RawMessage `json:"value"`
	Tokens []string                     `json:"validationTokens,omitempty"`
}

// Reissue returns a validation token for whom another one is, of the other form of issuer.
type Reissue func(token string) (string, error)

// Alter returns the body as a fault makes it. Kinds that leave a body as it is return it.
func (f *Fault) Alter(body []byte, reissue Reissue) ([]byte, error) {
	switch f.Kind {
	case Truncate:
		return body[:len(body)/2], nil
	case Reorder, ClientState, Signature, Certificate, Issuer:
	default:
		return body, nil
	}
	var c collection
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, heliograph.Errorf(heliograph.Internal, "faults.body", "read a body to alter it: %w", err)
	}
	if f.Kind == Reorder {
		slices.Reverse(c.Value)
	}
	if f.Kind == Issuer && reissue != nil {
		for i, t := range c.Tokens {
			other, err := reissue(t)
			if err != nil {
				return nil, err
			}
			c.Tokens[i] = other
		}
	}
	for _, item := range c.Value {
		if err := f.alterItem(item); err != nil {
			return nil, err
		}
	}
	return json.Marshal(c)
}

func (f *Fault) alterItem(item map[string]json.RawMessage) error {
	switch f.Kind {
	case ClientState:
		item["clientState"] = json.RawMessage(`"forged by fault ` + f.ID.String() + `"`)
		return nil
	case Signature:
		return replaceInContent(item, "dataSignature", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	case Certificate:
		return replaceInContent(item, "encryptionCertificateId", "fault-"+f.ID.String())
	default:
		return nil
	}
}

// replaceInContent changes a field of an item's encryptedContent, if it has any.
func replaceInContent(item map[string]json.RawMessage, field, value string) error {
	raw, ok := item["encryptedContent"]
	if !ok {
		return nil
	}
	var content map[string]string
	if err := json.Unmarshal(raw, &content); err != nil {
		return err
	}
	content[field] = value
	text, err := json.Marshal(content)
	item["encryptedContent"] = text
	return err
}

// Count returns how many notifications a body has.
func Count(body []byte) int {
	var c collection
	if json.Unmarshal(body, &c) != nil {
		return 0
	}
	return len(c.Value)
}
