package gateway

import "net/http"

// docsPage shows the API's document with the viewer of the web build (web/public/api-docs.js). No script is
// inline and none comes from another host.
const docsPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley API</title>
<link rel="stylesheet" href="/api-docs.css">
<script type="module" src="/api-docs.js"></script>
</head>
<body>
<div id="docs"><main><p>Loading…</p><noscript>The document is at <a href="/api/openapi.json">/api/openapi.json</a>.</noscript></main></div>
</body>
</html>
`

// MountDocs serves the API's document for people.
func MountDocs(mux *http.ServeMux) {
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write([]byte(docsPage))
	})
}
