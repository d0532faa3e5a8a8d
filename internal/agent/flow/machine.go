package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Bounds of a conversation: whatever the graph and the caller do, a call moves on and ends.
const (
	maxHops     = 60  // nodes passed without asking anything
	maxSteps    = 400 // inputs in one call
	maxMisses   = 4   // of one question: two re-prompts, the keys, then a person
	maxAllMiss  = 8   // in a row, over all questions
	maxSideTrip = 12  // universal commands in a row (help, repeat) without an answer
	maxKeys     = 32  // digits gathered for one answer
	maxVars     = 64
)

// InputKind says what came from the caller.
type InputKind string

// The kinds of Input.
const (
	InText           InputKind = "text"            // words, spoken or typed
	InDigits         InputKind = "digits"          // telephone keys, one or several
	InSilence        InputKind = "silence"         // nothing was said in time
	InNoMatch        InputKind = "nomatch"         // something nobody could understand
	InTransferFailed InputKind = "transfer_failed" // the target of the last Transfer did not take the call
)

// Input is one turn of the caller.
type Input struct {
	Kind InputKind
	Text string // words, or the keys
	// Complete says that no more keys will come: whatever gathers them has timed out or saw the end.
	Complete bool
}

// ActionKind says what to do.
type ActionKind string

// The kinds of Action.
const (
	DoSay      ActionKind = "say"      // speak Text
	DoListen   ActionKind = "listen"   // wait for the caller; Listen says for what. Last of its step
	DoTransfer ActionKind = "transfer" // hand the call to Text. Last of its step
	DoHangup   ActionKind = "hangup"   // end the call; Text is the reason. Last of its step
	DoOutcome  ActionKind = "outcome"  // what the call came to: Text is its name
	DoSave     ActionKind = "save"     // a value or change worth keeping: Text is its kind
	DoNode     ActionKind = "node"     // a node was entered: Text is its id
)

// Action is one thing to do, in order.
type Action struct {
	Kind   ActionKind
	Text   string
	Data   map[string]any
	Listen *Listen
}

// Listen says what the caller may do now.
type Listen struct {
	Kind    string  // "intent", "day", "time", "yesno", "digits", "choice"
	Keys    KeyRule // how telephone keys are gathered
	Partial bool    // some keys have come already: do not start over
}

// KeyRule says how many keys make an answer. Max 1 means each key is one.
type KeyRule struct {
	Max        int
	Terminator byte // '#', or 0
}

// Deps is what a Machine needs of the world.
type Deps struct {
	Now      func() time.Time
	Calendar Calendar // nil: the nodes that need one leave by "failed"
	Caller   string   // the caller's number, "" when unknown
	Name     string   // the caller's name, if known
	// Variables are the call's own, which texts name in two braces.
	Variables map[string]string
}

// Machine holds one conversation. It is used by one goroutine at a time.
type Machine struct {
	*Program
	deps Deps

	vars  map[string]string
	node  *Node
	q     *question // what is being asked
	talk  dialog    // the conversation inside book, move and cancel
	given mention   // a day or time said before it was asked for
	keys  string    // digits gathered so far

	misses, allMisses, sideTrips, steps int
	last                                []string // what was said, for "repeat"
	retry                               func(context.Context, *Machine) string
	done                                bool

	out       []Action
	committed bool     // this step changed the calendar
	before    *Machine // as it was before the last step
}

// Program is a definition made ready. It does not change, and serves any number of calls at once.
type Program struct {
	def   *Graph
	nodes map[string]*Node
	edges map[string]map[string]string // source → condition → target
	loc   *time.Location
}

// Compile makes a definition ready. It refuses one that Validate finds an error in; def must not be changed
// afterwards.
func Compile(def *Graph) (*Program, error) {
	for _, p := range Validate(def) {
		if p.Severity == SeverityError {
			return nil, fmt.Errorf("flow: %s: %s", p.Location, p.Message)
		}
	}
	c := &Program{def: def, loc: def.Data.location(),
		nodes: make(map[string]*Node, len(def.Nodes)), edges: map[string]map[string]string{}}
	for i := range def.Nodes {
		c.nodes[def.Nodes[i].ID] = &def.Nodes[i]
	}
	for _, e := range def.Edges {
		if c.edges[e.Source] == nil {
			c.edges[e.Source] = map[string]string{}
		}
		c.edges[e.Source][condition(e.Condition)] = e.Target
	}
	return c, nil
}

// New makes a machine for one conversation.
func (p *Program) New(d Deps) (*Machine, error) {
	if d.Now == nil {
		return nil, errors.New("flow: a machine needs to know the time: set Deps.Now")
	}
	return &Machine{Program: p, deps: d, vars: map[string]string{}}, nil
}

func condition(c string) string {
	if c == "" {
		return "next"
	}
	return c
}

// Start opens the conversation. The last action is a Listen, Transfer or Hangup, as of every step.
func (m *Machine) Start(ctx context.Context) []Action {
	m.out = nil
	m.walk(ctx, m.startNode())
	return m.flush()
}

