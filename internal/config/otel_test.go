package config_test

import (
	"testing"

	"heliograph.dev/internal/config"
)

// TestOpenTelemetryVariables: what every program that traces is told holds here too, unless this one was told otherwise.
func TestOpenTelemetryVariables(t *testing.T) {
	t.Parallel()
	type told struct{ endpoint, endpointFrom, ratio, ratioFrom, service string }
	const general = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318/"
	for name, c := range map[string]struct {
		file    string
		args    []string
		environ []string
		want    told
	}{
		"nothing": {want: told{"", "default", "1", "default", "heliograph"}},
		"one for all signals": {
			environ: []string{general, "OTEL_SERVICE_NAME=notifier"},
			want:    told{"http://collector:4318/v1/traces", "environment OTEL_EXPORTER_OTLP_ENDPOINT", "1", "default", "notifier"},
		},
		"one for traces": {
			environ: []string{general, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://traces/v1"},
			want:    told{"http://traces/v1", "environment OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "1", "default", "heliograph"},
		},
		"the file is closer": {
			file: "tracing: {endpoint: https://x, sample_ratio: 25%}\n",
			environ: []string{
				general, "OTEL_TRACES_SAMPLER=always_off",
			},
			want: told{"https://x", "heliograph.yaml:1", "0.25", "heliograph.yaml:1", "heliograph"},
		},
		"off is off": {
			args: []string{"--tracing-endpoint=off"}, environ: []string{general},
			want: told{"", "flag --tracing-endpoint", "1", "default", "heliograph"},
		},
		"disabled":         {environ: []string{general, "OTEL_SDK_DISABLED=TRUE"}, want: told{"", "default", "1", "default", "heliograph"}},
		"exported nowhere": {environ: []string{general, "OTEL_TRACES_EXPORTER=none"}, want: told{"", "default", "1", "default", "heliograph"}},
		"a ratio": {
			environ: []string{"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.001"},
			want:    told{"", "default", "0.001", "environment OTEL_TRACES_SAMPLER_ARG", "heliograph"},
		},
		"none": {
			environ: []string{"OTEL_TRACES_SAMPLER=parentbased_always_off"},
			want:    told{"", "default", "0", "environment OTEL_TRACES_SAMPLER", "heliograph"},
		},
		"our own variable is closer": {
			environ: []string{"HELIOGRAPH_TRACING_SAMPLE_RATIO=0", "OTEL_TRACES_SAMPLER=always_on"},
			want:    told{"", "default", "0", "environment HELIOGRAPH_TRACING_SAMPLE_RATIO", "heliograph"},
		},
	} {
		have, err := from(t, config.Dev, c.file, c.args, c.environ...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		is := told{
			have.Tracing.Endpoint, have.Origin("tracing.endpoint"),
			have.Tracing.SampleRatio.String(), have.Origin("tracing.sample_ratio"), have.Tracing.Service,
		}
		if is != c.want {
			t.Errorf("%s: %+v, want %+v", name, is, c.want)
		}
	}
	for _, wrong := range []string{"-1", "1.1", "101%", "NaN", "some"} {
		if _, err := from(t, config.Dev, "", []string{"--tracing-sample-ratio=" + wrong}); err == nil {
			t.Errorf("%s is a share", wrong)
		}
	}
}
