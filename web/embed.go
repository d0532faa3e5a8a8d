// Package web is the browser's side of Parley: a React application in src, built by Vite into dist and
// embedded here. Features in src/features bear the names of the Go contexts they talk to; all data comes
// from /api/v1 by a client generated from api/openapi.yaml. dist is built by `make build` and not
// committed, so that a binary made by `go build` alone has no web UI and says so.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Assets gives the built web UI, and whether there is one in this binary.
func Assets() (fs.FS, bool) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return dist, false
	}
	_, err = fs.Stat(files, "index.html")
	return files, err == nil
}
