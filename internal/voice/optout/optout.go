// Package optout hears, in the words of a transcript, that a person does not want to be called any more. It is a safety net
// below the agent, which may not understand or may not act: pure, without a language model, the same every time.
//
// It is conservative. A phrase counts only as a demand made to us: it must name the caller as the one to be left alone
// ("stop calling me", not "stop calling"), stand where a demand begins (at the beginning, after "please", "you", "I want
// you to"), which "he won't stop calling me" does not, and not be taken back by what follows ("don't call me again before
// Monday"). What it does not hear is left to the agent's tool.
package optout

import (
	"slices"
	"strings"

	"github.com/parley-voice/parley/internal/voice/wording"
)

// demand is one way to say it.
type demand struct {
	words []string
	// whole says that words which go on ("… before Monday") change what it means.
	whole bool
}

// demands, by the language they are of. A slash divides alternatives, a plus the words of one of them.
var demands = compile(
	// English
	"stop calling me/us/here/this", "stop phoning me/us/here", "stop contacting me/us", "stop bothering me with/by calls/calling",
	"quit calling me/us/here",
	"!do+not/don't/dont call me/us/here/this again/anymore", "!do+not/don't call me/us/here any/ever more/again", "!do+not/don't ever call me/us/here again/anymore",
	"!do+not/don't call this number again/anymore", "!do+not/don't ever call this number again", "!never call me/us/here again", "!never ever call me/us again",
	"!do+not/don't contact me/us again/anymore", "!never contact me/us again", "!do+not/don't phone/ring me/us again/anymore",
	"take me/us off your/the list", "take me/us off your/the calling/call/phone list", "take my number off",
	"take me/us off of your/the list", "remove me/us from your/the list", "remove me/us from your/the calling/call/phone/contact list",
	"remove my/our/this number from", "!remove my/our number", "delete my/our number from", "!delete my/our number",
	"put me/us on your/the do not call list", "put me/us on your/the do not call registry", "add me/us to your/the do not call list",
	"opt me out", "i want to opt out", "i would like to opt out", "i d like to opt out", "!lose my number", "i do+not/don't want any more calls",
	"i do+not/don't want/wish to be called again/anymore", "no more calls please",
	// German
	"rufen sie mich/uns/hier nicht mehr/wieder an", "rufen sie mich/uns/hier nie/niemals mehr/wieder an", "rufen sie mich/uns bitte nicht mehr/wieder an", "ruft mich/uns nicht mehr an",
	"streichen sie mich/uns von/aus", "streichen sie meine nummer", "nehmen sie mich/uns von der/ihrer liste", "nehmen sie mich aus der/ihrer liste", "loschen sie meine nummer",
	"ich mochte nicht mehr angerufen werden", "ich will nicht mehr angerufen werden", "keine anrufe mehr bitte", "!keine anrufe mehr", "horen sie auf mich/uns anzurufen", "horen sie auf hier anzurufen",
	// French
	"ne m'appelez plus", "ne nous appelez plus", "ne me/nous rappelez plus", "ne me/nous telephonez plus", "!ne appelez/rappelez plus", "arretez de m'appeler", "arretez de nous appeler",
	"retirez moi de votre/vos/la liste/listes", "enlevez moi de votre/vos/la liste/listes", "supprimez mon numero", "retirez mon numero", "je ne veux plus etre appele/appelee", "je ne veux plus d'appels",
	// Spanish
	"no me/nos llame/llamen/llames mas", "no me/nos vuelva/vuelvan/vuelvas a llamar", "no vuelva/vuelvan a llamarme/llamarnos/llamar", "deje/dejen/deja de llamarme/llamarnos",
	"quiteme/quitenme/saqueme/saquenme de su/la lista", "borre/borren/elimine/eliminen mi numero", "no quiero que me llamen mas", "no quiero recibir mas llamadas", "no quiero mas llamadas",
	// Italian
	"non mi/ci chiami/chiamate/chiamare piu", "non chiamatemi/chiamateci piu", "non mi richiami/richiamate piu", "smettete/smetta di chiamarmi/chiamarci", "toglietemi/cancellatemi/toglieteci dalla lista",
	"toglietemi dalla vostra lista", "mi tolga dalla lista", "mi tolga dalla vostra/sua lista", "cancelli/cancellate il mio numero", "non voglio piu essere chiamato/chiamata",
	// Dutch
	"bel me/mij/ons niet meer", "belt u me/mij/ons niet meer", "bel me nooit meer", "stop met bellen", "haal me/mij/ons van de/uw/jullie lijst", "haalt u mij van de/uw lijst", "verwijder mijn nummer",
	"ik wil niet meer gebeld worden",
	// Portuguese
	"nao me/nos ligue/liguem mais", "nao me/nos telefone/telefonem mais", "pare/parem de me/nos ligar", "pare/parem de ligar para mim", "tire/tirem/retire/remova/remova/removam meu numero da/de",
	"tire/tirem/retire o meu numero da", "tire/tirem me da lista", "nao quero mais receber ligacoes", "nao quero receber mais ligacoes",
	// Arabic
	"لا تتصل بي مرة اخرى", "لا تتصلوا بي مرة اخرى", "لا تتصل بي بعد الان", "لا تتصلوا بي بعد الان", "لا تتصل بي مجددا", "لا تتصلوا بي مجددا", "توقفوا عن الاتصال بي", "توقف عن الاتصال بي",
	"احذفوا رقمي", "احذف رقمي",
)

