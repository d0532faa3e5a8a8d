// Package secret keeps what must not be read by whoever gets hold of the database or the blobs.
//
//   - [Key] is the master key: from the setting PARLEY_KEY, or the file "key" in the data folder, made there once.
//   - [Key.Seal] and [Key.Open] are for small secrets in the database: vendors' API keys, phones' digests.
//     [Key.Box] is the same with its purpose fixed.
//   - Package envelope has data keys of organisations, which seal everything; the master key only wraps those.
//   - [ChunkWriter] and [ChunkReader] are for recordings and event logs: files that grow, are encrypted as they
//     do, can be read from any place, and after a crash up to their last whole chunk.
//
// Everything is AES-256-GCM (NIST SP 800-38D) under keys derived from the master key with HKDF-SHA-256 (RFC 5869),
// so that no key is used for two things.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// KeySize is the length of the master key in bytes.
const KeySize = 32

const (
	sealVersion = 1  // first byte of a sealed secret
	nonceSize   = 12 // GCM's own
	tagSize     = 16
	keyFile     = "key"
)

// ErrOpen says that a secret is not what was sealed: another key, another purpose, or changed bytes.
var ErrOpen = errors.New("secret: cannot be opened: the key is another one (PARLEY_KEY or the key file changed?) or the data was altered")

// Key is the master key. It is safe for concurrent use and never prints itself.
type Key struct{ master [KeySize]byte }

// ParseKey reads a key of 32 bytes in hex or base64.
func ParseKey(s string) (*Key, error) {
	s = strings.TrimSpace(s)
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if b, err := decode(s); err == nil && len(b) == KeySize {
			return &Key{master: [KeySize]byte(b)}, nil
		}
	}
	return nil, fault.Field("key", "the key is not 32 bytes in hex or base64; make one with: openssl rand -hex 32")
}

// NewKey makes a key of 32 bytes, which it copies.
func NewKey(b []byte) (*Key, error) {
	if len(b) != KeySize {
		return nil, fmt.Errorf("secret: a key has %d bytes, not %d", KeySize, len(b))
	}
	return &Key{master: [KeySize]byte(b)}, nil
}

// Bytes gives a copy of the key, to be wrapped by another one.
func (k *Key) Bytes() []byte { return append([]byte(nil), k.master[:]...) }

// LoadKey gives the key of the setting, or else of the file "key" in dataDir, which is made when missing.
func LoadKey(setting, dataDir string) (*Key, error) {
	if setting != "" {
		return ParseKey(setting)
	}
	return LoadKeyFile(filepath.Join(dataDir, keyFile))
}

// LoadKeyFile gives the key of a file, which is made when missing.
func LoadKeyFile(path string) (*Key, error) {
	k, err := ReadKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := makeKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the key file: %w", err)
	}
	return ReadKeyFile(path) // also when another process made it meanwhile
}

// ReadKeyFile gives the key of a file that others cannot read.
func ReadKeyFile(path string) (*Key, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Invalid, "the key file %s can be read by others (%v); run: chmod 600 %s", path, st.Mode().Perm(), path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	k, err := ParseKey(string(b))
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// makeKey writes a new key under a temporary name and links it to its place: whoever finds the file finds it whole,
// and of two processes one wins.
func makeKey(path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // made with 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	var b [KeySize]byte
	_, _ = rand.Read(b[:]) // never fails
	_, werr := f.WriteString(hex.EncodeToString(b[:]) + "\n")
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

// String hides the key.
func (*Key) String() string { return "secret.Key(hidden)" }

// GoString hides the key.
func (*Key) GoString() string { return "secret.Key(hidden)" }

// Derive gives a key of 32 bytes for one purpose: signing links, cookies, tokens.
func (k *Key) Derive(purpose string) []byte { return k.derive(nil, "derive\x00"+purpose) }

func (k *Key) derive(salt []byte, info string) []byte {
	out, err := hkdf.Key(sha256.New, k.master[:], salt, "parley "+info, KeySize)
	if err != nil {
		panic(err) // only for lengths beyond 255 hashes, or a short key under FIPS 140
	}
	return out
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a wrong key length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for a wrong block size
	}
	return aead
}

// Seal encrypts a small secret. Open needs the same aad: what the secret belongs to, such as its row's id, so that
// it cannot be moved to another place.
func (k *Key) Seal(plain, aad []byte) ([]byte, error) {
	// A key for each secret: random nonces under one key would limit how many there may be.
	var salt [16]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := append(make([]byte, 0, 1+len(salt)+len(plain)+tagSize), sealVersion)
	out = append(out, salt[:]...)
	var nonce [nonceSize]byte // its key is used once
	return newGCM(k.derive(salt[:], "seal")).Seal(out, nonce[:], plain, aad), nil
}

// Open decrypts what Seal made.
func (k *Key) Open(sealed, aad []byte) ([]byte, error) {
	if len(sealed) < 1+16+tagSize || sealed[0] != sealVersion {
		return nil, ErrOpen
	}
	var nonce [nonceSize]byte
	plain, err := newGCM(k.derive(sealed[1:17], "seal")).Open(nil, nonce[:], sealed[17:], aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// Box seals secrets of one purpose.
type Box struct {
	key     *Key
	purpose []byte
}

// Box gives a Box for a purpose: what another purpose's Box sealed does not open.
func (k *Key) Box(purpose string) *Box { return &Box{key: k, purpose: []byte("box\x00" + purpose)} }

// Seal encrypts a small secret.
func (b *Box) Seal(plain []byte) ([]byte, error) { return b.key.Seal(plain, b.purpose) }

// Open decrypts what Seal made.
func (b *Box) Open(sealed []byte) ([]byte, error) { return b.key.Open(sealed, b.purpose) }
