package flow

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The severities of a Problem. A flow with errors cannot be saved; one with warnings can.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

// Problem is something wrong with a definition.
type Problem struct {
	Location string `json:"location" doc:"Where, as flow.nodes[2].data.intents[0].key"`
	Message  string `json:"message" doc:"What is wrong, and the remedy"`
	Severity string `json:"severity" enum:"error,warning"`
}

// Validate tells everything that is wrong with a definition, at most 100 things.
func Validate(d *Graph) []Problem {
	v := validator{def: d, nodes: map[string]*Node{}}
	v.data()
	v.graph()
	for i := range d.Nodes[:min(len(d.Nodes), MaxNodes)] {
		v.node(i, &d.Nodes[i])
	}
	v.reach()
	v.loops()
	return v.problems
}

type validator struct {
	def      *Graph
	nodes    map[string]*Node
	next     map[string]map[string]string
	problems []Problem
}

func (v *validator) add(severity, location, format string, args ...any) {
	if len(v.problems) < 100 {
		v.problems = append(v.problems, Problem{Location: "flow." + location, Message: fmt.Sprintf(format, args...), Severity: severity})
	}
}

func (v *validator) fail(location, format string, args ...any) {
	v.add(SeverityError, location, format, args...)
}

func (v *validator) text(location, s string, required bool) {
	if required && strings.TrimSpace(s) == "" {
		v.fail(location, "is empty; write what shall be said")
	}
	if utf8.RuneCountInString(s) > MaxText {
		v.fail(location, "has %d characters; at most %d can be said at once", utf8.RuneCountInString(s), MaxText)
	}
}

func (v *validator) data() {
	d := &v.def.Data
	if _, err := time.LoadLocation(d.TimeZone); err != nil || d.TimeZone == "Local" {
		v.fail("data.timeZone", "%q is no time zone; use an IANA name such as Europe/Dublin", d.TimeZone)
	}
	for day, spans := range d.Hours {
		if !slices.Contains(dayKeysOfWeek[:], day) {
			v.fail("data.hours", "%q is no day; use mon, tue, wed, thu, fri, sat, sun", day)
		}
		for i, s := range spans {
			from, okF := minutesOf(s.From)
			to, okT := minutesOf(s.To)
			if !okF || !okT || from >= to {
				v.fail(fmt.Sprintf("data.hours.%s[%d]", day, i), "%q to %q is no time of opening; write 08:00 to 18:00", s.From, s.To)
			}
		}
	}
	for i, c := range d.Closed {
		if _, err := time.Parse(time.DateOnly, c); err != nil {
			v.fail(fmt.Sprintf("data.closed[%d]", i), "%q is no date; write it as 2026-12-25", c)
		}
	}
	if d.SlotMinutes != 0 && d.SlotMinutes != d.slot() {
		v.fail("data.slotMinutes", "%d minutes cannot be an appointment; choose 5 to 480", d.SlotMinutes)
	}
	if d.DaysAhead != 0 && d.DaysAhead != d.daysAhead() {
		v.fail("data.daysAhead", "%d is not possible; choose 1 to 366", d.DaysAhead)
	}
	v.departments()
	if len(d.Facts) > 50 {
		v.fail("data.facts", "there are %d facts; at most 50 are allowed", len(d.Facts))
	}
	for name, f := range d.Facts {
		v.text("data.facts."+name, f, true)
	}
}

func (v *validator) departments() {
	d := v.def.Data.Departments
	if len(d) > MaxIntents {
		v.fail("data.departments", "there are %d departments; at most %d are allowed", len(d), MaxIntents)
		return
	}
	ids, keys := map[string]bool{}, map[string]bool{}
	for i, dep := range d {
		at := fmt.Sprintf("data.departments[%d]", i)
		switch {
		case dep.ID == "" || dep.Name == "":
			v.fail(at, "a department needs an id and a name")
		case ids[dep.ID]:
			v.fail(at+".id", "%q is used twice; give each department its own id", dep.ID)
		}
		ids[dep.ID] = true
		v.key(at+".key", dep.Key, keys)
		v.phrases(at, dep.Phrases)
		v.text(at+".message", dep.Message, false)
	}
}

