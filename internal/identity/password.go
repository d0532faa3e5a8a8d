package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// PasswordCost is what argon2id takes for one password.
type PasswordCost struct {
	Passes    uint32
	MemoryKiB uint32
}

// usualCost is the second recommended option of RFC 9106 section 4 scaled to one lane: 64 MiB, 3 passes.
func usualCost() PasswordCost { return PasswordCost{Passes: 3, MemoryKiB: 64 * 1024} }

const (
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32

	minPassword = 10
	maxPassword = 256
)

// CheckPassword says what is wrong with a new password. Length is what counts (NIST SP 800-63B section
// 5.1.1.2); one made of the address or of one character, or on the list of common ones, is refused.
func CheckPassword(password, email string) error {
	n := utf8.RuneCountInString(password)
	local, _, _ := strings.Cut(strings.ToLower(email), "@")
	switch {
	case n < minPassword:
		return fault.Field("body.password", "the password has %d characters; use at least %d, a few words are best", n, minPassword)
	case len(password) > maxPassword:
		return fault.Field("body.password", "the password is too long; use at most %d bytes", maxPassword)
	case strings.Trim(password, password[:1]) == "":
		return fault.Field("body.password", "the password repeats one character; use a few words")
	case len(local) > 3 && strings.Contains(strings.ToLower(password), local):
		return fault.Field("body.password", "the password contains your e-mail name; use something else")
	case isCommon(password):
		return errBreached()
	}
	return nil
}

func hashPassword(password string, cost PasswordCost) (string, error) {
	salt := make([]byte, argonSalt)
	if _, err := io.ReadFull(rand.Reader, salt); err != nil {
		return "", err
	}
	key := argon2.IDKey([]byte(password), salt, cost.Passes, cost.MemoryKiB, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, cost.MemoryKiB, cost.Passes, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// verifyPassword compares in constant time, at the cost that the hash was made with. A hash that cannot be read matches nothing.
func verifyPassword(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	var version, memory, time, threads uint32
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || time == 0 || threads == 0 || threads > 16 || memory > 1<<20 {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}
