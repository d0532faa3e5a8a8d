package flow

import (
	"embed"
	"fmt"
)

//go:embed templates/*.json
var templates embed.FS

// FrontDesk is a clinic's front desk: opening hours, address, appointments and departments.
func FrontDesk() (*Graph, error) {
	raw, err := templates.ReadFile("templates/front-desk.json")
	if err != nil {
		return nil, fmt.Errorf("flow: read the front-desk template: %w", err)
	}
	return Parse(raw)
}

// Blank is the smallest flow that works.
func Blank() *Graph {
	return &Graph{
		Data: Data{Name: "our company", TimeZone: "UTC"},
		Nodes: []Node{
			{ID: "start", Type: TypeStart, Position: Position{X: 200}, Data: NodeData{Text: "Welcome to {name}."}},
			{ID: "menu", Type: TypeAsk, Position: Position{X: 200, Y: 140}, Data: NodeData{Text: "Would you like to hear more, or say goodbye?",
				Intents: []Intent{{ID: "more", Label: "hear more", Phrases: []string{"hear more", "more", "yes"}, Key: "1"},
					{ID: "bye", Label: "goodbye", Phrases: []string{"goodbye", "no"}, Key: "2"}}}},
			{ID: "more", Type: TypeSay, Position: Position{X: 0, Y: 300}, Data: NodeData{Text: "This is a flow. You can change it as you like."}},
			{ID: "bye", Type: TypeHangup, Position: Position{X: 400, Y: 300}, Data: NodeData{Text: "Goodbye."}},
		},
		Edges: []Edge{{ID: "e1", Source: "start", Target: "menu"}, {ID: "e2", Source: "menu", Target: "more", Condition: "more"},
			{ID: "e3", Source: "menu", Target: "bye", Condition: "bye"}, {ID: "e4", Source: "more", Target: "menu"}},
	}
}
