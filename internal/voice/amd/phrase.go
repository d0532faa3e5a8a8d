package amd

import (
	"strings"

	"github.com/parley-voice/parley/internal/voice/wording"
)

// greetings are what answering machines and voicemail services say and people who pick up hardly do, folded as wording.Fold
// does. Each names the recording itself: "is not available" alone is what a secretary says too.
var greetings = wording.NewPhrases(
	// English
	"after the tone", "after the beep", "at the tone", "at the beep", "sound of the tone", "sound of the beep", "hear the tone", "hear the beep",
	"leave a message", "leave your message", "leave me a message", "leave us a message", "leave your name", "record your message",
	"record your name and reason", "you have reached the voicemail", "you have reached the voice mail", "reached the voicemail", "reached the mailbox",
	"voice mail box", "voicemail box", "mailbox is full", "mail box is full", "forwarded to voicemail", "forwarded to an automated voice",
	"forwarded to an automatic voice", "can t come to the phone", "cannot come to the phone", "can t take your call", "cannot take your call",
	"unable to take your call", "person you are calling is not available", "person you are trying to reach is not available",
	"subscriber you have dialed", "number you have dialed is not", "customer you are calling",
	// German
	"nach dem signalton", "nach dem piepton", "nach dem ton", "nach dem piep", "eine nachricht nach", "hinterlassen sie eine nachricht",
	"hinterlassen sie mir eine nachricht", "hinterlasst eine nachricht", "hinterlassen sie uns eine nachricht", "auf band sprechen",
	"mailbox von", "anrufbeantworter", "der teilnehmer ist zurzeit nicht erreichbar", "der angerufene teilnehmer", "temporar nicht erreichbar",
	// French
	"apres le bip", "apres le signal sonore", "laissez un message", "laisser un message", "laissez moi un message", "laissez nous un message",
	"sur la messagerie", "sur le repondeur", "boite vocale", "messagerie vocale", "votre correspondant n est pas",
	// Spanish
	"despues de la senal", "despues del tono", "al escuchar la senal", "deje su mensaje", "deje un mensaje", "deja tu mensaje", "deja un mensaje",
	"buzon de voz", "contestador", "no puedo atenderle", "no se encuentra disponible en este momento",
	// Italian
	"dopo il segnale", "dopo il bip", "lasciate un messaggio", "lasci un messaggio", "lascia un messaggio", "segreteria telefonica",
	"casella vocale", "l utente da lei chiamato",
	// Dutch
	"na de toon", "na de piep", "na de pieptoon", "spreek een bericht in", "laat een bericht achter", "voicemail van",
	// Portuguese
	"depois do sinal", "apos o sinal", "apos o bip", "deixe sua mensagem", "deixe a sua mensagem", "deixe uma mensagem", "deixe o seu recado",
	"deixe seu recado", "caixa postal", "caixa de mensagens", "correio de voz",
	// Arabic
	"بعد سماع الصافرة", "بعد الصافرة", "اترك رسالة", "ترك رسالة", "اترك رسالتك", "البريد الصوتي", "لا يمكن الوصول اليه",
)

// Phrase tells whether a transcript is that of an answering machine, and by which words: a second opinion where
// there is a recogniser. It looks for words of English, German, French, Spanish, Italian, Dutch, Portuguese and Arabic, whatever
// language is spoken on the call, because a network's announcements are not always in it.
func Phrase(text string) (words string, ok bool) {
	return greetings.Find(strings.Join(wording.Fold(text), " "))
}
