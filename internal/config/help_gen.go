// Code generated from config.go by go generate; DO NOT EDIT.

package config

// help returns a setting's help text.
func help(key string) string {
	switch key {
	case "data":
		return "the folder that keeps everything"
	case "public_url":
		return "the URL under which clients reach the server, such as https://graph.example.org"
	case "shutdown_grace":
		return "how long a stop may take: requests and deliveries under way come to their end within it"
	case "drives":
		return "folders that are users' drives, each as USER=DIR: what is written below DIR is published as a change of users/USER/drive/root"
	case "listen.http":
		return "where to answer http, as host:port"
	case "listen.https":
		return "where to answer https, as host:port"
	case "listen.operations":
		return "A further address that answers what the others do: for /metrics, /readyz and the profiler (/debug/pprof/, with Heliograph.Control) on a network of the operators' own"
	case "listen.trusted_proxies":
		return "proxies that are believed when they say X-Forwarded-Proto and X-Forwarded-Host: addresses or prefixes"
	case "tls.certificate":
		return "the PEM file of the certificate and those that it rests on"
	case "tls.key":
		return "the PEM file of the certificate's key"
	case "tls.local_ca":
		return "dev: the folder of the local authority that certificates are made with when there is none"
	case "nats.url":
		return "the address of an existing NATS with JetStream (nats://host:4222), several with commas between them"
	case "nats.credentials":
		return "the credentials file for it"
	case "nats.ca":
		return "the PEM file of the authorities that its certificate may be of"
	case "nats.accept_lazy_fsync":
		return "take a NATS that answers before its data is on disk"
	case "cluster.name":
		return "the name of the cluster that this server is a node of"
	case "cluster.node":
		return "this node's own name in the cluster: letters, digits, - and _"
	case "cluster.listen":
		return "where the other nodes connect to, as host:port"
	case "cluster.advertise":
		return "what the other nodes are told to connect to, as host:port, where cluster.listen is not what they reach"
	case "cluster.peers":
		return "the addresses of the nodes, each as host:port, or several with commas between them"
	case "cluster.secret_file":
		return "the file with the secret by which the nodes know each other"
	case "cluster.certificate":
		return "the PEM file of the certificate that this node shows to the others, and asks of them, with those that it rests on"
	case "cluster.key":
		return "the PEM file of the certificate's key"
	case "cluster.ca":
		return "the PEM file of the authorities that nodes' certificates are of"
	case "store.partitions":
		return "how many partitions a new change log has, up to 256: tenants are spread over them, each has its own order and reader, and in a cluster is worked by one node"
	case "store.shards":
		return "how many streams hold the subscriptions of a new store, up to 64"
	case "store.replicas":
		return "how many nodes of a cluster keep each piece of data: 1, 3 or 5"
	case "store.key_file":
		return "the file of the keys that everything stored is sealed with"
	case "store.retention":
		return "how long the change log is kept for those who read it again"
	case "store.max_log_bytes":
		return "how large the change log may get"
	case "store.min_free_bytes":
		return "how much room the disk must have left"
	case "identity.issuers":
		return "issuers whose tokens are believed: a URL (https://login.example.org/realms/one), one with {tenantid} in it, or TENANT=URL for an issuer that speaks for one tenant only"
	case "identity.audiences":
		return "what tokens may call this server (aud)"
	case "identity.allow_http":
		return "believe issuers over http that are not on loopback"
	case "identity.tenant":
		return "the tenant that drives are of, a GUID; in dev also the one behind common and organizations"
	case "identity.applications":
		return "dev: the only applications that get tokens, each with id, name, secret, roles (application permissions; left out: all) and redirect_uris (left out: this machine's)"
	case "identity.users":
		return "dev: the only users that get tokens, each with upn, id, tenant, name, password, roles and directory_roles"
	case "catalog.profile":
		return "the dated set of Graph's limits, texts and time-outs"
	case "catalog.strict_permissions":
		return "demand what the newest documentation demands"
	case "catalog.cloud":
		return "the Microsoft cloud that the server plays: global, us-l4, us-l5 or china"
	case "catalog.quotas":
		return "other limits on the number of subscriptions than Graph's, each as NAME=LIMIT: the name of a quota, of a pool of them, or all; a number or none"
	case "catalog.prove_renewals":
		return "have endpoints prove themselves at every update of a subscription, as Graph sometimes does, and not only when their URL changes"
	case "catalog.resources":
		return "YAML files with further resources, or other rows for known ones, in the form of the built-in ones"
	case "api.limits":
		return "hold applications to the number of calls that the profile allows within its window, over all tenants and in each: more are refused (429)"
	case "pages.client_id":
		return "serve: the application's id at the identity provider, with public_url + /signin/callback as a redirect URI"
	case "pages.client_secret":
		return "the application's secret"
	case "pages.issuer":
		return "the provider, as it stands in the iss of its tokens"
	case "pages.scopes":
		return "what is asked for besides openid"
	case "pages.session":
		return "how long a session lasts at most"
	case "outbound.allow_loopback":
		return "let endpoints be on loopback, by plain http too"
	case "outbound.allow":
		return "further addresses or prefixes, besides the public ones, that endpoints may have"
	case "outbound.deny":
		return "addresses or prefixes that no endpoint may have"
	case "outbound.http2":
		return "speak HTTP/2 with https endpoints that offer it: one connection for each instead of up to 64"
	case "outbound.ca":
		return "the PEM file of the authorities that endpoints' certificates may be of"
	case "validation_tokens.form":
		return "which of Entra's two generations they look like: v2 (azp) or v1 (appid)"
	case "validation_tokens.issuer":
		return "scheme and host of the issuer that they name"
	case "validation_tokens.sender":
		return "the application that they say the notification is sent by"
	case "publish.max_event_bytes":
		return "the most bytes of one event"
	case "publish.max_batch_events":
		return "the most events of one batch"
	case "publish.max_request_bytes":
		return "the most bytes of one request, unpacked"
	case "publish.triggers":
		return "let operators make changes up (POST /control/v1/trigger, heliograph trigger)"
	case "delivery.batch_count":
		return "the most notifications in one POST"
	case "delivery.batch_bytes":
		return "the most bytes in one POST"
	case "delivery.lane_pending":
		return "how many notifications one endpoint may have waiting in memory"
	case "delivery.lane_flights":
		return "how many POSTs to one endpoint may be under way"
	case "delivery.max_in_flight":
		return "how many bytes of the change log may be in memory, read and not yet done with"
	case "delivery.drop":
		return "discard what comes for an endpoint that answers far too late far too often, as Graph does: dev does, to show an application what it will meet"
	case "delivery.max_unread":
		return "how many accepted changes may wait to be read before publishers are asked to slow down (429)"
	case "objects.read":
		return "answer for what was published: GET of a resource, its collections, and their delta"
	case "objects.max_count":
		return "how many resources may be kept, those that are deleted among them"
	case "objects.max_bytes":
		return "how many bytes they may take"
	case "log.level":
		return "the least that is logged: debug, info, warn or error"
	case "log.format":
		return "how lines look: text, json, or auto, which is text on a terminal and json elsewhere"
	case "tracing.endpoint":
		return "the URL that spans are posted to, OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces (the path may be left out)"
	case "tracing.sample_ratio":
		return "how many of the traces that begin here are recorded: 0.01, or 1%"
	case "tracing.service":
		return "the name under which this server's spans are shown"
	}
	return ""
}
