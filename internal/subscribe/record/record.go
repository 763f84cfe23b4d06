// Package record is the stored form of a subscription.
//
// The record sub.<id> of the subscription's tenant holds a version byte and then fields, each a tag byte, the
// length of its bytes (uvarint) and the bytes. Empty fields are left out. A tag that this program does not know
// is skipped, so that a node can read what a newer one wrote; a version that it does not know is an error. Times
// are nanoseconds since 1970 in 8 bytes, little end first. Tenant and id are the record's own and not repeated
// in its value.
//
// This package is the only one that knows the form of a secret at rest.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"heliograph.dev"
)

const version = 1

// Tags are part of what is on disk: they are never renumbered and never used for something else.
const (
	tagApp byte = iota + 1
	tagCreator
	tagFlags
	tagResource
	tagPath
	tagRow
	tagChangeTypeText
	tagNotificationURL
	tagLifecycleURL
	tagClientState
	tagCreated
	tagExpires
	tagAuthorizedUntil
	tagCertificate
	tagCertificateID
	tagTLSVersion
	tagContentType
	tagQueryOptions
	tagURLAppID
	tagRenewed
	tagReauthorized
	tagHurried
	tagRevoked
	tagRevokedReason
	tagRemoved
	tagRemovedReason
	tagNoticed
	tagMissed
	tagMissedReason
	tagMissedTold
	tagNoticedReason
	tagNotices
)

// Bits of tagFlags.
const (
	flagDelegated byte = 1 << iota
	flagRichSaid       // includeResourceData was sent …
	flagRich           // … as true
	flagImmutableIDs
	flagUnknownEnumMembers
	flagSecurityWebhooks
)

const prefix = "sub."

// Name returns the name of a subscription's record.
func Name(id heliograph.SubscriptionID) string { return prefix + id.String() }

// ParseName returns the subscription that a record is of. It answers false for a record of something else.
func ParseName(name string) (heliograph.SubscriptionID, bool) {
	text, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return heliograph.SubscriptionID{}, false
	}
	return heliograph.ParseGUID(text)
}

// Encode returns the value of a subscription's record.
func Encode(s *heliograph.Subscription) []byte {
	b := make([]byte, 1, 96+len(s.Resource)+len(s.Path)+len(s.NotificationURL)+len(s.LifecycleNotificationURL)+
		len(s.EncryptionCertificate)+len(s.EncryptionCertificateID)+2*len(s.App)+256)
	b[0] = version
	b = appendText(b, tagApp, string(s.App))
	b = appendText(b, tagCreator, string(s.Creator))
	if flags := flagsOf(s); flags != 0 {
		b = append(b, tagFlags, 1, flags)
	}
	b = appendText(b, tagResource, s.Resource)
	b = appendText(b, tagPath, s.Path)
	b = appendText(b, tagRow, s.Row)
	b = appendText(b, tagChangeTypeText, s.ChangeTypeText)
	b = appendText(b, tagNotificationURL, s.NotificationURL)
	b = appendText(b, tagLifecycleURL, s.LifecycleNotificationURL)
	b = appendText(b, tagClientState, s.ClientState.Reveal())
	b = appendTime(b, tagCreated, s.Created)
	b = appendTime(b, tagExpires, s.Expires)
	b = appendTime(b, tagAuthorizedUntil, s.AuthorizedUntil)
	b = appendText(b, tagCertificate, s.EncryptionCertificate)
	b = appendText(b, tagCertificateID, s.EncryptionCertificateID)
	b = appendText(b, tagTLSVersion, s.LatestSupportedTLSVersion)
	b = appendText(b, tagContentType, s.NotificationContentType)
	b = appendText(b, tagQueryOptions, s.NotificationQueryOptions)
	b = appendText(b, tagURLAppID, s.NotificationURLAppID)
	b = appendTime(b, tagRenewed, s.Renewed)
	b = appendTime(b, tagReauthorized, s.Reauthorized)
	b = appendTime(b, tagHurried, s.Hurried)
	b = appendTime(b, tagRevoked, s.Revoked)
	b = appendText(b, tagRevokedReason, s.RevokedReason)
	b = appendTime(b, tagRemoved, s.Removed)
	b = appendText(b, tagRemovedReason, s.RemovedReason)
	b = appendTime(b, tagNoticed, s.Noticed)
	b = appendTime(b, tagMissed, s.Missed)
	b = appendText(b, tagMissedReason, s.MissedReason)
	b = appendTime(b, tagMissedTold, s.MissedTold)
	b = appendText(b, tagNoticedReason, s.NoticedReason)
	if s.Notices == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint32(append(b, tagNotices, 4), s.Notices)
}

func appendText(b []byte, tag byte, text string) []byte {
	if text == "" {
		return b
	}
	b = binary.AppendUvarint(append(b, tag), uint64(len(text)))
	return append(b, text...)
}

func appendTime(b []byte, tag byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return binary.LittleEndian.AppendUint64(append(b, tag, 8), uint64(t.UnixNano()))
}

