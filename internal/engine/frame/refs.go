package frame

import (
	"encoding/binary"
	"fmt"

	"heliograph.dev"
)

// MaxRefs is how many refs one list may hold, so that it stays below MaxSize.
const MaxRefs = 20_000

// A list of refs is
//
//	0  4  magic "HGpr"
//	4  1  version, 1
//	5  3  zero
//	8  4  CRC-32C of the eight bytes before it, of the endpoint's URL and of the refs
//	then for each ref 44 bytes: subscription (16), sequence (8), index (4), since (12), attempts (4), of which
//	the highest bit says "again"
//
// The URL itself stands beside the list, not in it; being part of the checksum it cannot be another's.
const (
	refsVersion = 1
	refsHeader  = 12
	refSize     = 44
	againBit    = 1 << 31
)

// AppendRefs appends the list of refs of an endpoint to dst.
func AppendRefs(dst []byte, endpoint heliograph.Endpoint, refs []heliograph.ParkedRef) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, refsHeader+refSize*len(refs))...)
	b := dst[start:]
	copy(b, "HGpr")
	b[4] = refsVersion
	for i := range refs {
		r := b[refsHeader+refSize*i:]
		copy(r, refs[i].Subscription[:])
		binary.BigEndian.PutUint64(r[16:], refs[i].Position.Sequence)
		binary.BigEndian.PutUint32(r[24:], refs[i].Position.Index)
		putTime(r[28:], refs[i].Since)
		attempts := min(refs[i].Attempts, againBit-1)
		if refs[i].Again {
			attempts |= againBit
		}
		binary.BigEndian.PutUint32(r[40:], attempts)
	}
	binary.BigEndian.PutUint32(b[8:], checksum(b[:8], []byte(endpoint), b[refsHeader:]))
	return dst
}

// DecodeRefs returns what AppendRefs was given, or an error.
func DecodeRefs(b []byte, endpoint heliograph.Endpoint) ([]heliograph.ParkedRef, error) {
	if len(b) < refsHeader || (len(b)-refsHeader)%refSize != 0 || string(b[:4]) != "HGpr" {
		return nil, fmt.Errorf("parked refs: %w: no list in %d bytes", ErrCorrupt, len(b))
	}
	if b[4] > refsVersion {
		return nil, fmt.Errorf("parked refs: version %d is newer than this program knows", b[4])
	}
	if checksum(b[:8], []byte(endpoint), b[refsHeader:]) != binary.BigEndian.Uint32(b[8:]) {
		return nil, fmt.Errorf("parked refs: %w: checksum mismatch in %d bytes", ErrCorrupt, len(b))
	}
	var d decoder
	refs := make([]heliograph.ParkedRef, (len(b)-refsHeader)/refSize)
	for i := range refs {
		r := b[refsHeader+refSize*i:]
		attempts := binary.BigEndian.Uint32(r[40:])
		refs[i] = heliograph.ParkedRef{
			Subscription: heliograph.SubscriptionID(r[:16]),
			Position:     heliograph.Position{Sequence: binary.BigEndian.Uint64(r[16:]), Index: binary.BigEndian.Uint32(r[24:])},
			Since:        d.time(r[28:]),
			Attempts:     attempts &^ againBit,
			Again:        attempts&againBit != 0,
		}
	}
	if d.bad {
		return nil, fmt.Errorf("parked refs: %w: impossible time", ErrCorrupt)
	}
	return refs, nil
}
