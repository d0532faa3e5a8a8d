// Package gateway is the HTTP server: it knows who is asking and whether they may, serves the web UI, the
// API's document and the live events, and mounts the routes of the contexts without knowing what they do.
//
//	server.go       listening, TLS (package certs), redirects to https
//	middleware.go   what every request passes: headers, deadlines, the access log
//	client.go       whose address a request comes from
//	compress.go     zstd and gzip
//	cors.go         pages of other sites, by organisation
//	limits.go       rate limits; gcra.go counts, shared.go tells other instances
//	api.go          the huma API: permission of each operation, problem+json for every error
//	answer.go       an answer held back: for what follows
//	idempotency.go  a POST that is sent again
//	conditional.go  ETag, If-None-Match, If-Match
//	audit.go        what a request leaves in the audit trail by itself
//	realtime.go     /api/v1/realtime: a WebSocket with rooms, resumable from the last id
//	resume.go       how its clients go to another instance
//	health.go       /health, /health/ready, /health/live
//	docs.go         /docs: the API's document for people
//	static.go       the web UI
//	store.go        the tables
//
// An operation says which permission it needs in its Metadata; one that says nothing is refused.
package gateway
