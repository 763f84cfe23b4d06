package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"heliograph.dev"
)

func v2(v *visit) Issuer { return v.V2 }
func v1(v *visit) Issuer { return v.V1 }

// rich is a notification with resource data sealed for the receiver's certificate.
func (v *visit) rich(data []byte) (item, error) {
	content, err := v.Certificate.AppendContent(nil, v.CertificateID, data)
	if err != nil {
		return nil, err
	}
	i := v.change().with("encryptedContent", json.RawMessage(content))
	i["resourceData"] = item{"@odata.type": "#microsoft.graph.message", "@odata.id": i["resource"], "id": "1"}
	return i, nil
}

// send posts one with a token and returns what came of it.
func (v *visit) send(ctx context.Context, i item, from Issuer, judge func(*exchange) seen) seen {
	token, err := from.Token(v.Tenant, v.App)
	if err != nil {
		return skip("no token could be made: " + err.Error())
	}
	x := v.post(ctx, v.URL, collection([]string{token}, i))
	return judge(&x)
}

func (v *visit) sendRich(ctx context.Context, size int, from Issuer) seen {
	data := `{"@odata.type":"#microsoft.graph.message","subject":"` + strings.Repeat("x", size) + `"}`
	i, err := v.rich([]byte(data))
	if err != nil {
		return skip("the data could not be sealed: " + err.Error())
	}
	return v.send(ctx, i, from, taken)
}

func sealedWith(form func(*visit) Issuer) func(context.Context, *visit) seen {
	return func(ctx context.Context, v *visit) seen { return v.sendRich(ctx, 100, form(v)) }
}

func sealedLarge(ctx context.Context, v *visit) seen { return v.sendRich(ctx, 4<<20, v.V2) }

// spoiled is a rich notification one field of whose encryptedContent is another.
func (v *visit) spoiled(field string, change func(string) string) (item, error) {
	i, err := v.rich([]byte(`{"subject":"forged"}`))
	if err != nil {
		return nil, err
	}
	var content map[string]string
	raw, _ := i["encryptedContent"].(json.RawMessage)
	if err := json.Unmarshal(raw, &content); err != nil {
		return nil, err
	}
	content[field] = change(content[field])
	return i.with("encryptedContent", content), nil
}

func sealedWrongly(ctx context.Context, v *visit) seen {
	i, err := v.spoiled("dataSignature", func(string) string { return base64.StdEncoding.EncodeToString(make([]byte, 32)) })
	if err != nil {
		return skip("the data could not be sealed: " + err.Error())
	}
	return v.send(ctx, i, v.V2, borne)
}

func sealedElsewhere(ctx context.Context, v *visit) seen {
	i, err := v.spoiled("encryptionCertificateId", func(string) string { return "rotated-" + heliograph.NewGUID().String() })
	if err != nil {
		return skip("the data could not be sealed: " + err.Error())
	}
	return v.send(ctx, i, v.V2, func(x *exchange) seen {
		if x.Attempt.Status == 503 { // a key may be on its way: to ask for it again is right
			return pass(answered(x))
		}
		return borne(x)
	})
}

func sealedByStranger(ctx context.Context, v *visit) seen {
	i, err := v.rich([]byte(`{"subject":"forged"}`))
	if err != nil {
		return skip("the data could not be sealed: " + err.Error())
	}
	return v.send(ctx, i, v.Stranger, borne)
}