func (v *validator) key(at, key string, used map[string]bool) {
	if key == "" {
		return
	}
	if len(key) != 1 || !strings.Contains("0123456789*#", key) {
		v.fail(at, "%q is no telephone key; use one of 0-9, * and #", key)
	} else if used[key] {
		v.fail(at, "key %s is used twice; choose another", key)
	}
	used[key] = true
}

func (v *validator) phrases(at string, ps []string) {
	if len(ps) > MaxPhrases {
		v.fail(at+".phrases", "there are %d phrases; at most %d are allowed", len(ps), MaxPhrases)
	}
	for i, p := range ps {
		if len(tokens(p)) == 0 || len(p) > MaxPhraseChars {
			v.fail(fmt.Sprintf("%s.phrases[%d]", at, i), "%q cannot be said; write words, at most %d characters", p, MaxPhraseChars)
		}
	}
}

func (v *validator) graph() {
	d := v.def
	if len(d.Nodes) > MaxNodes || len(d.Edges) > MaxEdges {
		v.fail("nodes", "the flow has %d nodes and %d edges; at most %d and %d are allowed", len(d.Nodes), len(d.Edges), MaxNodes, MaxEdges)
	}
	starts := 0
	for i := range d.Nodes {
		n := &d.Nodes[i]
		at := fmt.Sprintf("nodes[%d]", i)
		switch {
		case n.ID == "":
			v.fail(at+".id", "a node needs an id")
		case v.nodes[n.ID] != nil:
			v.fail(at+".id", "%q is used twice; give each node its own id", n.ID)
		default:
			v.nodes[n.ID] = n
		}
		if !slices.Contains(Types(), n.Type) {
			v.fail(at+".type", "%q is no type of node; use start, say, ask, collect, book, move, cancel, info, route, repeat or hangup", n.Type)
		}
		if n.Type == TypeStart {
			starts++
		}
	}
	if starts != 1 {
		v.fail("nodes", "a flow needs exactly one start node; this one has %d", starts)
	}
	v.next = map[string]map[string]string{}
	for i, e := range d.Edges[:min(len(d.Edges), MaxEdges)] {
		v.edge(fmt.Sprintf("edges[%d]", i), e)
	}
}

func (v *validator) edge(at string, e Edge) {
	src := v.nodes[e.Source]
	if src == nil {
		v.fail(at+".source", "there is no node %q", e.Source)
		return
	}
	if v.nodes[e.Target] == nil {
		v.fail(at+".target", "there is no node %q", e.Target)
		return
	}
	c := condition(e.Condition)
	if !slices.Contains(src.exits(), c) && !(src.Type == TypeAsk && c == "next") {
		v.fail(at+".condition", "node %q has no exit %q; its exits are: %s", src.ID, c, strings.Join(src.exits(), ", "))
	}
	if v.next[e.Source] == nil {
		v.next[e.Source] = map[string]string{}
	}
	if v.next[e.Source][c] != "" {
		v.fail(at, "exit %q of node %q leads to two places; remove one of the edges", c, src.ID)
	}
	v.next[e.Source][c] = e.Target
}

func (v *validator) node(i int, n *Node) {
	at := fmt.Sprintf("nodes[%d].data", i)
	d := &n.Data
	needsText := slices.Contains([]NodeType{TypeSay, TypeAsk, TypeCollect}, n.Type)
	v.text(at+".text", d.Text, needsText)
	v.text(at+".reprompt", d.Reprompt, false)
	switch n.Type {
	case TypeAsk:
		v.intents(at, n)
	case TypeCollect:
		if !slices.Contains([]string{"day", "time", "digits", "phone", "yesno"}, d.Slot) {
			v.fail(at+".slot", "%q is nothing that can be collected; use day, time, digits, phone or yesno", d.Slot)
		}
		if d.Slot == "digits" && (d.MinDigits < 0 || d.MaxDigits < 0 || d.MaxDigits > maxKeys || d.MaxDigits > 0 && d.MinDigits > d.MaxDigits) {
			v.fail(at+".maxDigits", "%d to %d digits cannot be collected; choose 1 to %d", d.MinDigits, d.MaxDigits, maxKeys)
		}
	case TypeInfo:
		v.topic(at, d)
	case TypeRoute:
		if d.Department != "" && v.def.Data.department(d.Department) == nil {
			v.fail(at+".department", "there is no department %q; add it to the flow's data or choose another", d.Department)
		}
		if d.Department == "" && len(v.def.Data.Departments) == 0 {
			v.fail(at+".department", "there is no department to choose from; add one to the flow's data")
		}
	case TypeBook, TypeMove:
		if len(v.def.Data.Hours) == 0 {
			v.fail("data.hours", "appointments need opening hours; add them")
		}
	}
	v.exitsOf(i, n)
}

