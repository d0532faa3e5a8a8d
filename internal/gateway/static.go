package gateway

import (
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// MountUI serves the web UI. Unknown paths that are no files get the start page, because the UI routes by
// itself; unknown paths below /api, /carriers and /assets stay unknown.
func MountUI(mux *http.ServeMux, files fs.FS, built bool) {
	if !built {
		mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api/") {
				WriteProblem(w, unknownPath())
				return
			}
			http.Error(w, "The web UI is not in this binary: build it with `make build`. The API works: /docs", http.StatusNotFound)
		})
		return
	}
	server := http.FileServerFS(files)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if st, err := fs.Stat(files, name); err == nil && !st.IsDir() && name != "index.html" {
			if strings.HasPrefix(name, "assets/") {
				// Names under assets carry a hash of their content.
				w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			} else {
				w.Header().Set("Cache-Control", "no-cache")
			}
			server.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(name, "api/") {
			WriteProblem(w, unknownPath())
			return
		}
		for _, p := range []string{"carriers/", "assets/", "health"} {
			if strings.HasPrefix(name, p) {
				http.NotFound(w, r)
				return
			}
		}
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, files, "index.html")
	})
}
