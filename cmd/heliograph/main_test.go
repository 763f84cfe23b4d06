package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
)

// TestMain lets the test binary be the heliograph command: in scripts, and where a test needs a process of its
// own that it can kill.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"heliograph": func() { os.Exit(run()) }, "hardcoded": hardCoded})
}

// TestScripts runs what a user could type (testdata/script). Beside the heliograph command, scripts have
//
//	hardcoded         an application with Microsoft's names written into it
//	server [DIR]      start a development server, with its data there, and point the command at it
//	receiver          start a receiver at $RECEIVER, which refuses the handshake at /refuse and keeps nothing of what
//	                  comes to /quiet
//	received RESOURCE wait until the receiver has a notification of the resource
//	saveid FILE NAME  set NAME to the id in a JSON file
//	savetext FILE NAME set NAME to what a file says
//	changeid FILE NAME set NAME to the first change id in a publish receipt
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/config")
			e.Values[receiverKey{}] = make(chan string, 100)
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": startServer, "receiver": startReceiver, "received": received, "saveid": saveID, "savetext": saveText, "changeid": changeID,
		},
	})
}

// condition knows namespaces: that this user may have one with mounts of its own.
func condition(name string) (bool, error) {
	if name != "namespaces" {
		return false, fmt.Errorf("unknown condition %s", name)
	}
	flags := "-m"
	if os.Geteuid() != 0 {
		flags = "-rm"
	}
	return exec.CommandContext(context.Background(), "unshare", flags, "mount", "--make-rprivate", "/").Run() == nil, nil
}

type receiverKey struct{}

func startServer(ts *testscript.TestScript, _ bool, args []string) {
	cfg := config.Default(config.Dev)
	if len(args) == 1 {
		cfg.Data = ts.MkAbs(args[0])
	}
	cfg.Listen.HTTP, cfg.Listen.HTTPS = "127.0.0.1:0", ""
	server, err := app.Start(context.Background(), app.Options{Config: cfg})
	ts.Check(err)
	ts.Defer(func() { ts.Check(server.Stop(context.Background())) })
	ts.Setenv("HELIOGRAPH_SERVER", server.URL())
}

func startReceiver(ts *testscript.TestScript, _ bool, _ []string) {
	resources, _ := ts.Value(receiverKey{}).(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			if r.URL.Path == "/refuse" {
				http.Error(w, "go away", http.StatusForbidden)
				return
			}
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		var c struct{ Value []struct{ Resource string } }
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, n := range c.Value {
			if r.URL.Path == "/quiet" || r.URL.Path == "/refuse" {
				continue
			}
			resources <- n.Resource
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	ts.Defer(server.Close)
	ts.Setenv("RECEIVER", server.URL)
}

func received(ts *testscript.TestScript, _ bool, args []string) {
	resources, _ := ts.Value(receiverKey{}).(chan string)
	select {
	case got := <-resources:
		if got != strings.Join(args, " ") {
			ts.Fatalf("received %s, want %s", got, args)
		}
	case <-time.After(time.Minute):
		ts.Fatalf("%s was not received", args)
	}
}

func saveText(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[1], strings.TrimSpace(ts.ReadFile(args[0])))
}

func saveID(ts *testscript.TestScript, _ bool, args []string) {
	var o struct{ ID string }
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &o); err != nil || o.ID == "" {
		ts.Fatalf("%s has no id: %v", args[0], err)
	}
	ts.Setenv(args[1], fmt.Sprint(o.ID))
}

func changeID(ts *testscript.TestScript, _ bool, args []string) {
	var o struct{ IDs []string }
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &o); err != nil || len(o.IDs) == 0 {
		ts.Fatalf("%s has no change id: %v", args[0], err)
	}
	ts.Setenv(args[1], o.IDs[0])
}
