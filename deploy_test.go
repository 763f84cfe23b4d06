package heliograph_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"heliograph.dev/internal/config"
)

// variables are the names of all settings, as the environment has them.
func variables() []string {
	var all []string
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for f := range t.Fields() {
			key := f.Tag.Get("key")
			if key == "" || key == "-" {
				continue
			}
			if f.Type.Kind() == reflect.Struct && reflect.PointerTo(f.Type).NumMethod() == 0 || f.Type == reflect.TypeFor[config.Cluster]() {
				walk(f.Type, path+key+"_")
				continue
			}
			all = append(all, "HELIOGRAPH_"+strings.ToUpper(path+key))
		}
	}
	walk(reflect.TypeFor[config.Config](), "")
	return all
}

func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents reads YAML, in which no key stands twice.
func documents(t *testing.T, name string) (all []map[string]any) {
	t.Helper()
	in := yaml.NewDecoder(bytes.NewReader([]byte(readDeploy(t, name))))
	for {
		var d map[string]any
		err := in.Decode(&d)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, d)
	}
}

// at walks into a document: names of keys, and numbers of elements.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, step := range path {
		var next any
		ok := false
		switch step := step.(type) {
		case string:
			var m map[string]any
			if m, ok = v.(map[string]any); ok {
				next, ok = m[step]
			}
		case int:
			var l []any
			if l, ok = v.([]any); ok && step < len(l) {
				next = l[step]
			}
		}
		if !ok {
			t.Fatalf("nothing at %v", path[:i+1])
		}
		v = next
	}
	return v
}

func text(t *testing.T, v any, path ...any) string { t.Helper(); return of[string](t, v, path) }

func list(t *testing.T, v any, path ...any) []any { t.Helper(); return of[[]any](t, v, path) }

func table(t *testing.T, v any, path ...any) map[string]any {
	t.Helper()
	return of[map[string]any](t, v, path)
}

func of[T any](t *testing.T, v any, path []any) T {
	t.Helper()
	is, ok := at(t, v, path...).(T)
	if !ok {
		t.Fatalf("something else is at %v", path)
	}
	return is
}

// TestDeploySettings fails when a file of deploy names a setting that there is not.
func TestDeploySettings(t *testing.T) {
	t.Parallel()
	known := append(variables(), "HELIOGRAPH_CONFIG")
	if !slices.Contains(known, "HELIOGRAPH_CLUSTER_NODE") || !slices.Contains(known, "HELIOGRAPH_STORE_KEY_FILE") {
		t.Fatalf("the settings are not found: %v", known)
	}
	for name, least := range map[string]int{
		"docker/Dockerfile": 1, "compose/one.yaml": 2, "compose/three.yaml": 8, "kubernetes/settings.yaml": 6,
		"kubernetes/statefulset.yaml": 2, "systemd/heliograph.service": 3,
	} {
		found := regexp.MustCompile(`HELIOGRAPH_[A-Z_]+`).FindAllString(readDeploy(t, name), -1)
		if len(found) < least {
			t.Errorf("%s names %d settings", name, len(found))
		}
		for _, v := range found {
			if !slices.Contains(known, v) {
				t.Errorf("%s: there is no setting %s", name, v)
			}
		}
	}
}

