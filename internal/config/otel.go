package config

import "strings"

// otelLayer returns what OpenTelemetry's own variables say, which are the same for every program that traces. They are
// the weakest source: whoever sets them has not heard of this program.
func otelLayer(environ []string) layer {
	set := map[string]string{}
	for _, entry := range environ {
		if name, text, _ := strings.Cut(entry, "="); text != "" && strings.HasPrefix(name, "OTEL_") {
			set[name] = text
		}
	}
	said := layer{}
	say := func(key, variable, text string) {
		if text != "" {
			said[key] = value{origin: "environment " + variable, text: []string{text}}
		}
	}
	if !strings.EqualFold(set["OTEL_SDK_DISABLED"], "true") && !strings.EqualFold(set["OTEL_TRACES_EXPORTER"], "none") {
		if base := set["OTEL_EXPORTER_OTLP_ENDPOINT"]; base != "" { // of all signals: each has its path below it
			say("tracing.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", strings.TrimSuffix(base, "/")+"/v1/traces")
		}
		say("tracing.endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", set["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
	}
	say("tracing.service", "OTEL_SERVICE_NAME", set["OTEL_SERVICE_NAME"])
	switch strings.TrimPrefix(strings.ToLower(set["OTEL_TRACES_SAMPLER"]), "parentbased_") {
	case "always_on":
		say("tracing.sample_ratio", "OTEL_TRACES_SAMPLER", "1")
	case "always_off":
		say("tracing.sample_ratio", "OTEL_TRACES_SAMPLER", "0")
	case "traceidratio":
		say("tracing.sample_ratio", "OTEL_TRACES_SAMPLER_ARG", set["OTEL_TRACES_SAMPLER_ARG"])
	}
	return said
}
