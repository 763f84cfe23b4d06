package telemetry_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What is shipped for Grafana and Prometheus asks for metrics and labels that there are. A metric of ours that neither
// shows nor watches is named here, with the reason.
func TestDeployedQueries(t *testing.T) {
	t.Parallel()
	there := familiesOf(t)
	asked := map[string]bool{}
	for where, query := range deployed(t) {
		for _, m := range selector.FindAllStringSubmatch(query, -1) {
			name, labels := m[1], m[2]
			if name == "up" { // Prometheus's own
				continue
			}
			family, found := there[name]
			if !found {
				t.Errorf("%s asks for %s, which there is not", where, name)
				continue
			}
			asked[family.name] = true
			for _, l := range matcher.FindAllStringSubmatch(labels, -1) {
				label, operator, value := l[1], l[2], l[3]
				if label == "instance" || label == "job" {
					continue
				}
				known, found := family.labels[label]
				if !found {
					t.Errorf("%s asks for the label %s of %s, which there is not", where, label, name)
				}
				values := []string{value}
				if strings.HasSuffix(operator, "~") {
					values = strings.Split(value, "|")
				}
				for _, v := range values {
					if !slices.Contains(known, v) {
						t.Errorf("%s asks for %s of %s, which is never %s", where, label, name, v)
					}
				}
			}
		}
	}
	unasked := []string{
		"heliograph_build_info",                                                                       // what the dashboard finds its instances by
		"heliograph_log_first_sequence", "heliograph_log_last_sequence", "heliograph_parked_messages", // for a closer look
		"heliograph_in_flight_bytes", "heliograph_parking_notifications", "heliograph_posts_under_way", "heliograph_delivery_parked_seconds", "heliograph_deliveries_left_out_total",
		"heliograph_identity_tokens_kept", "heliograph_seal_certificates", "heliograph_validation_tokens_signed_total", // caches
		"heliograph_trace_spans_total", "heliograph_trace_spans_recorded_total", // only with traces
	}
	for _, f := range there {
		if strings.HasPrefix(f.name, "heliograph_") && asked[f.name] == slices.Contains(unasked, f.name) {
			t.Errorf("%s: asked for %v", f.name, asked[f.name])
		}
	}
}

// selector finds a metric with its label matchers, matcher one of these.
var (
	selector = regexp.MustCompile(`\b((?:heliograph|process|go)_[a-z_]+|up)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
)

// family is a metric with the values that its labels have.
type family struct {
	name   string
	labels map[string][]string
}

// familiesOf returns what a query may ask for.
func familiesOf(t *testing.T) map[string]family {
	t.Helper()
	gathered, err := everything(t).Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]family{}
	for _, g := range gathered {
		f := family{g.GetName(), map[string][]string{}}
		for _, m := range g.GetMetric() {
			for _, l := range m.GetLabel() {
				f.labels[l.GetName()] = append(f.labels[l.GetName()], l.GetValue())
			}
		}
		names := []string{f.name}
		if g.GetType().String() == "HISTOGRAM" {
			names = []string{f.name + "_bucket", f.name + "_sum", f.name + "_count"}
		}
		for _, name := range names {
			there[name] = f
		}
	}
	return there
}

// deployed returns the queries that are shipped, by where they stand.
func deployed(t *testing.T) map[string]string {
	t.Helper()
	queries := map[string]string{}
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	readFile(t, "../../deploy/grafana/heliograph.json", json.Unmarshal, &board)
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries["panel "+p.Title+": "+target.Expr] = target.Expr
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %s shows nothing", p.Title)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	readFile(t, "../../deploy/prometheus/alerts.yaml", yaml.Unmarshal, &rules)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			queries["alert "+r.Alert] = r.Expr
			if !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
				t.Errorf("alert %s says too little", r.Alert)
			}
			if strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") {
				t.Errorf("alert %s: parentheses", r.Alert)
			}
		}
	}
	if len(queries) < 40 {
		t.Fatalf("%d queries: the files were not read as they are", len(queries))
	}
	return queries
}

func readFile(t *testing.T, file string, decode func([]byte, any) error, to any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = decode(text, to)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