// TestDeployStarts loads what the files say, as the server would.
func TestDeployStarts(t *testing.T) {
	t.Parallel()
	compose := documents(t, "compose/three.yaml")[0]
	settings := documents(t, "kubernetes/settings.yaml")[0]
	environs := map[string]map[string]any{}
	for name, service := range table(t, compose, "services") {
		environs["compose/three "+name] = table(t, service, "environment")
	}
	environs["compose/one"] = table(t, documents(t, "compose/one.yaml")[0], "services", "heliograph", "environment")
	kubernetes := map[string]any{"HELIOGRAPH_CLUSTER_NODE": "heliograph-0", "HELIOGRAPH_CLUSTER_ADVERTISE": "heliograph-0.nodes:6222"}
	maps.Copy(kubernetes, table(t, settings, "data"))
	environs["kubernetes"] = kubernetes
	if len(environs) != 5 {
		t.Errorf("%d nodes", len(environs))
	}
	for name, said := range environs {
		var environ []string
		for k, v := range said {
			text := fmt.Sprint(v)
			if strings.HasPrefix(text, "${ISSUER") {
				text = "https://login.example.org/{tenantid}/v2.0"
			}
			environ = append(environ, k+"="+text)
		}
		c, err := config.Load(config.Sources{Mode: config.Serve, Environ: environ, Dir: t.TempDir()})
		if err == nil {
			err = c.Validate()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, port, _ := strings.Cut(string(c.Listen.HTTP), ":"); port != "8080" || !strings.HasSuffix(string(c.Cluster.Listen), ":6222") {
			t.Errorf("%s listens on %s and %s: that is not what the files open", name, c.Listen.HTTP, c.Cluster.Listen)
		}
		if name != "compose/one" && !slices.Contains(c.Cluster.Addresses(), c.Cluster.Advertise) {
			t.Errorf("%s: %s is none of %v", name, c.Cluster.Advertise, c.Cluster.Addresses())
		}
	}
}

// TestDeployKubernetes checks what the parts of the Kustomization say of each other.
func TestDeployKubernetes(t *testing.T) {
	t.Parallel()
	kustomization := documents(t, "kubernetes/kustomization.yaml")[0]
	kinds := map[string]int{}
	for _, name := range list(t, kustomization, "resources") {
		for _, d := range documents(t, "kubernetes/"+fmt.Sprint(name)) {
			kinds[text(t, d, "apiVersion")+" "+text(t, d, "kind")]++
		}
	}
	want := map[string]int{"v1 Namespace": 1, "v1 ConfigMap": 1, "v1 Service": 2, "apps/v1 StatefulSet": 1, "policy/v1 PodDisruptionBudget": 1}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("resources %v", kinds)
	}
	set := documents(t, "kubernetes/statefulset.yaml")[0]
	pod := at(t, set, "spec", "template", "spec")
	container := at(t, pod, "containers", 0)
	labels := at(t, set, "spec", "template", "metadata", "labels")
	services := documents(t, "kubernetes/service.yaml")
	ports := map[any]any{}
	for _, p := range list(t, container, "ports") {
		ports[at(t, p, "name")] = at(t, p, "containerPort")
	}
	for _, s := range services {
		if p := at(t, s, "spec", "ports", 0, "targetPort"); ports[p] == nil {
			t.Errorf("a service leads to a port %v that there is not", p)
		}
		if !reflect.DeepEqual(at(t, s, "spec", "selector"), labels) {
			t.Errorf("a service selects %v", at(t, s, "spec", "selector"))
		}
	}
	if at(t, services[1], "spec", "clusterIP") != "None" || at(t, services[1], "metadata", "name") != at(t, set, "spec", "serviceName") {
		t.Error("the nodes' service is not the StatefulSet's, or not headless")
	}
	for _, selects := range []any{at(t, set, "spec", "selector", "matchLabels"), at(t, documents(t, "kubernetes/disruption.yaml")[0], "spec", "selector", "matchLabels")} {
		if !reflect.DeepEqual(selects, labels) {
			t.Errorf("%v is selected, the pods are %v", selects, labels)
		}
	}
	described := reference(t)
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		get := at(t, container, probe, "httpGet")
		if path := text(t, get, "path"); !strings.Contains(described, "\n  "+path+":\n") || ports[at(t, get, "port")] == nil {
			t.Errorf("%s asks %v: there is no such path or port", probe, get)
		}
	}
	peers := text(t, documents(t, "kubernetes/settings.yaml")[0], "data", "HELIOGRAPH_CLUSTER_PEERS")
	if n := len(strings.Split(peers, ",")); n != at(t, set, "spec", "replicas") {
		t.Errorf("%d peers, %v replicas", n, at(t, set, "spec", "replicas"))
	}
	mounted := map[string]bool{"data": false, "secrets": false}
	for _, m := range list(t, container, "volumeMounts") {
		mounted[text(t, m, "name")] = true
	}
	if at(t, pod, "volumes", 0, "name") != "secrets" || at(t, set, "spec", "volumeClaimTemplates", 0, "metadata", "name") != "data" || !mounted["data"] || !mounted["secrets"] || len(mounted) != 2 {
		t.Errorf("mounts %v", mounted)
	}
}

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("docs/reference/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDeployCommands fails when a file of deploy starts something that is no command, or the image is not what it says.
func TestDeployCommands(t *testing.T) {
	t.Parallel()
	docker := readDeploy(t, "docker/Dockerfile")
	for _, want := range []string{"FROM scratch", "USER 65532:65532", `ENTRYPOINT ["/heliograph"]`, `CMD ["serve"]`, "CGO_ENABLED=0", "EXPOSE 8080 6222", "ca-certificates.crt", `CMD ["/heliograph", "ready"`} {
		if !strings.Contains(docker, want) {
			t.Errorf("the Dockerfile has no %s", want)
		}
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	image := regexp.MustCompile(`FROM golang:(\S+) `).FindStringSubmatch(docker)
	if image == nil || !strings.Contains(string(mod), "\ngo "+image[1]) {
		t.Errorf("the image is built with Go %v: not that of go.mod", image)
	}
	unit := readDeploy(t, "systemd/heliograph.service")
	section := ""
	for line := range strings.Lines(unit) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line
		case !regexp.MustCompile(`^[A-Z][A-Za-z]+=`).MatchString(line) || section == "":
			t.Errorf("the unit has a line %q", line)
		}
	}
	for _, want := range []string{"ExecStart=/usr/local/bin/heliograph serve", "StateDirectory=heliograph", "NoNewPrivileges=yes", "ProtectSystem=strict"} {
		if !strings.Contains(unit, want+"\n") {
			t.Errorf("the unit has no %s", want)
		}
	}
}
