package config

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
)

// applicationWire is an application as the file writes it.
type applicationWire struct {
	ID     string   `yaml:"id"`
	Name   string   `yaml:"name,omitempty"`
	Secret string   `yaml:"secret,omitempty"`
	Roles  []string `yaml:"roles,omitempty"`

	RedirectURIs []string `yaml:"redirect_uris,omitempty"`
}

func (w applicationWire) application() (Application, error) {
	if w.ID == "" {
		return Application{}, errors.New("an application needs an id")
	}
	return Application{ID: heliograph.AppID(w.ID), Name: w.Name, Secret: heliograph.NewSecret(w.Secret), Roles: w.Roles, RedirectURIs: w.RedirectURIs}, nil
}

func showApplication(a Application) *yaml.Node {
	return object(applicationWire{ID: string(a.ID), Name: a.Name, Secret: masked(a.Secret), Roles: a.Roles, RedirectURIs: a.RedirectURIs})
}

// userWire is a user as the file writes it.
type userWire struct {
	UPN            string   `yaml:"upn"`
	ID             string   `yaml:"id,omitempty"`
	Tenant         string   `yaml:"tenant,omitempty"`
	Name           string   `yaml:"name,omitempty"`
	Password       string   `yaml:"password,omitempty"`
	Roles          []string `yaml:"roles,omitempty"`
	DirectoryRoles []string `yaml:"directory_roles,omitempty"`
}

func (w userWire) user() (User, error) {
	if w.UPN == "" {
		return User{}, errors.New("a user needs a upn")
	}
	return User{
		UPN: w.UPN, ID: heliograph.ObjectID(strings.ToLower(w.ID)), Tenant: heliograph.TenantID(strings.ToLower(w.Tenant)),
		Name: w.Name, Password: heliograph.NewSecret(w.Password), Roles: w.Roles, DirectoryRoles: w.DirectoryRoles,
	}, nil
}

func showUser(u User) *yaml.Node {
	return object(userWire{
		UPN: u.UPN, ID: string(u.ID), Tenant: string(u.Tenant), Name: u.Name, Password: masked(u.Password),
		Roles: u.Roles, DirectoryRoles: u.DirectoryRoles,
	})
}

func object(wire any) *yaml.Node {
	node := &yaml.Node{}
	_ = node.Encode(wire) // strings and lists of strings: nothing can fail
	return node
}

// masked returns the secret's mask; an absent one has none.
func masked(s heliograph.Secret) string {
	if s.IsZero() {
		return ""
	}
	return s.String()
}
