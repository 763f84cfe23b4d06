package subscribe

import (
	"context"
	"crypto/rand"
	"fmt"

	"heliograph.dev"
)

const (
	keyName = "key.list"
	keySize = 32
)

// TokenKey returns the key for Options.TokenKey that is kept in the store, and makes it where there is none yet: the
// tokens of list pages hold on every node, and across restarts.
func TokenKey(ctx context.Context, store Store) ([]byte, error) {
	for range changeAttempts {
		kept, err := store.Get(ctx, serverTenant, keyName)
		if err := ignoreNotFound(err); err != nil {
			return nil, fmt.Errorf("read the key of list pages: %w", err)
		}
		if err == nil && len(kept.Value) == keySize {
			return kept.Value, nil
		}
		key := make([]byte, keySize)
		_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
		_, err = store.Commit(ctx, serverTenant, []heliograph.Write{{Name: keyName, Value: key, Expect: kept.Revision}})
		if err == nil {
			return key, nil
		}
		if heliograph.KindOf(err) != heliograph.Conflict {
			return nil, fmt.Errorf("keep the key of list pages: %w", err)
		}
	}
	return nil, fmt.Errorf("keep the key of list pages: lost %d times to other nodes", changeAttempts)
}
