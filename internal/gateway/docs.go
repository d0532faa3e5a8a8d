package gateway

import "net/http"

// docsPage shows the API's document with the viewer that the web build puts beside the UI. No script is
// inline and none comes from another host.
const docsPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley API</title>
<script type="module" src="/docs-assets/rapidoc-min.js"></script>
</head>
<body>
<rapi-doc spec-url="/api/openapi.json" render-style="read" theme="light" show-header="false" allow-server-selection="false"
  allow-authentication="true" load-fonts="false" use-path-in-nav-bar="true" schema-style="table"></rapi-doc>
<noscript>The document is at <a href="/api/openapi.json">/api/openapi.json</a>.</noscript>
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
