package devissuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
)

// seal makes a text of v that only this issuer can read or make, and only for this use.
func (i *Issuer) seal(ctx context.Context, use string, v any) (string, error) {
	keys, err := i.keys.get(ctx)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sealed := keys.sealer.Seal(nil, nil, plain, []byte(use)) //nolint:gosec // G407: this AEAD draws its nonces itself and wants none
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// unseal reads such a text into v, and reports whether it is one.
func (i *Issuer) unseal(ctx context.Context, use, text string, v any) (bool, error) {
	keys, err := i.keys.get(ctx)
	if err != nil {
		return false, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false, nil //nolint:nilerr // it is none
	}
	plain, err := keys.sealer.Open(nil, nil, sealed, []byte(use))
	return err == nil && json.Unmarshal(plain, v) == nil, nil
}
