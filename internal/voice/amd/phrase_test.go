package amd

import "testing"

func TestPhrase(t *testing.T) {
	for _, text := range append([]string{
		"You've reached Anna, please leave a message.", "Hi I can't come to the phone right now", "At the tone please record your message", "the mailbox is full and cannot accept messages",
		"Bitte hinterlassen Sie eine Nachricht nach dem Signalton.", "Sie sind verbunden mit der Mailbox von Anna", "Laissez un message après le bip", "Vous êtes bien sur le répondeur de Luc",
		"Deje su mensaje después de la señal", "Este es el buzón de voz de Ana", "Lasciate un messaggio dopo il segnale acustico", "Spreek een bericht in na de piep", "Deixe sua mensagem após o sinal",
		"your call has been forwarded to an automated voice messaging system", "اترك رسالتك بعد الصافرة",
	}, machines[:4]...) {
		if _, ok := Phrase(text); !ok {
			t.Errorf("%q is a machine's", text)
		}
	}
	for _, text := range append(append([]string{
		"", "Yes, this is he.", "She is not available right now, who is calling?", "He's not at home, may I take a message?", "I got your message about the tone of the meeting",
		"Hold on a second", "Wer ist da?", "Qui est à l'appareil ?", "¿Quién habla?", "Who is this and what is this about?",
	}, people...), business...) {
		if words, ok := Phrase(text); ok {
			t.Errorf("%q is a machine's by %q", text, words)
		}
	}
}
