// Mockoidc runs an OpenID Connect provider that nobody here wrote, for tests that need one beside the server. It signs
// everybody in as jane.doe@example.com without asking. Its address and client are printed as one line of JSON; it ends
// when its standard input does.
package main

import (
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/oauth2-proxy/mockoidc"
)

func main() {
	m, err := mockoidc.Run()
	if err != nil {
		log.Fatal(err)
	}
	out := map[string]string{"issuer": m.Issuer(), "clientId": m.ClientID, "clientSecret": m.ClientSecret}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := m.Shutdown(); err != nil {
		log.Fatal(err)
	}
}
