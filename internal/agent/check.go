package agent

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxDefinition = 600 << 10
	maxPrompt     = 100_000
	maxGreeting   = 2000
	maxTools      = 20
)

var (
	slugForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	toolForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	langForm = regexp.MustCompile(`^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$`)
)

func checkSlug(s string) error {
	if slugForm.MatchString(s) {
		return nil
	}
	return fault.Field("body.slug", "%q cannot be part of an address; use 1 to 63 lower-case letters, digits and hyphens, such as front-desk", s)
}

func checkName(s string) error {
	if n := len([]rune(strings.TrimSpace(s))); n < 1 || n > 100 {
		return fault.Field("body.name", "the name has %d characters; choose 1 to 100", n)
	}
	return nil
}

// Validate tells what is wrong with a definition, apart from the models it names: those are an organisation's.
func Validate(d *Definition) []flow.Problem {
	c := checker{}
	if raw, err := json.Marshal(d); err != nil || len(raw) > maxDefinition {
		c.fail("definition", "the definition is too large; at most %d bytes are allowed", maxDefinition)
		return c.problems
	}
	switch d.Kind {
	case KindFlow:
		if d.Flow == nil {
			c.fail("flow", "an agent of kind flow needs a flow; draw one or choose a template")
			break
		}
		c.problems = append(c.problems, flow.Validate(d.Flow)...)
	case KindPrompt:
		if strings.TrimSpace(d.Prompt) == "" {
			c.fail("prompt", "an agent of kind prompt needs a prompt; write what the language model shall be and do")
		}
		if d.Models.LLM.Vendor == "" {
			c.fail("models.llm.vendor", "an agent of kind prompt needs a language model; choose one under Models")
		}
	default:
		c.fail("kind", "%q is no kind of agent; use flow or prompt", d.Kind)
	}
	c.words(d)
	c.models(d)
	c.tools(d.Tools)
	c.numbers(d)
	return c.problems
}

type checker struct{ problems []flow.Problem }

func (c *checker) fail(location, format string, args ...any) {
	c.problems = append(c.problems, flow.Problem{Location: location, Message: fmt.Sprintf(format, args...), Severity: flow.SeverityError})
}

func (c *checker) words(d *Definition) {
	if len(d.Prompt) > maxPrompt {
		c.fail("prompt", "the prompt has %d bytes; at most %d are allowed", len(d.Prompt), maxPrompt)
	}
	if len(d.Greeting) > maxGreeting {
		c.fail("greeting", "the greeting has %d bytes; at most %d can be said", len(d.Greeting), maxGreeting)
	}
	if d.Language != "" && !langForm.MatchString(d.Language) {
		c.fail("language", "%q is no language; use a BCP 47 tag such as en-US", d.Language)
	}
	if len(d.Voice.Voice) > 100 {
		c.fail("voice.voice", "the voice's name has %d bytes; at most 100 are allowed", len(d.Voice.Voice))
	}
	if s := d.Voice.Speed; s != 0 && (s < 0.5 || s > 2) {
		c.fail("voice.speed", "%g is too slow or too fast; choose 0.5 to 2", s)
	}
}

func (c *checker) models(d *Definition) {
	for _, m := range []struct {
		service string
		ref     ModelRef
	}{{ServiceSTT, d.Models.STT}, {ServiceLLM, d.Models.LLM}, {ServiceTTS, d.Models.TTS}} {
		at := "models." + m.service
		switch m.ref.Vendor {
		case "", VendorSim:
		case VendorLocal:
			if m.service == ServiceLLM {
				c.fail(at+".vendor", "the built-in speech engines have no language model; choose another connection")
			}
		case VendorOpenAI:
			if m.ref.ModelID == "" {
				c.fail(at+".modelId", "choose the connection to use; they are under Models")
			}
		default:
			c.fail(at+".vendor", "%q is no vendor; use local, openai or sim", m.ref.Vendor)
		}
	}
	if d.Kind == KindPrompt && (d.Models.STT.Vendor == "" || d.Models.STT.Vendor == VendorLocal) {
		c.problems = append(c.problems, flow.Problem{Location: "models.stt.vendor", Severity: flow.SeverityWarning,
			Message: "the demo recogniser understands the menus of flows only; callers will have to type, or choose another connection"})
	}
}

func (c *checker) tools(tools []Tool) {
	if len(tools) > maxTools {
		c.fail("tools", "there are %d tools; at most %d are allowed", len(tools), maxTools)
		return
	}
	seen := map[string]bool{"hang_up": true, "transfer": true}
	for i, t := range tools {
		at := fmt.Sprintf("tools[%d]", i)
		switch t.Kind {
		case ToolHangup:
		case ToolTransfer:
			if len(t.Targets) == 0 || len(t.Targets) > 50 {
				c.fail(at+".targets", "name 1 to 50 places to transfer to")
			}
		case ToolHTTP:
			u, err := url.Parse(t.URL)
			switch {
			case !toolForm.MatchString(t.Name) || seen[t.Name]:
				c.fail(at+".name", "%q cannot be a tool's name, or is used twice; use letters, digits, _ and -", t.Name)
			case err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme):
				c.fail(at+".url", "%q is no web address; write https://host/path", t.URL)
			case !slices.Contains([]string{"", "GET", "POST"}, t.Method):
				c.fail(at+".method", "%q is not possible; use GET or POST", t.Method)
			case t.TimeoutMS != 0 && (t.TimeoutMS < 100 || t.TimeoutMS > 30_000):
				c.fail(at+".timeoutMs", "%d ms is not possible; choose 100 to 30000", t.TimeoutMS)
			}
			seen[t.Name] = true
		default:
			c.fail(at+".kind", "%q is no kind of tool; use hangup, transfer or http", t.Kind)
		}
	}
}

func (c *checker) numbers(d *Definition) {
	for _, n := range []struct {
		at         string
		v, lo, hiV int
	}{
		{"limits.maxDurationMs", d.Limits.MaxDurationMS, 1000, 24 * 3600_000},
		{"limits.idleMs", d.Limits.IdleMS, 1000, 600_000},
		{"limits.replyTimeoutMs", d.Limits.ReplyTimeoutMS, 500, 120_000},
		{"limits.fillerAfterMs", d.Limits.FillerAfterMS, -1, 60_000},
		{"interruption.endpointMs", d.Interruption.EndpointMS, 100, 5000},
		{"interruption.minSpeechMs", d.Interruption.MinSpeechMS, 20, 2000},
		{"interruption.cutAfterMs", d.Interruption.CutAfterMS, 40, 5000},
	} {
		if n.v != 0 && (n.v < n.lo || n.v > n.hiV) {
			c.fail(n.at, "%d ms is not possible; choose %d to %d, or leave it out", n.v, n.lo, n.hiV)
		}
	}
}

// refuse turns problems into an error when one of them is more than a warning.
func refuse(problems []flow.Problem) error {
	var details []fault.Detail
	for _, p := range problems {
		if p.Severity == flow.SeverityError {
			details = append(details, fault.Detail{Location: "body.definition." + p.Location, Message: p.Message})
		}
	}
	if len(details) == 0 {
		return nil
	}
	e := fault.New(fault.Invalid, "the definition cannot be saved: %s: %s", strings.TrimPrefix(details[0].Location, "body.definition."), details[0].Message)
	e.Details = details
	return e
}
