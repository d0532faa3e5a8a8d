package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Sum gathers the hashes of things in any order: databases do not agree on the order of text. It is the sum of the SHA-256 of
// each, modulo 2^256. It finds what was lost, doubled or changed; what keeps a forger out is the archive's encryption.
type Sum struct {
	n, bytes int64
	acc      [4]uint64 // the lowest first
}

// Add counts one thing.
func (s *Sum) Add(b []byte) { s.AddHash(sha256.Sum256(b), int64(len(b))) }

// AddHash counts one thing whose hash is known already.
func (s *Sum) AddHash(h [sha256.Size]byte, size int64) {
	s.n++
	s.bytes += size
	var carry uint64
	for i := range s.acc {
		s.acc[i], carry = bits.Add64(s.acc[i], binary.BigEndian.Uint64(h[24-8*i:]), carry)
	}
}

// Total gives what was gathered.
func (s *Sum) Total() Total {
	var b [sha256.Size]byte
	for i, v := range s.acc {
		binary.BigEndian.PutUint64(b[24-8*i:], v)
	}
	return Total{Count: s.n, Bytes: s.bytes, SHA256: hex.EncodeToString(b[:])}
}