// compile writes alternatives out. "!" before a phrase says that nothing may follow it in the sentence but what polite or angry people add.
func compile(list ...string) (all []demand) {
	for _, p := range list {
		whole := strings.HasPrefix(p, "!")
		forms := [][]string{nil}
		for _, w := range strings.Fields(strings.TrimPrefix(p, "!")) {
			var next [][]string
			for _, alt := range strings.Split(w, "/") {
				for _, f := range forms {
					next = append(next, append(slices.Clone(f), wording.Fold(alt)...))
				}
			}
			forms = next
		}
		for _, f := range forms {
			all = append(all, demand{words: f, whole: whole})
		}
	}
	return all
}

// before are the words that may stand right before a demand, besides the beginning of a sentence.
var before = set(`please pls just and so now ok okay no hey yes yeah well look listen then kindly also you ya or must should
	bitte und also jetzt nein ja mal dann s'il plait vous plait veuillez merci et alors non por favor y ya entonces si no per favore e allora si alstublieft en nee ja dus graag favor e entao sim
	من رجاء فضلك لو سمحت ارجوك`)

// beforeTo are the words before "to" which make it our matter, as "you" does: "I want to opt out".
var beforeTo = set(`want like`)

// after are the words that may follow a demand which must be whole.
var after = set(`please thanks thank you ok okay bye goodbye or and do i ever understood understand alright right got it is that clear you sir madam ma never
	bitte danke verstanden tschuss merci gracias adios grazie bedankt dank obrigado obrigada`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range wording.Fold(words) {
		m[w] = true
	}
	return m
}

// Said tells whether a person's words demand not to be called any more, and by which of them.
func Said(text string) (phrase string, ok bool) {
	words := wording.Sentences(text)
	for i := range words {
		for _, d := range demands {
			if len(words)-i >= len(d.words) && slices.Equal(words[i:i+len(d.words)], d.words) && begins(words, i) && (!d.whole || ends(words, i+len(d.words))) {
				return strings.Join(d.words, " "), true
			}
		}
	}
	return "", false
}

// begins tells whether a demand may begin at word i.
func begins(words []string, i int) bool {
	if i == 0 || words[i-1] == wording.End {
		return true
	}
	prev := words[i-1]
	clause := i - 1
	for clause > 0 && words[clause-1] != wording.End {
		clause--
	}
	if slices.ContainsFunc(words[clause:i], func(w string) bool { return negations[w] }) {
		return false
	}
	if prev == "to" {
		return i > 1 && (words[i-2] == "you" || beforeTo[words[i-2]] || i > 2 && words[i-3] == "you")
	}
	return before[prev]
}

// negations turn a demand round: "I do not want you to take me off your list".
var negations = set("not don t never why when if did")

// ends tells whether what follows leaves a demand as it is.
func ends(words []string, i int) bool {
	return i >= len(words) || words[i] == wording.End || after[words[i]]
}
