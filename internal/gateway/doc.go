// Package gateway is the HTTP server: it knows who is asking and whether they may, serves the web UI, the
// API's document and the live events, and mounts the routes of the contexts without knowing what they do.
//
//	server.go     listening, the middleware every request passes, draining
//	api.go        the huma API: permission of each operation, problem+json for every error
//	realtime.go   /api/v1/realtime: a WebSocket with rooms, resumable from the last id
//	health.go     /health, /health/ready, /health/live
//	docs.go       /docs: the API's document for people
//	static.go     the web UI
//
// An operation says which permission it needs in its Metadata; one that says nothing is refused.
package gateway
