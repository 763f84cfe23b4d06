package telemetry

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"

	"heliograph.dev"
)

// NameEndpoint returns how logs and traces name an endpoint: by its host and a short hash of the whole URL, which tells
// the endpoints of a host apart. Paths and queries of endpoints carry keys: they are shown nowhere.
func NameEndpoint(endpoint heliograph.Endpoint) (host, id string) {
	if u, err := url.Parse(string(endpoint)); err == nil {
		host = u.Host
	}
	sum := sha256.Sum256([]byte(endpoint))
	return host, hex.EncodeToString(sum[:4])
}
