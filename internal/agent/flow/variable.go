package flow

import (
	"regexp"
	"slices"
	"strings"
)

// A call's own variables stand in two braces, so that they are not taken for what the flow itself knows: {{firstName}} has to be
// given, {{firstName|there}} has a word for when it is not.

// Variable is one such place in a text.
type Variable struct {
	Name     string
	Optional bool // it has a word of its own for when there is no value
}

var variableForm = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*(\|[^{}]{0,200})?\}\}`)

// VariableName reports whether name can be a variable's.
func VariableName(name string) bool {
	return variableForm.MatchString("{{"+name+"}}") && !strings.ContainsAny(name, " |")
}

// Variables lists the variables of some texts, each once, in the order of their names. One that has to be given in one place is not
// optional.
func Variables(texts ...string) []Variable {
	out := []Variable{}
	for _, text := range texts {
		for _, m := range variableForm.FindAllStringSubmatch(text, -1) {
			v := Variable{Name: m[1], Optional: m[2] != ""}
			i := slices.IndexFunc(out, func(o Variable) bool { return o.Name == v.Name })
			if i < 0 {
				out = append(out, v)
			} else {
				out[i].Optional = out[i].Optional && v.Optional
			}
		}
	}
	slices.SortFunc(out, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// FillVariables puts values in the place of variables. What has none is the text's own word, or nothing.
func FillVariables(text string, values map[string]string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	return variableForm.ReplaceAllStringFunc(text, func(place string) string {
		m := variableForm.FindStringSubmatch(place)
		if v := values[m[1]]; v != "" {
			return bare(v)
		}
		return strings.TrimSpace(strings.TrimPrefix(m[2], "|"))
	})
}

// bare is a value without braces: it is never a place of its own.
func bare(v string) string { return strings.NewReplacer("{", "", "}", "").Replace(v) }

// Variables lists the variables of what the flow says.
func (g *Graph) Variables() []Variable {
	var texts []string
	for i := range g.Nodes {
		texts = append(texts, g.Nodes[i].Data.Text, g.Nodes[i].Data.Reprompt)
	}
	return Variables(texts...)
}
