// Starts aimock on a free port with what the tests ask for, prints its address, and ends with its standard input.
import { LLMock } from "@copilotkit/aimock";

const mock = new LLMock({ port: 0, chunkSize: 5 });
mock.onMessage("weather", {
  toolCalls: [{ name: "weather", arguments: '{"city":"Dublin"}' }],
});
mock.onMessage("hello", { content: "Hello, this is the front desk. How can I help you?" });
mock.onMessage("busy", { error: { message: "Slow down, please.", type: "rate_limit_error" }, status: 429 });
mock.onTranscription({ transcription: { text: "I would like to book an appointment." } });

// A second of a 440 Hz tone at 24 kHz after 300 ms of silence, as PCM.
const pcm = Buffer.alloc(2 * 24000 * 1.3);
for (let i = 7200; i < pcm.length / 2; i++) {
  pcm.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * 440 * i) / 24000)), 2 * i);
}
mock.onSpeech(/./, { audio: pcm.toString("base64"), format: "pcm" });

await mock.start();
console.log(mock.url);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
