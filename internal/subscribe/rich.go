package subscribe

import (
	"slices"
	"strings"
	"unicode/utf8"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// maxCertificateID is in characters (contract 1.12).
const maxCertificateID = 128

// richSupport asks for what the row can do: some carry no resource data, some nothing else (contract 3.3.5,
// 3.3.6), some only on /beta.
func richSupport(d *draft) error {
	can := d.resolved.Row.Rich
	version := "v1.0"
	if d.beta {
		version = "beta"
	}
	switch {
	case !d.rich() && can.Only:
		return d.refuse("create.rich.only")
	case d.rich() && (!can.Supported || !slices.Contains(can.Endpoints, version)):
		return d.refuse("create.rich.unsupported")
	}
	return nil
}

// richQuery has Outlook's resource name the properties it wants (contract 3.3.2), and no resource of Teams name
// any (contract 3.3.4).
func richQuery(d *draft) error {
	if !d.rich() {
		return nil
	}
	_, selected := d.resolved.Query.Get("$select")
	switch {
	case isOutlook(d.resolved.Row) && !selected:
		return d.refuse("create.rich.select.required")
	case !isOutlook(d.resolved.Row) && selected:
		return d.refuse("create.rich.select.unsupported")
	}
	return nil
}

// isOutlook reports whether the row is of a mailbox: those alone tell of what they missed (contract 14.2).
func isOutlook(r *catalog.Row) bool { return slices.Contains(r.LifecycleEvents, heliograph.Missed) }

// ownMailbox keeps a signed-in user to the own mailbox (contract 3.2.8): whatever was shared with it takes an
// application's permission.
func ownMailbox(d *draft) error {
	if !d.caller.Delegated || !isOutlook(d.resolved.Row) {
		return nil
	}
	rest, ok := strings.CutPrefix(d.resolved.Path, "users/")
	user, _, _ := strings.Cut(rest, "/")
	if !ok || strings.EqualFold(user, string(d.caller.Object)) || d.caller.UPN != "" && strings.EqualFold(user, d.caller.UPN) {
		return nil
	}
	return d.refuse("create.mailbox")
}

// certificate asks a rich subscription for a certificate and its id (contract 3.3.1, 1.12), and any certificate
// that comes for being one.
func certificate(d *draft) error {
	if utf8.RuneCountInString(d.sub.EncryptionCertificateID) > maxCertificateID {
		return d.refuse("create.certificate.id.length")
	}
	if d.rich() {
		if d.sub.EncryptionCertificate == "" {
			return d.refuse("create.certificate.missing", "property", "encryptionCertificate")
		}
		if d.sub.EncryptionCertificateID == "" {
			return d.refuse("create.certificate.missing", "property", "encryptionCertificateId")
		}
	}
	if d.sub.EncryptionCertificate == "" {
		return nil
	}
	if err := checkCertificate(d.sub.EncryptionCertificate); err != nil {
		return d.refuse("create.certificate.form", "reason", err.Error())
	}
	return nil
}
