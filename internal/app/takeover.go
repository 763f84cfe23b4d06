package app

import (
	"path/filepath"
	"time"

	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/localca"
)

// Cloud is what an application of the cloud that a server plays has written into it.
type Cloud struct {
	Graph, Login string   // roots
	Hosts        []string // all names, Graph's first
}

// CloudOf returns the cloud that a configuration says.
func CloudOf(cfg *config.Config) (Cloud, error) {
	rules, err := loadRules(&cfg.Catalog)
	if err != nil {
		return Cloud{}, err
	}
	c := rules.Cloud()
	return Cloud{Graph: c.Graph, Login: c.Login, Hosts: c.Hosts()}, nil
}

// TakeoverAuthority loads the authority for Microsoft's names, or makes it. It stands beside the local one and is not that
// one, which a machine may be told to trust.
func TakeoverAuthority(cfg *config.Config) (*localca.CA, error) {
	hosts, err := catalog.Hosts()
	if err != nil {
		return nil, err
	}
	return localca.Load(filepath.Clean(cfg.TLS.LocalCA)+"-takeover", time.Now(), hosts...)
}

// LocalAuthority loads the local authority, or makes it.
func LocalAuthority(cfg *config.Config) (*localca.CA, error) {
	return localca.Load(cfg.TLS.LocalCA, time.Now())
}