// Step takes one input and says what to do.
func (m *Machine) Step(ctx context.Context, in Input) []Action {
	m.remember()
	m.out, m.committed = nil, false
	m.steps++
	switch {
	case in.Kind == InTransferFailed && m.retry != nil:
		back := m.retry
		m.retry, m.done = nil, false
		m.walk(ctx, back(ctx, m))
	case m.done:
		m.out = append(m.out, Action{Kind: DoHangup, Text: "flow_ended"})
	case m.steps > maxSteps:
		m.goodbye("We have been talking for a long time. Please call again. Goodbye.", "too_long")
	case m.q == nil:
		m.walk(ctx, m.startNode())
	default:
		m.input(ctx, in)
	}
	return m.flush()
}

// Undo takes the last Step back, as when the caller spoke on before anything of its answer was heard. It
// reports false, and changes nothing, when there is none or it changed the calendar.
func (m *Machine) Undo() bool {
	if m.before == nil || m.committed {
		return false
	}
	steps := m.steps
	*m = *m.before
	m.steps = steps
	return true
}

// Done reports whether the conversation is over. A failed transfer opens it again.
func (m *Machine) Done() bool { return m.done }

func (m *Machine) remember() {
	c := *m
	c.vars = maps.Clone(m.vars)
	c.before, c.out = nil, nil
	m.before = &c
}

// flush closes a step: it ends with exactly one thing to wait for.
func (m *Machine) flush() []Action {
	if !m.done && m.q != nil {
		m.out = append(m.out, Action{Kind: DoListen, Listen: m.q.listen(m.keys != "")})
	} else if !m.done {
		m.goodbye(textGoodbye, "flow_ended")
	}
	var said []string
	for _, a := range m.out {
		if a.Kind == DoSay {
			said = append(said, a.Text)
		}
	}
	if len(said) > 0 && m.sideTrips == 0 && m.misses == 0 {
		m.last = said
	}
	return m.out
}

// walk enters nodes until one asks something or ends the call.
func (m *Machine) walk(ctx context.Context, id string) {
	for hops := 0; id != "" && !m.done; hops++ {
		if hops == maxHops {
			m.goodbye("I am sorry, something is wrong with this service. Goodbye.", "flow_loop")
			return
		}
		n := m.nodes[id]
		if n == nil {
			break
		}
		m.enter(n)
		id = m.run(ctx, n)
		if m.q != nil {
			return
		}
	}
	if m.q == nil && !m.done {
		m.goodbye(textGoodbye, "flow_ended")
	}
}

func (m *Machine) enter(n *Node) {
	m.node, m.q, m.keys, m.misses = n, nil, "", 0
	m.talk = dialog{}
	m.out = append(m.out, Action{Kind: DoNode, Text: n.ID, Data: map[string]any{"type": string(n.Type)}})
	if n.Data.Outcome != "" {
		m.outcome(n.Data.Outcome, map[string]any{"node": n.ID})
	}
}

// exit gives the node behind a way out of the current one.
func (m *Machine) exit(name string) string {
	ways := m.edges[m.node.ID]
	if t, ok := ways[name]; ok {
		return t
	}
	return ways["next"]
}

func (m *Machine) startNode() string {
	for i := range m.def.Nodes {
		if m.def.Nodes[i].Type == TypeStart {
			return m.def.Nodes[i].ID
		}
	}
	return ""
}

// menu is the first question of the flow: where "start over" leads.
func (m *Machine) menu() string {
	id, seen := m.startNode(), map[string]bool{}
	for id != "" && !seen[id] {
		seen[id] = true
		if n := m.nodes[id]; n != nil && n.Type == TypeAsk {
			return id
		}
		id = m.edges[id]["next"]
	}
	return m.startNode()
}

func (m *Machine) say(text string) {
	if text = strings.TrimSpace(m.fill(text)); text != "" {
		m.out = append(m.out, Action{Kind: DoSay, Text: text})
	}
}

func (m *Machine) ask(q *question) {
	m.say(q.text)
	m.q, m.keys, m.misses = q, "", 0
}

func (m *Machine) outcome(name string, data map[string]any) {
	m.out = append(m.out, Action{Kind: DoOutcome, Text: name, Data: data})
}

func (m *Machine) save(kind string, data map[string]any) {
	m.out = append(m.out, Action{Kind: DoSave, Text: kind, Data: data})
}

func (m *Machine) set(name, value string) {
	if name == "" || (len(m.vars) >= maxVars && m.vars[name] == "") {
		return
	}
	m.vars[name] = value
	m.save("variable", map[string]any{"name": name, "value": value})
}

func (m *Machine) goodbye(text, reason string) {
	m.say(text)
	m.out = append(m.out, Action{Kind: DoHangup, Text: reason})
	m.done, m.q, m.retry = true, nil, nil
}

// transfer hands the call over. back says where to go on when that fails.
func (m *Machine) transfer(target string, back func(context.Context, *Machine) string) {
	m.out = append(m.out, Action{Kind: DoTransfer, Text: target})
	m.done, m.q, m.retry = true, nil, back
}

const textGoodbye = "Thank you for calling. Goodbye."
