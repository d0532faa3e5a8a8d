package conversation

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// transcriptWriter writes a transcript for a person or a player.
type transcriptWriter interface {
	item(it TranscriptItem) error
	close() error
}

// vttWriter writes WebVTT (https://www.w3.org/TR/webvtt1/): one cue for each item, the speaker as a voice.
type vttWriter struct{ w *bufio.Writer }

func newVTTWriter(w io.Writer) (*vttWriter, error) {
	v := &vttWriter{bufio.NewWriter(w)}
	_, err := v.w.WriteString("WEBVTT\n")
	return v, err
}

// vttEscape is section 4.2.2's escapes: & and < may not stand in a cue, and > not in "-->".
var vttEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (v *vttWriter) item(it TranscriptItem) error {
	if !it.Final || it.Text == "" {
		return nil
	}
	// A cue must end after it starts, and its text has no empty line: that would end the cue.
	start := max(it.StartMs, 0)
	end := max(it.EndMs, start+1)
	_, err := fmt.Fprintf(v.w, "\n%d\n%s --> %s\n<v %s>%s</v>\n", it.Seq, vttTime(start), vttTime(end), it.Speaker,
		vttEscape.Replace(oneLine(it.Text)))
	return err
}

func (v *vttWriter) close() error { return v.w.Flush() }

// vttTime is section 4.1's timestamp: hours have two digits or more.
func vttTime(ms int64) string {
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// oneLine makes runs of white space, line ends among them, a space.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// textWriter writes plain text: time, speaker, words.
type textWriter struct{ w *bufio.Writer }

func (t *textWriter) item(it TranscriptItem) error {
	if !it.Final || it.Text == "" {
		return nil
	}
	cut := ""
	if it.Interrupted {
		cut = " [interrupted]"
	}
	sec := max(it.StartMs, 0) / 1000
	_, err := fmt.Fprintf(t.w, "[%02d:%02d:%02d] %s: %s%s\n", sec/3600, sec/60%60, sec%60, it.Speaker, oneLine(it.Text), cut)
	return err
}

func (t *textWriter) close() error { return t.w.Flush() }
