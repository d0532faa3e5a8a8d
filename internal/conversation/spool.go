package conversation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// The files of a call in the spool: <data>/spool/<call>.rec and <call>.log. What they are called there and
// in the blob store, and what their keys are made for.
const (
	recSuffix = ".rec"
	logSuffix = ".log"
)

// Files makes the spool's files; os.OpenFile outside of tests.
type Files interface {
	// Create makes a file that does not exist, for writing.
	Create(path string) (File, error)
}

// File is what the spool writes to. A failed Write may have written a part.
type File interface {
	io.Writer
	Truncate(size int64) error
	Seek(offset int64, whence int) (int64, error)
	Close() error
}

type osFiles struct{}

func (osFiles) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// logHead is chunk 0 of an event log: enough to make the call's row again.
type logHead struct {
	Version  int            `json:"v"`
	Row      callRow        `json:"row"`
	Metadata map[string]any `json:"metadata,omitempty"`
}

// recHead is chunk 0 of a recording.
type recHead struct {
	Version     int    `json:"v"`
	CallID      string `json:"call"`
	OrgID       string `json:"org"`
	Format      format `json:"format"`
	Rate        int    `json:"rate"`
	ChunkFrames int    `json:"chunkFrames"`
	AnsweredAt  int64  `json:"answeredAt"`
}

// spoolFile appends sealed chunks. A chunk is in the file whole or not at all. It begins in memory: a call that
// is over within a moment costs the disk no file. (To make a file where many were just removed is slow on ext4: it
// looks for an inode that was not freed in the last seconds.)
type spoolFile struct {
	f    File // nil while in memory
	mem  []byte
	seal *sealer
	size int64
	buf  []byte
	torn bool // a part of a chunk is behind size
}

func newSpool(key envelope.FileKey, org, purpose string, head any) (*spoolFile, error) {
	seal, err := newSealer(key, org, purpose)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	s := &spoolFile{seal: seal, mem: seal.seal(seal.head, b)}
	s.size = int64(len(s.mem))
	seal.index++
	return s, nil
}

// settle makes the file, unless there is one.
func (s *spoolFile) settle(files Files, path string) error {
	if s.f != nil {
		return nil
	}
	f, err := files.Create(path)
	if err != nil {
		return err
	}
	if n, err := f.Write(s.mem); err != nil || n < len(s.mem) {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	s.f, s.mem = f, nil
	return nil
}

// append writes one chunk.
func (s *spoolFile) append(plain []byte) error {
	if s.f == nil {
		if len(s.mem)+len(plain) > maxLogBacklog {
			return errNoRoom
		}
		s.mem = s.seal.seal(s.mem, plain)
		s.size = int64(len(s.mem))
		s.seal.index++
		return nil
	}
	if s.torn {
		if err := s.restore(); err != nil {
			return err
		}
	}
	s.buf = s.seal.seal(s.buf[:0], plain)
	n, err := s.f.Write(s.buf)
	if err == nil && n < len(s.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		s.torn = true
		return errors.Join(err, s.restore())
	}
	s.size += int64(n)
	s.seal.index++
	if cap(s.buf) > 64<<10 {
		s.buf = nil
	}
	return nil
}

var errNoRoom = errors.New("the file cannot be made, and no more of it is kept in memory")

// restore takes half a chunk back.
func (s *spoolFile) restore() error {
	if err := s.f.Truncate(s.size); err != nil {
		return err
	}
	if _, err := s.f.Seek(s.size, io.SeekStart); err != nil {
		return err
	}
	s.torn = false
	return nil
}

func (s *spoolFile) close() error {
	if s.f == nil {
		return nil
	}
	return s.f.Close()
}

// files are what the writer keeps open for a call. Only the shard's goroutine touches them.
type files struct {
	closed   bool
	keyTried time.Time // when the key was refused
	told     struct{ entries, frames, entriesSeen, framesSeen int64 }

	log          *spoolFile
	logSince     time.Time
	logFailing   bool
	logLost      int64
	backlog      []byte // lines that are not in the log yet
	backlogFirst int64
	backlogCount int

	rec       *spoolFile
	recFrames int64
	recBroken bool
}

func (f *files) openLog(s *Service, c *Call) (err error) {
	if f.log != nil {
		return nil
	}
	key, err := f.fileKey(c)
	if err != nil {
		return err
	}
	c.state.mu.Lock()
	head := logHead{Version: 1, Row: c.state.row, Metadata: c.state.metadata}
	c.state.mu.Unlock()
	f.logSince = s.clock.Now()
	f.log, err = newSpool(key, c.org, "log "+c.id, head)
	return err
}

func (f *files) openRec(s *Service, c *Call, l layout) (err error) {
	if f.rec != nil {
		return nil
	}
	key, err := f.fileKey(c)
	if err != nil {
		return err
	}
	c.state.mu.Lock()
	zero := c.state.row.zero()
	c.state.mu.Unlock()
	head := recHead{Version: 1, CallID: c.id, OrgID: c.org, Format: l.format, Rate: l.rate, ChunkFrames: chunkFrames, AnsweredAt: zero}
	f.rec, err = newSpool(key, c.org, "rec "+c.id, head)
	return err
}

// abandon closes the files of a call whose records cannot be written.
func (f *files) abandon() {
	f.closed = true
	for _, sf := range []*spoolFile{f.log, f.rec} {
		if sf != nil {
			_ = sf.close() // they are given up already
		}
	}
	f.log, f.rec = nil, nil
}

func (s *Service) spoolPath(call, suffix string) string { return filepath.Join(s.spool, call+suffix) }

// spooledCalls gives the ids of the calls that have files in the spool.
func (s *Service) spooledCalls() ([]string, error) {
	entries, err := os.ReadDir(s.spool)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		name := e.Name()
		id := strings.TrimSuffix(strings.TrimSuffix(name, logSuffix), recSuffix)
		if id == name || uuid.Validate(id) != nil || (len(ids) > 0 && ids[len(ids)-1] == id) {
			continue
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// nodeID names this data directory, so that a restart finds its own calls among those of other nodes.
func nodeID(spool string) (string, error) {
	path := filepath.Join(spool, "node")
	b, err := os.ReadFile(path)
	if err == nil && uuid.Validate(strings.TrimSpace(string(b))) == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := newID()
	// Whole or not at all: a process that dies here leaves no half name.
	if err := os.WriteFile(path+".new", []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("the spool cannot be written: %w", err)
	}
	return id, os.Rename(path+".new", path)
}

// isDiskFull reports whether err means that there is no room.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