func flagsOf(s *heliograph.Subscription) byte {
	var flags byte
	for _, f := range []struct {
		set bool
		bit byte
	}{
		{s.Delegated, flagDelegated},
		{s.IncludeResourceData != nil, flagRichSaid},
		{s.IncludeResourceData != nil && *s.IncludeResourceData, flagRich},
		{s.ImmutableIDs, flagImmutableIDs},
		{s.IncludeUnknownEnumMembers, flagUnknownEnumMembers},
		{s.IncludeSecurityWebhooks, flagSecurityWebhooks},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	return flags
}

// Decode reads what Encode wrote; the id and the tenant are the caller's to fill in. The subscription's texts are
// parts of value: nothing is copied, and keeping one of them keeps them all.
func Decode(value string) (heliograph.Subscription, error) {
	var s heliograph.Subscription
	if value == "" || value[0] != version {
		return s, fmt.Errorf("not of version %d", version)
	}
	for rest := value[1:]; rest != ""; {
		tag := rest[0]
		length, width := lengthOf(rest[1:])
		if width == 0 || length > len(rest)-1-width {
			return s, fmt.Errorf("cut off at byte %d", len(value)-len(rest))
		}
		field := rest[1+width:][:length]
		rest = rest[1+width+length:]
		if err := setField(&s, tag, field); err != nil {
			return s, err
		}
	}
	s.ChangeType, _ = heliograph.ParseChangeType(s.ChangeTypeText)
	return s, nil
}

func setField(s *heliograph.Subscription, tag byte, field string) error {
	switch tag {
	case tagFlags:
		if field == "" {
			return errors.New("flags of no bytes")
		}
		setFlags(s, field[0]) // a newer program's further flags are skipped, as its tags are
	case tagClientState:
		s.ClientState = heliograph.NewSecret(field)
	case tagNotices:
		if len(field) != 4 {
			return fmt.Errorf("a count of %d bytes", len(field))
		}
		s.Notices = uint32(field[0]) | uint32(field[1])<<8 | uint32(field[2])<<16 | uint32(field[3])<<24
	case tagApp:
		s.App = heliograph.AppID(field)
	case tagCreator:
		s.Creator = heliograph.ObjectID(field)
	default:
		if t := timeField(s, tag); t != nil {
			return setTime(t, field)
		}
		if text := textField(s, tag); text != nil {
			*text = field
		}
	}
	return nil
}

// timeField returns where the time of a tag belongs, or nil when it is no time's.
func timeField(s *heliograph.Subscription, tag byte) *time.Time {
	switch tag {
	case tagCreated:
		return &s.Created
	case tagExpires:
		return &s.Expires
	case tagAuthorizedUntil:
		return &s.AuthorizedUntil
	case tagRenewed:
		return &s.Renewed
	case tagReauthorized:
		return &s.Reauthorized
	case tagHurried:
		return &s.Hurried
	case tagRevoked:
		return &s.Revoked
	case tagRemoved:
		return &s.Removed
	case tagNoticed:
		return &s.Noticed
	case tagMissed:
		return &s.Missed
	case tagMissedTold:
		return &s.MissedTold
	}
	return nil
}

// textField returns where the text of a tag belongs, or nil for a tag that is not known.
func textField(s *heliograph.Subscription, tag byte) *string {
	switch tag {
	case tagResource:
		return &s.Resource
	case tagPath:
		return &s.Path
	case tagRow:
		return &s.Row
	case tagChangeTypeText:
		return &s.ChangeTypeText
	case tagNotificationURL:
		return &s.NotificationURL
	case tagLifecycleURL:
		return &s.LifecycleNotificationURL
	case tagCertificate:
		return &s.EncryptionCertificate
	case tagCertificateID:
		return &s.EncryptionCertificateID
	case tagTLSVersion:
		return &s.LatestSupportedTLSVersion
	case tagContentType:
		return &s.NotificationContentType
	case tagQueryOptions:
		return &s.NotificationQueryOptions
	case tagURLAppID:
		return &s.NotificationURLAppID
	case tagRevokedReason:
		return &s.RevokedReason
	case tagRemovedReason:
		return &s.RemovedReason
	case tagMissedReason:
		return &s.MissedReason
	case tagNoticedReason:
		return &s.NoticedReason
	}
	return nil
}

func setFlags(s *heliograph.Subscription, flags byte) {
	s.Delegated = flags&flagDelegated != 0
	s.ImmutableIDs = flags&flagImmutableIDs != 0
	s.IncludeUnknownEnumMembers = flags&flagUnknownEnumMembers != 0
	s.IncludeSecurityWebhooks = flags&flagSecurityWebhooks != 0
	if flags&flagRichSaid != 0 {
		rich := flags&flagRich != 0
		s.IncludeResourceData = &rich
	}
}

func setTime(t *time.Time, field string) error {
	if len(field) != 8 {
		return fmt.Errorf("a time of %d bytes", len(field))
	}
	var nanos uint64
	for i := range 8 {
		nanos |= uint64(field[i]) << (8 * i)
	}
	*t = time.Unix(0, int64(nanos)).UTC()
	return nil
}

// lengthOf reads a length and returns how many bytes it took, 0 when there is none. Four bytes of it are far more
// than a record may have.
func lengthOf(s string) (length, width int) {
	for i := range min(len(s), 4) {
		length |= int(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return length, i + 1
		}
	}
	return 0, 0
}
