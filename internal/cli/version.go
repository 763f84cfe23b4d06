package cli

import (
	"encoding/json"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (t *tool) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Tell which build this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := buildInfo()
			if t.asJSON() {
				return json.NewEncoder(t.Out).Encode(b)
			}
			t.printf("heliograph %s\n  commit   %s\n  go       %s\n  platform %s\n  engine   nats-server %s\n",
				b.Version, b.Commit, b.Go, b.Platform, b.Engine)
			return nil
		},
	}
}

type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Engine   string `json:"engine"`
}

// buildInfo reads what the Go tool wrote into the binary.
func buildInfo() build {
	b := build{
		Version: "development", Commit: "unknown", Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Engine: "unknown",
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	for _, d := range info.Deps {
		if d.Path == "github.com/nats-io/nats-server/v2" {
			b.Engine = d.Version
		}
	}
	return b
}
