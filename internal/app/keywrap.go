package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/awskms"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/platform/secret/vault"
)

// The files of master keys in the data folder. While the key is replaced there are two: see RotateKey.
const (
	keyFile         = "key"
	keyFileNext     = "key.next"
	keyFilePrevious = "key.previous"
)

// checkKeys judges the settings of what wraps data keys.
func (c *Config) checkKeys(bad complain) {
	if c.Key != "" {
		if _, err := secret.ParseKey(c.Key); err != nil {
			bad("key", "make one with: openssl rand -hex 32", "it is not 32 bytes as hex or base64")
		}
	}
	if _, err := c.previousKeys(); err != nil {
		bad("key-previous", "give the earlier master keys as they were, separated by commas", "one of them is not 32 bytes as hex or base64")
	}
	for setting, value := range map[string]string{"kms": c.KMS, "kms-previous": c.KMSPrevious} {
		if value == "" {
			continue
		}
		if err := checkKMS(value); err != nil {
			bad(setting, "write awskms://alias/NAME?region=REGION or vault://HOST:PORT/MOUNT/KEY", "%v", err)
		}
	}
	usesVault := isVault(c.KMS) || isVault(c.KMSPrevious)
	if usesVault && (c.VaultToken == "") == (c.VaultTokenFile == "") {
		bad("vault-token", "set vault-token or vault-token-file, one of them", "Vault needs a token")
	}
	if c.asksForKeys() && (c.KeyPrevious != "" || c.KMSPrevious != "") {
		bad("key-previous", "give it to the workers, and none to this process", "this process has no master key and no key service, and asks workers")
	}
	if c.KMSPrevious != "" && c.KMSPrevious == c.KMS {
		bad("kms-previous", "leave it empty unless another key service wrapped before", "it is the same as kms")
	}
}

func isVault(s string) bool { return strings.HasPrefix(s, "vault") }

func checkKMS(value string) error {
	if isVault(value) {
		_, _, _, err := vault.Parse(value)
		return err
	}
	_, _, _, err := awskms.Parse(value)
	return err
}

func (c *Config) previousKeys() (keys []*secret.Key, err error) {
	for s := range strings.SplitSeq(c.KeyPrevious, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		k, err := secret.ParseKey(s)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// keyIsFile reports whether the master key is the file in the data folder.
func (c *Config) keyIsFile() bool { return c.Key == "" && c.KMS == "" && !c.asksForKeys() }

// asksForKeys reports whether this process has nothing that wraps data keys, and asks workers to do it.
func (c *Config) asksForKeys() bool {
	return c.split() && c.Role != roleWorker && c.Key == "" && c.KMS == ""
}

// masterKey gives the master key: that of the setting, or the file, which is made where nothing else wraps. nil: there is
// none, a key service or other processes have its place.
func (c *Config) masterKey() (*secret.Key, error) {
	if c.asksForKeys() {
		return nil, nil
	}
	if c.Key != "" || c.KMS == "" {
		return secret.LoadKey(c.Key, c.DataDir)
	}
	return readKeyFile(c.DataDir, keyFile)
}

// readKeyFile gives a master key of the data folder; nil when the file is not there.
func readKeyFile(dir, name string) (*secret.Key, error) {
	k, err := secret.ReadKeyFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return k, err
}

// keyService makes the client of a key service.
func (a *App) keyService(ctx context.Context, url string) (envelope.Wrapper, error) {
	if isVault(url) {
		return vault.New(vault.Config{URL: url, Token: a.cfg.VaultToken, TokenFile: a.cfg.VaultTokenFile, Clock: a.clock})
	}
	return awskms.New(ctx, awskms.Config{URL: url})
}

// wrappers gives what the settings name as wrapping data keys, and what may have wrapped them before.
func (a *App) wrappers(ctx context.Context) (current envelope.Wrapper, previous []envelope.Wrapper, err error) {
	if a.holders != nil {
		return a.holders.Wrapper(a.holders.Current()), nil, nil
	}
	if a.cfg.KMS == "" {
		current = envelope.NewLocal(a.key)
	} else if current, err = a.keyService(ctx, a.cfg.KMS); err != nil {
		return nil, nil, fmt.Errorf("key service: %w", err)
	} else if a.key != nil {
		previous = append(previous, envelope.NewLocal(a.key))
	}
	keys, err := a.cfg.previousKeys()
	if err != nil {
		return nil, nil, err
	}
	for _, k := range keys {
		previous = append(previous, envelope.NewLocal(k))
	}
	if a.cfg.KMSPrevious != "" {
		w, err := a.keyService(ctx, a.cfg.KMSPrevious)
		if err != nil {
			return nil, nil, fmt.Errorf("previous key service: %w", err)
		}
		previous = append(previous, w)
	}
	return current, previous, nil
}

// findWrapper looks for a master key among the files: another process may just be replacing it. Of a process that asks for its
// keys, those who answer know what they have.
func (a *App) findWrapper(id string) (envelope.Wrapper, error) {
	if a.holders != nil {
		return a.holders.Wrapper(id), nil
	}
	for _, name := range []string{keyFile, keyFileNext, keyFilePrevious} {
		k, err := readKeyFile(a.cfg.DataDir, name)
		if err != nil {
			return nil, err
		}
		if k == nil {
			continue
		}
		if w := envelope.NewLocal(k); w.ID() == id {
			return w, nil
		}
	}
	return nil, nil
}
