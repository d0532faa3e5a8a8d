package identity

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1" //nolint:gosec // the range API is keyed by SHA-1; nothing is protected by it
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// The most common passwords, one a line; source and licence are in common_passwords.md.
//
//go:embed common_passwords.txt.gz
var commonPasswordsFile []byte

const (
	rangeTimeout = 3 * time.Second
	rangeMax     = 1 << 20 // bytes; a range has some 40 kB
)

var commonPasswords = sync.OnceValue(func() map[string]struct{} {
	zr, err := gzip.NewReader(bytes.NewReader(commonPasswordsFile))
	if err != nil {
		panic(err) // it is embedded
	}
	set := make(map[string]struct{}, 50_000)
	for lines := bufio.NewScanner(zr); lines.Scan(); {
		set[lines.Text()] = struct{}{}
	}
	return set
})

// isCommon reports whether a password is a common one, also with the digits and signs around it that people add to
// satisfy a rule, or written with the usual figures for letters.
func isCommon(password string) bool {
	common := commonPasswords()
	lower := strings.ToLower(password)
	for _, form := range []string{
		lower,
		strings.Trim(lower, "0123456789 !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"),
		strings.ReplaceAll(lower, " ", ""),
	} {
		for _, f := range []string{form, unfigure.Replace(form)} {
			if _, ok := common[f]; ok {
				return true
			}
			if half := len(f) / 2; half > 2 && f[:half] == f[half:] {
				if _, ok := common[f[:half]]; ok {
					return true
				}
			}
		}
	}
	return false
}

var unfigure = strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

func errBreached() error {
	return fault.Field("body.password", "this password is on lists of leaked or common passwords; use another one, a few unrelated words are best")
}

// ranges asks a service of leaked passwords by the first five digits of a hash, so that the service does not learn the
// password (k-anonymity; https://haveibeenpwned.com/API/v3#PwnedPasswords).
type ranges struct {
	url    string
	client *http.Client
}

// leaked reports whether the password is on the service's list.
func (r *ranges) leaked(ctx context.Context, password string) (bool, error) {
	sum := sha1.Sum([]byte(password)) //nolint:gosec // see the import
	hash := strings.ToUpper(hex.EncodeToString(sum[:]))
	ctx, cancel := context.WithTimeout(ctx, rangeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(r.url, "/")+"/"+hash[:5], nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Add-Padding", "true") // the answer's length shall not tell the range
	req.Header.Set("User-Agent", "Parley")
	res, err := r.client.Do(req)
	if err != nil {
		return false, errors.New("the service of leaked passwords does not answer") // the error names the URL with the range
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("the service of leaked passwords answers %d", res.StatusCode)
	}
	lines := bufio.NewScanner(io.LimitReader(res.Body, rangeMax))
	for lines.Scan() {
		suffix, count, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if strings.EqualFold(suffix, hash[5:]) {
			return count != "0", nil // padding has the count 0
		}
	}
	return false, lines.Err()
}

// checkPassword says what is wrong with a new password: its form, the list that comes with the program and, where one
// is set, the service of leaked passwords. A service that does not answer stops nobody.
func (s *Service) checkPassword(ctx context.Context, password, email string) error {
	if err := CheckPassword(password, email); err != nil {
		return err
	}
	if s.cfg.LeakedPasswords == "" {
		return nil
	}
	leaked, err := s.ranges.leaked(ctx, password)
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "leaked passwords cannot be asked for; the list that comes with the program was used", "error", err)
		return nil
	}
	if leaked {
		return errBreached()
	}
	return nil
}
