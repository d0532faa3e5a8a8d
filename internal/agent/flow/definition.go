package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	_ "time/tzdata" // flows name time zones; a server without zone files must know them too
)

// Limits of a definition. They bound what one flow can cost in memory and in a recogniser's grammar.
const (
	MaxBytes       = 512 << 10
	MaxNodes       = 300
	MaxEdges       = 1000
	MaxIntents     = 20
	MaxPhrases     = 40
	MaxText        = 2000
	MaxPhraseChars = 120
)

// NodeType says what a node does.
type NodeType string

// The types of node.
const (
	TypeStart   NodeType = "start"   // where a call begins; says Text
	TypeSay     NodeType = "say"     // says Text
	TypeAsk     NodeType = "ask"     // asks Text and leaves by the intent that was meant
	TypeCollect NodeType = "collect" // asks for one value and keeps it in Variable
	TypeBook    NodeType = "book"    // agrees on a day and time, and books it
	TypeMove    NodeType = "move"    // finds an appointment and moves it
	TypeCancel  NodeType = "cancel"  // finds an appointment and cancels it
	TypeInfo    NodeType = "info"    // tells opening hours, the address or a fact
	TypeRoute   NodeType = "route"   // hands the call to a department
	TypeRepeat  NodeType = "repeat"  // says the last words again
	TypeHangup  NodeType = "hangup"  // says Text and ends the call
)

// Types lists every type of node.
func Types() []NodeType {
	return []NodeType{TypeStart, TypeSay, TypeAsk, TypeCollect, TypeBook, TypeMove, TypeCancel, TypeInfo,
		TypeRoute, TypeRepeat, TypeHangup}
}

// Graph is a whole flow, as saved and as drawn.
type Graph struct {
	Data  Data   `json:"data" doc:"What the flow knows of the place it speaks for"`
	Nodes []Node `json:"nodes" doc:"Steps of the conversation"`
	Edges []Edge `json:"edges" doc:"Ways from one step to the next"`
}

// Node is one step.
type Node struct {
	ID       string   `json:"id" doc:"Unique within the flow"`
	Type     NodeType `json:"type" enum:"start,say,ask,collect,book,move,cancel,info,route,repeat,hangup"`
	Position Position `json:"position,omitempty" required:"false" doc:"Place on the canvas"`
	Data     NodeData `json:"data"`
}

// Position is a place on the canvas. It means nothing to the engine.
type Position struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// NodeData holds the settings of a node. Which of them count depends on its type.
type NodeData struct {
	Label      string   `json:"label,omitempty" doc:"Name on the canvas"`
	Text       string   `json:"text,omitempty" doc:"What is said; {name}, {hours}, {address}, {open}, a fact or a variable in braces is filled in, and so is in two braces what a call brings with it: {{firstName}} must be given, {{firstName|there}} may"`
	Reprompt   string   `json:"reprompt,omitempty" doc:"ask, collect: what is said when the answer was not understood"`
	Intents    []Intent `json:"intents,omitempty" doc:"ask: what the caller may want"`
	Slot       string   `json:"slot,omitempty" enum:"day,time,digits,phone,yesno" doc:"collect: the kind of value"`
	Variable   string   `json:"variable,omitempty" doc:"collect: where the value is kept"`
	MinDigits  int      `json:"minDigits,omitempty" doc:"collect digits: fewest digits"`
	MaxDigits  int      `json:"maxDigits,omitempty" doc:"collect digits: most digits"`
	Confirm    bool     `json:"confirm,omitempty" doc:"collect: read the value back and ask whether it is right"`
	Topic      string   `json:"topic,omitempty" doc:"info: hours, address, or the name of a fact"`
	Department string   `json:"department,omitempty" doc:"route: id of a department; empty asks the caller which"`
	Outcome    string   `json:"outcome,omitempty" doc:"Recorded as the call's outcome when the node is reached"`
}

// Intent is one thing a caller may want at an ask node. Its id is the condition of the edge that leaves.
type Intent struct {
	ID      string   `json:"id"`
	Label   string   `json:"label,omitempty" doc:"How it is called when the caller is offered a choice"`
	Phrases []string `json:"phrases" doc:"Ways of saying it"`
	Key     string   `json:"key,omitempty" doc:"Telephone key: 0-9, * or #"`
}

