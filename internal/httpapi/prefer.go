package httpapi

import (
	"net/http"
	"strings"
)

// preferences are what the Prefer header of a create asks for (contract 9.1 to 9.3).
type preferences struct {
	immutableIDs, unknownEnumMembers, securityWebhooks bool
}

// preferencesOf reads the Prefer headers: names in any case, values with or without quotes (RFC 7240). What is
// not known says nothing.
func preferencesOf(header http.Header) preferences {
	var p preferences
	for _, line := range header.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "idtype":
				p.immutableIDs = strings.EqualFold(strings.Trim(strings.TrimSpace(value), `"`), "ImmutableId")
			case "include-unknown-enum-members":
				p.unknownEnumMembers = true
			case "includesecuritywebhooks":
				p.securityWebhooks = true
			}
		}
	}
	return p
}
