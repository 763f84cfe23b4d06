package catalog

import "go.yaml.in/yaml/v3"

// The types of this file are the form of the data files, and nothing else is.

// storedFile is a file of resources.
type storedFile struct {
	Parameters      map[string]storedParameter `yaml:"parameters"`
	NotSubscribable []storedRefused            `yaml:"not_subscribable"`
	Resources       []storedRow                `yaml:"resources"`
	// What else a file may hold is internal/fixture's.
	Words        yaml.Node `yaml:"words"`
	Placeholders yaml.Node `yaml:"placeholders"`
	Fixtures     yaml.Node `yaml:"fixtures"`
}

type storedRefused struct {
	Path string `yaml:"path"`
	Rule string `yaml:"rule"`
}

type storedParameter struct {
	Form      string   `yaml:"form"`
	WellKnown []string `yaml:"well_known"`
}

type storedRow struct {
	ID              string                `yaml:"id"`
	Family          string                `yaml:"family"`
	Workload        string                `yaml:"workload"`
	Scope           string                `yaml:"scope"`
	InSeeds         []string              `yaml:"in_seeds"`
	APIVersions     []string              `yaml:"api_versions"`
	Status          string                `yaml:"status"`
	Paths           []string              `yaml:"paths"`
	PathAliases     []string              `yaml:"path_aliases"`
	ByPath          map[string]storedPath `yaml:"by_path"`
	MaxIDs          int                   `yaml:"max_ids"`
	ToldAs          map[string][]string   `yaml:"told_as"`
	Changes         []storedChange        `yaml:"changes"`
	Example         string                `yaml:"notification_resource_example"`
	ODataType       string                `yaml:"odata_type"`
	ODataTypeBasis  string                `yaml:"odata_type_basis"`
	Extras          []string              `yaml:"extras"`
	Permissions     storedPermissions     `yaml:"permissions"`
	BySource        map[string]any        `yaml:"permissions_by_source"` // what each seed page says: for people
	Newest          storedPermissions     `yaml:"permissions_newest_docs"`
	Concept         storedPermissions     `yaml:"permissions_extra_concept_pages"`
	ByFilter        map[string][]string   `yaml:"permissions_by_filter"`
	NotListed       []string              `yaml:"not_listed_by_read_all"`
	Duplicates      bool                  `yaml:"duplicates"`
	DelegatedOwn    bool                  `yaml:"delegated_own_only"`
	ChangeTypes     []string              `yaml:"change_types"`
	ChangeTypeBasis string                `yaml:"change_types_basis"`
	MaxExpiration   storedExpiration      `yaml:"max_expiration_minutes"`
	LifecycleURL    storedLifecycleURL    `yaml:"lifecycle_notification_url"`
	Rich            storedRich            `yaml:"include_resource_data"`
	BillingModels   []string              `yaml:"billing_models"`
	BillingDefault  string                `yaml:"billing_default"`
	BillingNow      string                `yaml:"billing_now"`
	UserSpecific    bool                  `yaml:"notify_on_user_specific_properties"`
	QueryOptions    map[string]storedOpt  `yaml:"query_options"`
	Quotas          []storedQuota         `yaml:"quotas"`
	Lifecycle       []string              `yaml:"lifecycle_events"`
	Clouds          map[string]string     `yaml:"national_clouds"`
	Latency         storedLatency         `yaml:"latency"`
	Notes           []string              `yaml:"notes"`
	Sources         []string              `yaml:"sources"`
}

type storedPath struct {
	Callers     []string `yaml:"callers"`
	ChangeTypes []string `yaml:"change_types"`
}

type storedChange struct {
	Path      string              `yaml:"path"`
	To        []string            `yaml:"to"`
	Option    string              `yaml:"option"`
	ToldAs    map[string][]string `yaml:"told_as"`
	Resource  string              `yaml:"resource"`
	ODataID   string              `yaml:"odata_id"`
	ODataType string              `yaml:"odata_type"`
	ID        string              `yaml:"id"`
	Rich      storedForm          `yaml:"rich"`
}

type storedForm struct {
	Resource  string `yaml:"resource"`
	ODataType string `yaml:"odata_type"`
}

// storedPermissions are lists by kind of caller. A list that is not there is nil.
type storedPermissions struct {
	DelegatedWork     []string `yaml:"delegated_work"`
	DelegatedPersonal []string `yaml:"delegated_personal"`
	Application       []string `yaml:"application"`
	ApplicationRSC    []string `yaml:"application_rsc"`
	RSC               []string `yaml:"rsc"`
	Source            string   `yaml:"source"`
}

type storedExpiration struct {
	Basic     int               `yaml:"basic"`
	Rich      int               `yaml:"rich"`
	Observed  int               `yaml:"observed"`
	OlderDocs map[string]string `yaml:"older_docs"`
}

type storedLifecycleURL struct {
	RequiredOver int    `yaml:"required_when_expiration_over_minutes"`
	Basis        string `yaml:"basis"`
}

type storedRich struct {
	Supported bool     `yaml:"supported"`
	Endpoints []string `yaml:"endpoints"`
	Only      bool     `yaml:"rich_only"`
	Content   *Content `yaml:"content"`
}

type storedOpt struct {
	Rule       string   `yaml:"rule"`
	Only       []string `yaml:"only"`
	Except     []string `yaml:"except"`
	Properties []string `yaml:"properties"`
	Words      []string `yaml:"words"`
	TopLevel   bool     `yaml:"top_level"`
	Entering   bool     `yaml:"entering"`
	Text       string   `yaml:"text"`
}

type storedQuota struct {
	Per        []string `yaml:"per"`
	Limit      int      `yaml:"limit"`
	Pool       string   `yaml:"pool"`
	AllTenants bool     `yaml:"all_tenants"`
	Rule       string   `yaml:"rule"`
	Text       string   `yaml:"text"`
}

type storedLatency struct {
	Average string `yaml:"average"`
	Maximum string `yaml:"maximum"`
}