func (v *validator) topic(at string, d *NodeData) {
	switch d.Topic {
	case "hours":
		if len(v.def.Data.Hours) == 0 {
			v.fail("data.hours", "an info node tells the opening hours; add them")
		}
	case "address":
		if v.def.Data.Address == "" {
			v.fail("data.address", "an info node tells the address; add it")
		}
	default:
		if v.def.Data.Facts[d.Topic] == "" && d.Text == "" {
			v.fail(at+".topic", "there is no fact %q; use hours, address, or a name from the flow's facts", d.Topic)
		}
	}
}

func (v *validator) intents(at string, n *Node) {
	ins := n.Data.Intents
	if len(ins) == 0 {
		v.fail(at+".intents", "a question needs at least one intent that can answer it")
	}
	if len(ins) > MaxIntents {
		v.fail(at+".intents", "there are %d intents; at most %d are allowed", len(ins), MaxIntents)
		return
	}
	ids, keys := map[string]bool{}, map[string]bool{}
	for i, in := range ins {
		at := fmt.Sprintf("%s.intents[%d]", at, i)
		if in.ID == "" || in.ID == "next" || in.ID == "nomatch" {
			v.fail(at+".id", "%q cannot be an intent's id; choose a word of your own", in.ID)
		} else if ids[in.ID] {
			v.fail(at+".id", "%q is used twice; give each intent its own id", in.ID)
		}
		ids[in.ID] = true
		v.key(at+".key", in.Key, keys)
		v.phrases(at, in.Phrases)
		if len(in.Phrases) == 0 && in.Key == "" {
			v.fail(at+".phrases", "nobody can choose this intent; add a phrase or a key")
		}
	}
}

// exitsOf reports ways out that lead nowhere.
func (v *validator) exitsOf(i int, n *Node) {
	ways := v.next[n.ID]
	if n.Type == TypeHangup || ways["next"] != "" {
		return
	}
	at := fmt.Sprintf("nodes[%d]", i)
	if n.Type == TypeAsk {
		for _, in := range n.Data.Intents {
			if ways[in.ID] == "" {
				v.fail(at, "intent %q of node %q leads nowhere; draw an edge from it", in.ID, n.ID)
			}
		}
		return
	}
	if n.Type == TypeRoute && len(ways) == 0 {
		return // the transfer ends the call; without one the flow says goodbye
	}
	for _, e := range n.exits() {
		if e != "next" && ways[e] != "" {
			continue
		}
		if e == "next" && len(n.exits()) > 1 {
			continue
		}
		v.add(SeverityWarning, at, "exit %q of node %q leads nowhere; the call ends there with a goodbye", e, n.ID)
	}
}

// reach warns of nodes no call can come to.
func (v *validator) reach() {
	seen := map[string]bool{}
	var visit func(id string)
	visit = func(id string) {
		if seen[id] {
			return
		}
		seen[id] = true
		for _, t := range v.next[id] {
			visit(t)
		}
	}
	for id, n := range v.nodes {
		if n.Type == TypeStart {
			visit(id)
		}
	}
	for i := range v.def.Nodes {
		if id := v.def.Nodes[i].ID; id != "" && !seen[id] && len(seen) > 0 {
			v.add(SeverityWarning, fmt.Sprintf("nodes[%d]", i), "no call can reach node %q; draw an edge to it or remove it", id)
		}
	}
}

// loops refuses circles in which nobody is ever asked anything: they would talk for ever.
func (v *validator) loops() {
	silent := func(n *Node) bool {
		return slices.Contains([]NodeType{TypeStart, TypeSay, TypeInfo, TypeRepeat}, n.Type)
	}
	for i := range v.def.Nodes {
		n := &v.def.Nodes[i]
		id, hops := n.ID, 0
		for v.nodes[id] != nil && silent(v.nodes[id]) && hops <= len(v.def.Nodes) {
			id = v.next[id]["next"]
			hops++
			if id == n.ID {
				v.fail(fmt.Sprintf("nodes[%d]", i), "node %q leads back to itself without asking the caller anything; put a question between", n.ID)
				return
			}
		}
	}
}
