package local

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/parley-voice/parley/internal/voice/provider"
)

const (
	maxGrammars  = 300      // kept in memory
	maxGrammar   = 64 << 10 // bytes of one
	maxWords     = 2000
	maxInvented  = 40 // words of a grammar that no dictionary has
	maxWordBytes = 60
)

// grammar is what can be said, as the recogniser wants it: rules, and how each word sounds.
type grammar struct {
	jsgf []byte
	dict []byte

	uses        atomic.Int64
	calibrating atomic.Bool             // or done
	limit       atomic.Pointer[float64] // its own threshold, once it was calibrated
}

// prepare makes a grammar ready, or takes it from the cache.
func (e *Engine) prepare(ctx context.Context, x provider.Expect) (*grammar, error) {
	if g, ok := e.grammars.GetIfPresent(x.Grammar); ok {
		return g, nil
	}
	if len(x.Grammar) > maxGrammar || len(x.Words) > maxWords {
		return nil, fail(provider.ServiceSTT, "too_long", true, nil, "the grammar has %d bytes and %d words; the %s takes %d and %d",
			len(x.Grammar), len(x.Words), RecogniserName, maxGrammar, maxWords)
	}
	dict, err := e.dictionary(ctx, x.Words)
	if err != nil {
		return nil, err
	}
	g := &grammar{jsgf: []byte(x.Grammar), dict: dict}
	e.grammars.Set(x.Grammar, g)
	return g, nil
}

// dictionary takes the words' lines from the CMU dictionary. Words it does not have are pronounced by
// flite's letter-to-sound rules, which use the same phones.
func (e *Engine) dictionary(ctx context.Context, words []string) ([]byte, error) {
	want := map[string]bool{}
	for _, w := range words {
		if w != "" && len(w) <= maxWordBytes && !strings.ContainsAny(w, " \t\n\r()") {
			want[w] = false
		}
	}
	f, err := os.Open(filepath.Join(e.c.ModelDir, "cmudict-en-us.dict"))
	if err != nil {
		return nil, fail(provider.ServiceSTT, "failed", true, err, "the recogniser's dictionary cannot be read; install pocketsphinx-en-us")
	}
	defer func() { _ = f.Close() }()
	var out bytes.Buffer
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		line := sc.Bytes()
		sp := bytes.IndexByte(line, ' ')
		if sp <= 0 {
			continue
		}
		word := line[:sp]
		if i := bytes.IndexByte(word, '('); i > 0 { // a second way to say it: word(2)
			word = word[:i]
		}
		if _, ok := want[string(word)]; ok {
			want[string(word)] = true
			out.Write(line)
			out.WriteByte('\n')
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fail(provider.ServiceSTT, "failed", false, err, "the recogniser's dictionary cannot be read")
	}
	return e.invent(ctx, &out, want)
}

func (e *Engine) invent(ctx context.Context, out *bytes.Buffer, want map[string]bool) ([]byte, error) {
	var missing []string
	for w, found := range want {
		if !found {
			missing = append(missing, w)
		}
	}
	slices.Sort(missing)
	if len(missing) > maxInvented {
		return nil, fail(provider.ServiceSTT, "refused", true, nil, "%d words of the grammar are in no dictionary, among them %q; at most %d can be", len(missing), missing[0], maxInvented)
	}
	for _, w := range missing {
		phones, err := e.pronounce(ctx, w)
		if err != nil {
			return nil, err
		}
		out.WriteString(w + " " + phones + "\n")
	}
	return out.Bytes(), nil
}

// pronounce asks flite how a word sounds. Its phones are those of the CMU dictionary, save a few.
func (e *Engine) pronounce(ctx context.Context, word string) (string, error) {
	if e.programs[flite] == "" {
		return "", fail(provider.ServiceSTT, "refused", true, nil, "the word %q is in no dictionary; install flite, or use another word", word)
	}
	out, err := e.run(ctx, provider.ServiceSTT, flite, "-t", strings.Trim(word, "-"), "-ps", "-o", "none")
	if err != nil {
		return "", err
	}
	var phones []string
	for _, p := range strings.Fields(string(out)) {
		switch p {
		case "pau":
			continue
		case "ax":
			p = "ah"
		}
		phones = append(phones, strings.ToUpper(p))
	}
	if len(phones) == 0 {
		return "", fail(provider.ServiceSTT, "refused", true, nil, "nobody knows how to say %q; use another word", word)
	}
	return strings.Join(phones, " "), nil
}
