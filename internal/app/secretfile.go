package app

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// filePrefix begins a setting that names the file of its secret: what a secrets manager writes, such as Vault Agent, systemd
// (LoadCredential) or Kubernetes. The file is read when the secret is used, so that a new one is used at once.
const filePrefix = "file:"

const maxSecretFile = 16 << 10

func isFile(value string) bool { return strings.HasPrefix(value, filePrefix) }

// secretOf gives the secret that a setting holds, or that its file does. A space or a new line at the ends is not of it.
func secretOf(value string) (string, error) {
	path, named := strings.CutPrefix(value, filePrefix)
	if !named {
		return value, nil
	}
	f, err := os.Open(path) //nolint:gosec // the settings name it
	if err != nil {
		return "", fmt.Errorf("the file of a secret: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("the file of a secret: %w", err)
	case len(b) > maxSecretFile:
		return "", fmt.Errorf("the file of a secret %s is longer than %d bytes", path, maxSecretFile)
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return "", fmt.Errorf("the file of a secret %s is empty", path)
	}
	return secret, nil
}

// checkSecretFiles judges the files that settings name.
func (c *Config) checkSecretFiles(bad complain) {
	for setting, value := range map[string]string{"twilio-auth-token": c.TwilioAuthToken, "metrics-token": c.MetricsToken, "smtp-url": c.SMTPURL} {
		if !isFile(value) {
			continue
		}
		if _, err := secretOf(value); err != nil {
			bad(setting, "write the secret into the file, readable for the server's user only", "%v", err)
			continue
		}
		st, err := os.Stat(strings.TrimPrefix(value, filePrefix))
		if err == nil && st.Mode().Perm()&0o007 != 0 {
			bad(setting, "run chmod o= on it", "everybody on this machine may read the file of the secret")
		}
	}
}
