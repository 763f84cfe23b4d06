package app_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/seal/vault"
)

// sealedBytes returns every place in the raw files below a folder where something stands that was sealed with a key:
// the form and the key's id, with what follows.
func sealedBytes(t *testing.T, dir string, id string) (found [][]byte, all []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all = append(all, text...)
		mark := append([]byte{1}, unhex(t, id)...)
		for at := bytes.Index(text, mark); at >= 0; {
			found = append(found, text[at:min(len(text), at+4<<10)])
			next := bytes.Index(text[at+1:], mark)
			if next < 0 {
				break
			}
			at += 1 + next
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, all
}

func unhex(t *testing.T, id string) []byte {
	t.Helper()
	b := make([]byte, len(id)/2)
	for i := range b {
		for _, c := range id[2*i : 2*i+2] {
			b[i] = b[i]<<4 | byte(bytes.IndexByte([]byte("0123456789abcdef"), byte(c)))
		}
	}
	return b
}

const (
	tenantA = "aaaaaaaa-0000-4000-8000-00000000000a"
	tenantB = "bbbbbbbb-0000-4000-8000-00000000000b"
)

// inTenant connects as an application of a tenant.
func inTenant(t *testing.T, a *app.App, tenant string) *client.Client {
	t.Helper()
	token := ask[client.Token](t)(connect(t, a).MintToken(t.Context(), client.TokenRequest{Tenant: tenant, Lifetime: 1000 * time.Hour}))
	return ask[*client.Client](t)(client.New(a.URL(), client.StaticToken(token.Text)))
}

// TestPurgedTenantCannotBeRead forgets one of two tenants and then reads the raw data folder: what was sealed before is
// there, in blocks of the log and of records, and no key on the disk opens any of it. The other tenant goes on.
func TestPurgedTenantCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, now := range []bool{true, false} {
		dir := t.TempDir()
		a := start(t, app.Options{Config: dev(dir)})
		hook, resources := listener(t)
		operator, gone, stays := connect(t, a), inTenant(t, a, tenantA), inTenant(t, a, tenantB)
		ends := time.Now().Add(70 * time.Hour)
		lost := subscribe(t, gone, "users/u1/messages", hook, ends)
		kept := subscribe(t, stays, "users/u2/messages", hook, ends)
		for _, api := range []*client.Client{gone, stays} {
			if _, err := api.Publish(t.Context(), client.Event{Source: "test", Type: client.Created, Resource: "users/u1/messages/m1", Data: json.RawMessage(`{"subject":"PLAINTEXT-SECRET"}`)}); err != nil {
				t.Fatal(err)
			}
		}
		take(t, resources)
		before := keysOf(t, dir)
		ask[client.Clock](t)(operator.AdvanceClock(t.Context(), time.Second, 0)) // until all is delivered
		receipt := ask[client.PurgeReceipt](t)(operator.Purge(t.Context(), client.PurgeRequest{Tenant: tenantA, Now: now}))
		if receipt.Subscriptions != 1 || receipt.Deliveries == 0 || receipt.Handshakes != 1 || receipt.Completed.IsZero() == now {
			t.Errorf("now %v: %+v", now, receipt)
		}
		if !now {
			if len(receipt.KeysToDestroy) != len(before) {
				t.Errorf("to be destroyed: %v of %v", receipt.KeysToDestroy, before)
			}
			if _, err := gone.Subscription(t.Context(), lost.ID); !client.IsNotFound(err) {
				t.Errorf("while the log is kept: %v", err)
			}
			ask[client.Clock](t)(operator.AdvanceClock(t.Context(), 25*time.Hour, 0))
			receipt = ask[client.PurgeReceipt](t)(operator.PurgeReceipt(t.Context(), receipt.ID))
		}
		if receipt.Completed.IsZero() || len(receipt.KeysDestroyed) != len(before) || len(receipt.KeysToDestroy) != 0 {
			t.Fatalf("now %v: not complete: %+v", now, receipt)
		}
		for _, id := range before {
			for _, k := range keysOf(t, dir) {
				if k == id {
					t.Errorf("the key %s is still there", id)
				}
			}
			remains, raw := sealedBytes(t, dir, id)
			if bytes.Contains(raw, []byte("PLAINTEXT-SECRET")) || bytes.Contains(raw, []byte(lost.ClientState)) && lost.ClientState != "" {
				t.Error("something of the tenant lies on the disk in the clear")
			}
			fresh, err := vault.Open(vault.Options{File: filepath.Join(dir, "vault.keys"), Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			for _, sealed := range remains {
				if _, err := fresh.Open(nil, sealed, "any"); heliograph.KindOf(err) != heliograph.Unavailable {
					t.Errorf("a key is at hand for what was sealed before: %v", err)
				}
			}
			t.Logf("now %v: %d remains of key %s on the disk, none of which opens", now, len(remains), id)
		}

		if _, err := gone.Subscription(t.Context(), lost.ID); !client.IsNotFound(err) {
			t.Errorf("forgotten, and: %v", err)
		}
		ask[*client.Subscription](t)(stays.Subscription(t.Context(), kept.ID))
		for len(resources) > 0 {
			<-resources
		}
		if _, err := stays.Publish(t.Context(), client.Event{Source: "test", Type: client.Created, Resource: "users/u2/messages/m9"}); err != nil {
			t.Fatal(err)
		}
		if got := take(t, resources); got != "Users/u2/Messages/m9" {
			t.Errorf("the other tenant hears of %s", got)
		}
	}
}

func keysOf(t *testing.T, dir string) (ids []string) {
	t.Helper()
	v, err := vault.Open(vault.Options{File: filepath.Join(dir, "vault.keys"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range v.Keys() {
		ids = append(ids, k.ID)
	}
	return ids
}