// Edge leads from one node to another. Condition names the exit of the source; empty or "next" is the
// ordinary one, which also serves exits that have no edge of their own.
type Edge struct {
	ID        string `json:"id,omitempty"`
	Source    string `json:"source"`
	Target    string `json:"target"`
	Condition string `json:"condition,omitempty"`
	Label     string `json:"label,omitempty"`
}

// Data is what a flow knows of the place it speaks for.
type Data struct {
	Name        string            `json:"name,omitempty" doc:"Name of the place"`
	Address     string            `json:"address,omitempty"`
	TimeZone    string            `json:"timeZone,omitempty" doc:"IANA name, such as Europe/Dublin; empty is UTC"`
	Hours       map[string][]Span `json:"hours,omitempty" doc:"Opening hours by day: mon, tue, wed, thu, fri, sat, sun"`
	Closed      []string          `json:"closed,omitempty" doc:"Days off, as 2026-12-25"`
	SlotMinutes int               `json:"slotMinutes,omitempty" doc:"Length of an appointment, 5 to 480; 30 when empty"`
	DaysAhead   int               `json:"daysAhead,omitempty" doc:"How far ahead appointments can be made, 1 to 366; 60 when empty"`
	Departments []Department      `json:"departments,omitempty"`
	Reception   Reception         `json:"reception,omitempty" required:"false"`
	Facts       map[string]string `json:"facts,omitempty" doc:"Sentences for info nodes and for {braces}"`
}

// Span is a time of opening on one day.
type Span struct {
	From string `json:"from" doc:"24-hour clock, as 08:00"`
	To   string `json:"to" doc:"24-hour clock, as 18:00; 24:00 is midnight"`
}

// Department is somewhere a call can go.
type Department struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Phrases []string `json:"phrases,omitempty"`
	Key     string   `json:"key,omitempty"`
	Target  string   `json:"target,omitempty" doc:"Phone user, SIP URI or number to transfer to"`
	Message string   `json:"message,omitempty" doc:"Said when there is no target, or when it does not answer"`
}

// Reception is where a caller goes who asks for a person or cannot be understood.
type Reception struct {
	Target  string `json:"target,omitempty"`
	Message string `json:"message,omitempty"`
}

// Parse reads a definition and refuses what is no definition at all. Whether it makes sense is for
// Validate to say.
func Parse(raw []byte) (*Graph, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("flow: the definition has %d bytes; at most %d are allowed", len(raw), MaxBytes)
	}
	var d Graph
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("flow: the definition is not valid JSON of a flow: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("flow: there is something after the definition's closing brace")
	}
	return &d, nil
}

// location gives the time zone, UTC when it is unknown (Validate reports that).
func (d *Data) location() *time.Location {
	if l, err := time.LoadLocation(d.TimeZone); err == nil && d.TimeZone != "Local" {
		return l
	}
	return time.UTC
}

func (d *Data) slot() int {
	if d.SlotMinutes < 5 || d.SlotMinutes > 480 {
		return 30
	}
	return d.SlotMinutes
}

func (d *Data) daysAhead() int {
	if d.DaysAhead < 1 || d.DaysAhead > 366 {
		return 60
	}
	return d.DaysAhead
}

func (d *Data) department(id string) *Department {
	for i := range d.Departments {
		if d.Departments[i].ID == id {
			return &d.Departments[i]
		}
	}
	return nil
}

// exits lists the conditions a node can leave by, the ordinary one first.
func (n *Node) exits() []string {
	switch n.Type {
	case TypeAsk:
		out := make([]string, 0, len(n.Data.Intents)+1)
		for _, in := range n.Data.Intents {
			out = append(out, in.ID)
		}
		return append(out, "nomatch")
	case TypeCollect:
		if n.Data.Slot == "yesno" {
			return []string{"next", "yes", "no", "failed"}
		}
		return []string{"next", "failed"}
	case TypeBook:
		return []string{"next", "booked", "failed"}
	case TypeMove:
		return []string{"next", "moved", "none", "failed"}
	case TypeCancel:
		return []string{"next", "cancelled", "kept", "none", "failed"}
	case TypeRoute:
		return []string{"next", "failed"}
	case TypeHangup:
		return nil
	default:
		return []string{"next"}
	}
}
