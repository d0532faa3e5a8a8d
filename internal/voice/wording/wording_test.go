package wording

import (
	"slices"
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"Don’t call ME, please!":    "don t call me please",
		"Retirez-moi de LA liste…":  "retirez moi de la liste",
		"Löschen Sie das, Straße 5": "loschen sie das strasse 5",
		"e\u0301te\u0301 no\u00e9":  "ete noe",
		"لا تَتَّصِل بي مرّةً أخرى": "لا تتصل بي مره اخري",
		"  \t ": "",
	} {
		if got := strings.Join(Fold(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestSentences(t *testing.T) {
	got := Sentences("¿No? Stop, please... I mean it")
	if want := []string{"no", End, "stop", End, "please", End, "i", "mean", "it"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestFindsWholeWords(t *testing.T) {
	p := NewPhrases("the tone", "l'été")
	for text, want := range map[string]bool{"after the tone": true, "the tones": false, "bathe tone": false, "cet l ete": true, "": false} {
		if _, ok := p.Find(text); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}
