package subscribe

import (
	"errors"
	"unicode/utf8"

	"heliograph.dev/internal/seal"
)

// richSupport asks for what the row can do: some carry no resource data, some nothing else (contract 3.3.5,
// 3.3.6).
func richSupport(d *draft) error {
	switch can := d.resolved.Row.Rich; {
	case !d.rich() && can.Only:
		return d.refuse("create.rich.only")
	case d.rich() && !can.Supported:
		return d.refuse("create.rich.unsupported")
	}
	return nil
}

// certificate asks a rich subscription for a certificate and its id (contract 3.3.1, 1.12), and any certificate
// that comes for being one.
func certificate(d *draft) error {
	if utf8.RuneCountInString(d.sub.EncryptionCertificateID) > d.profile.CertificateIDMax {
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
	_, err := seal.ParseCertificate(d.sub.EncryptionCertificate)
	if refusal, ok := errors.AsType[*seal.Refusal](err); ok {
		return d.profile.Refuse(refusal.Rule, refusal.Args)
	}
	return err
}
