// Package archive is one file with tables and files in it: written as a stream, of any size in little memory, encrypted and
// authenticated under a passphrase. It knows nothing of what is in it.
//
// # The file
//
//	"PRLYARC" version[1]            1
//	time[4] memory[4] lanes[1]      of argon2id (RFC 9106), memory in KiB, big-endian
//	salt[16] check[8]               check tells a wrong passphrase from a damaged file
//	a chunk file                    of platform/secret: AES-256-GCM, each chunk authenticated for itself and in its place
//
// The bytes before the chunk file are part of what its key is made of. Inside it are parts, each "kind[1] length[4] bytes":
//
//	H  the head, JSON: whatever the writer says of itself
//	T  a table begins, JSON: [Table]; R a row of it
//	F  a file begins, JSON: [File]; D some of its bytes; E it ends, JSON: its size and hash
//	M  the manifest, JSON: counts and hashes of all tables and files, and what the writer adds. It is the last part.
//
// A file without its manifest was cut. [Reader.Next] compares what it reads with the manifest before it says io.EOF, so who
// has read a file to its end has verified it. An error names the part that could not be read.
//
// writer.go writes, reader.go reads, sum.go is how contents are compared.
package archive

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/argon2"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

const (
	magic   = "PRLYARC"
	version = 1

	// The second recommended option of RFC 9106 section 4.
	argonTime   = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 4

	// What a file may ask of its reader.
	maxTime   = 16
	maxMemory = 1 << 20 // KiB
	maxLanes  = 16

	saltSize  = 16
	checkSize = 8
	keyedSize = len(magic) + 1 + 4 + 4 + 1 + saltSize // what the key is made of
	frontSize = keyedSize + checkSize

	chunkSize = 256 << 10
	// MaxPart is the most bytes of one part; a reader holds one in memory.
	MaxPart = 32 << 20

	minPassphrase = 12
)

// The kinds of parts.
const (
	kindHead     = 'H'
	kindTable    = 'T'
	kindRow      = 'R'
	kindFile     = 'F'
	kindData     = 'D'
	kindEnd      = 'E'
	kindManifest = 'M'
)

// Table is a table as it is in the file.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Types   []string `json:"types"`
	Key     []string `json:"key"`
}

// File is a file in the archive.
type File struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Gone bool   `json:"gone,omitempty"` // it was deleted while the archive was written
}

// fileEnd is what is known of a file once it was written.
type fileEnd struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Manifest says what an archive holds.
type Manifest struct {
	Tables map[string]Total `json:"tables"`
	Files  map[string]Total `json:"files"` // by kind
	Extra  json.RawMessage  `json:"extra,omitempty"`
}

// Total is how much there is of something: counts, bytes, and a hash that does not depend on the order.
type Total struct {
	Count  int64  `json:"count"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// CheckPassphrase refuses one that could be guessed.
func CheckPassphrase(p string) error {
	if len(p) < minPassphrase {
		return fault.Field("passphrase", "the passphrase has fewer than %d characters: whoever has the file could guess it", minPassphrase)
	}
	return nil
}

// keyOf makes the key of what the front says, and the check value of the key.
func keyOf(front []byte, passphrase string) (*secret.Key, []byte, error) {
	at := len(magic) + 1
	time, memory, lanes := binary.BigEndian.Uint32(front[at:]), binary.BigEndian.Uint32(front[at+4:]), front[at+8]
	if time == 0 || time > maxTime || memory < 8 || memory > maxMemory || lanes == 0 || lanes > maxLanes {
		return nil, nil, fault.New(fault.Invalid, "the beginning of the file is damaged: it asks for argon2id with %d passes over %d KiB", time, memory)
	}
	salt := front[keyedSize-saltSize : keyedSize]
	raw := argon2.IDKey([]byte(passphrase), salt, time, memory, lanes, secret.KeySize)
	k, err := secret.ParseKey(hex.EncodeToString(raw))
	if err != nil {
		return nil, nil, err
	}
	return k, k.Derive("archive check")[:checkSize], nil
}

// chunkName binds the chunks to the front of the file.
func chunkName(front []byte) string { return "archive\x00" + string(front[:keyedSize]) }

// named says what a file is, for a person.
func (f *File) named() string { return fmt.Sprintf("the file %s %q", f.Kind, f.Name) }
