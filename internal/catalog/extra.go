package catalog

import "slices"

// Extras are fields of a notification that few resources have.
type Extras struct {
	// Organization: organizationId, which equals tenantId, beside it (contract 11.11).
	Organization bool
	// ETag: resourceData has the resource's @odata.etag, when it was published with one (contract 11.9).
	ETag bool
	// Event: resourceData has organizationId, eventTime and sequenceNumber (contract 11.15).
	Event bool
	// ImmutableID: a subscription may ask for the id that an instance keeps when it moves (contract 9.2).
	ImmutableID bool
}

const (
	extraOrganization = "organization"
	extraETag         = "etag"
	extraEvent        = "event"
	extraImmutableID  = "immutableId"
)

func (b *rowBuilder) extras() {
	for _, name := range b.stored.Extras {
		b.oneOf("extras", name, extraOrganization, extraETag, extraEvent, extraImmutableID)
	}
	has := func(name string) bool { return slices.Contains(b.stored.Extras, name) }
	b.row.Extras = Extras{
		Organization: has(extraOrganization), ETag: has(extraETag), Event: has(extraEvent), ImmutableID: has(extraImmutableID),
	}
}
