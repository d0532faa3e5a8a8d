package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/utterance"
)

const (
	maxTranscript = 256 << 10
	maxHint       = 200 // characters of hints: some servers speak them back when given more
)

// Open implements provider.STT.
func (cl *Client) Open(ctx context.Context, c provider.STTConfig) (provider.STTStream, error) {
	if cl.base[provider.ServiceSTT] == "" {
		return nil, cl.fail(provider.ServiceSTT, "refused", true, nil, "the connection has no address for stt; add one under Models")
	}
	lang, _, _ := strings.Cut(c.Language, "-")
	s, err := utterance.New(ctx, utterance.Config{Vendor: Vendor, Rate: c.Rate, Log: cl.c.Log,
		Recognise: func(ctx context.Context, u utterance.Utterance) (string, float64, error) {
			if len(u.PCM) < u.Rate/10 { // OpenAI refuses less than a tenth of a second
				return "", 0, nil
			}
			text, err := cl.transcribe(ctx, u, lang)
			if text == "" || err != nil {
				return "", 0, err
			}
			return text, 1, nil // the API tells no confidence
		}})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// transcribe posts one utterance.
func (cl *Client) transcribe(ctx context.Context, u utterance.Utterance, lang string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	form, contentType, err := cl.form(u, lang)
	if err != nil {
		return "", cl.fail(provider.ServiceSTT, "failed", true, err, "the request cannot be made")
	}
	res, err := cl.send(ctx, provider.ServiceSTT, http.MethodPost, "/audio/transcriptions", contentType, form)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.body.Close() }()
	var text string
	switch res.kind {
	case "text/event-stream":
		text, err = cl.transcriptEvents(res.body)
	case "application/json":
		text, err = cl.transcriptJSON(res.body)
	case "text/plain":
		var raw []byte
		raw, err = res.body.all(maxTranscript)
		text = string(raw)
	default:
		return "", cl.fail(provider.ServiceSTT, "bad_response", false, nil, "the server answered %q instead of JSON; check the address", res.kind)
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " "), err
}

func (cl *Client) form(u utterance.Utterance, lang string) (io.Reader, string, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fields := [][2]string{{"model", cl.c.STT.Model}, {"response_format", "json"}}
	if lang != "" {
		fields = append(fields, [2]string{"language", strings.ToLower(lang)})
	}
	if hints := strings.Join(u.Expect.Hints, ", "); hints != "" && len(hints) <= maxHint {
		fields = append(fields, [2]string{"prompt", hints})
	}
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			return nil, "", err
		}
	}
	part, err := w.CreateFormFile("file", "utterance.wav")
	if err != nil {
		return nil, "", err
	}
	if _, err := part.Write(wav(u.PCM, u.Rate)); err != nil {
		return nil, "", err
	}
	return &b, w.FormDataContentType(), w.Close()
}

func (cl *Client) transcriptJSON(b *body) (string, error) {
	raw, err := b.all(maxTranscript)
	if err != nil {
		return "", err
	}
	var out struct {
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.Text == nil {
		return "", cl.fail(provider.ServiceSTT, "bad_response", false, err, "the answer holds no text")
	}
	return *out.Text, nil
}

// transcriptEvents reads transcript.text.delta and transcript.text.done.
func (cl *Client) transcriptEvents(b *body) (string, error) {
	ev := newEvents(b)
	var text strings.Builder
	for {
		data, err := ev.next()
		switch {
		case errors.Is(err, errEventSize):
			return "", cl.fail(provider.ServiceSTT, "bad_response", false, err, "an event is too large")
		case errors.Is(err, io.EOF):
			return "", cl.transport(provider.ServiceSTT, io.ErrUnexpectedEOF)
		case err != nil:
			return "", cl.transport(provider.ServiceSTT, err)
		case string(bytes.TrimSpace(data)) == "[DONE]":
			return text.String(), nil
		}
		var e struct {
			Type  string          `json:"type"`
			Delta string          `json:"delta"`
			Text  string          `json:"text"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return "", cl.fail(provider.ServiceSTT, "bad_response", false, err, "an event is no JSON")
		}
		switch {
		case len(e.Error) > 0:
			return "", cl.fail(provider.ServiceSTT, "failed", false, nil, "the server reports an error%s", errorText(bytes.NewReader(data)))
		case e.Type == "transcript.text.done":
			_, _ = b.discard()
			return e.Text, nil
		}
		if text.WriteString(e.Delta); text.Len() > maxTranscript {
			return "", cl.transport(provider.ServiceSTT, errTooBig)
		}
	}
}
