package httpapi_test

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The part of CSDL that the model uses.
type edmx struct {
	XMLName xml.Name `xml:"http://docs.oasis-open.org/odata/ns/edmx Edmx"`
	Version string   `xml:"Version,attr"`
	Schema  struct {
		Namespace  string       `xml:"Namespace,attr"`
		Alias      string       `xml:"Alias,attr"`
		Enums      []enumType   `xml:"EnumType"`
		Entities   []structType `xml:"EntityType"`
		Complex    []structType `xml:"ComplexType"`
		Actions    []action     `xml:"Action"`
		EntitySets []entitySet  `xml:"EntityContainer>EntitySet"`
	} `xml:"DataServices>Schema"`
}

type enumType struct {
	Name    string `xml:"Name,attr"`
	Members []struct {
		Name  string `xml:"Name,attr"`
		Value int    `xml:"Value,attr"`
	} `xml:"Member"`
}

type structType struct {
	Name       string `xml:"Name,attr"`
	Base       string `xml:"BaseType,attr"`
	Open       bool   `xml:"OpenType,attr"`
	Properties []struct {
		Name     string `xml:"Name,attr"`
		Type     string `xml:"Type,attr"`
		Nullable string `xml:"Nullable,attr"`
	} `xml:"Property"`
}

type action struct {
	Name       string `xml:"Name,attr"`
	Bound      bool   `xml:"IsBound,attr"`
	Parameters []struct {
		Type string `xml:"Type,attr"`
	} `xml:"Parameter"`
}

type entitySet struct {
	Name string `xml:"Name,attr"`
	Type string `xml:"EntityType,attr"`
}

// names returns the properties, those that cannot be null with a mark.
func (s structType) names() []string {
	var names []string
	for _, p := range s.Properties {
		if p.Nullable == "false" {
			p.Name += "!"
		}
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

func find[T any](t *testing.T, list []T, is func(T) bool) T {
	t.Helper()
	i := slices.IndexFunc(list, is)
	if i < 0 {
		t.Fatalf("not in %+v", list)
	}
	return list[i]
}

// contract 1.21b: the model of subscriptions and notifications, for both versions and without a token.
func TestMetadata(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.send("GET", "/v1.0/$metadata", "", "Authorization", "")
	b.wants(r, 200, "Content-Type", "application/xml; charset=utf-8", "OData-Version", "4.0")
	if beta := b.send("GET", "/beta/$metadata", "", "Authorization", ""); beta.body != r.body {
		t.Error("beta has another model")
	}
	var model edmx
	if err := xml.Unmarshal([]byte(r.body), &model); err != nil {
		t.Fatal(err)
	}
	schema := &model.Schema
	if model.Version != "4.0" || schema.Namespace != "microsoft.graph" || schema.Alias != "graph" {
		t.Errorf("%+v", model)
	}
	for name, want := range map[string][]string{
		"changeType":         {"created", "updated", "deleted"},
		"lifecycleEventType": {"missed", "subscriptionRemoved", "reauthorizationRequired"},
	} {
		enum := find(t, schema.Enums, func(e enumType) bool { return e.Name == name })
		for i, member := range enum.Members {
			if member.Value != i || i >= len(want) || member.Name != want[i] {
				t.Errorf("%s: %+v", name, enum)
			}
		}
	}
	structs := slices.Concat(schema.Entities, schema.Complex)
	of := func(name string) structType {
		return find(t, structs, func(s structType) bool { return s.Name == name })
	}
	if s := of("subscription"); s.Base != "graph.entity" {
		t.Errorf("%+v", s)
	}
	if !of("resourceData").Open {
		t.Error("resourceData is closed")
	}
	for name, want := range map[string]string{
		"subscription": "applicationId changeType! clientState creatorId encryptionCertificate encryptionCertificateId expirationDateTime! includeResourceData " +
			"latestSupportedTlsVersion lifecycleNotificationUrl notificationContentType notificationQueryOptions notificationUrl! notificationUrlAppId resource!",
		"changeNotificationCollection": "validationTokens value!",
		"changeNotification": "changeType clientState encryptedContent id lifecycleEvent resource resourceData subscriptionExpirationDateTime! " +
			"subscriptionId! tenantId!",
		"changeNotificationEncryptedContent": "data! dataKey! dataSignature! encryptionCertificateId! encryptionCertificateThumbprint!", // contract 13.11
	} {
		if diff := cmp.Diff(strings.Fields(want), of(name).names()); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", name, diff)
		}
	}
	reauthorize := find(t, schema.Actions, func(a action) bool { return a.Name == "reauthorize" })
	if !reauthorize.Bound || len(reauthorize.Parameters) != 1 || reauthorize.Parameters[0].Type != "graph.subscription" {
		t.Errorf("%+v", reauthorize)
	}
	if set := find(t, schema.EntitySets, func(s entitySet) bool { return s.Name == "subscriptions" }); set.Type != "microsoft.graph.subscription" {
		t.Errorf("%+v", set)
	}
	// Every type that is named is there.
	for _, s := range structs {
		for _, p := range s.Properties {
			name := strings.TrimSuffix(strings.TrimPrefix(p.Type, "Collection("), ")")
			if own, isOurs := strings.CutPrefix(name, "graph."); isOurs && !strings.Contains(r.body, `Type Name="`+own+`"`) || !isOurs && !strings.HasPrefix(name, "Edm.") {
				t.Errorf("%s.%s is a %s", s.Name, p.Name, p.Type)
			}
		}
	}
}

// The model has what a subscription shows, and no more.
func TestMetadataIsComplete(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var model edmx
	if err := xml.Unmarshal([]byte(b.send("GET", "/v1.0/$metadata", "").body), &model); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range model.Schema.Entities {
		for _, p := range e.Properties {
			want = append(want, p.Name)
		}
	}
	var shown map[string]any
	decode(t, b.send("POST", "/v1.0/subscriptions", fullCreate).body, &shown)
	var got []string
	for name := range shown {
		if !strings.HasPrefix(name, "@") {
			got = append(got, name)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in the model -, shown +:\n%s", diff)
	}
}
