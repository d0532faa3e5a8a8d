import type { Service } from "../../api/types";

/** Base URLs that the servers people run have when they are started as their own pages say. */
export type Preset = { name: string; about: string; baseUrls: Partial<Record<Service, string>>; needsKey?: boolean };

export const presets: Preset[] = [
  { name: "Ollama", about: "Language models on this machine", baseUrls: { llm: "http://127.0.0.1:11434/v1" } },
  { name: "llama.cpp", about: "One language model by llama-server", baseUrls: { llm: "http://127.0.0.1:8081/v1" } },
  { name: "vLLM", about: "Language models on a GPU", baseUrls: { llm: "http://127.0.0.1:8000/v1" } },
  {
    name: "speaches",
    about: "Whisper and Kokoro on this machine",
    baseUrls: { stt: "http://127.0.0.1:8000/v1", tts: "http://127.0.0.1:8000/v1" },
  },
  { name: "Kokoro", about: "Voices by Kokoro-FastAPI", baseUrls: { tts: "http://127.0.0.1:8880/v1" } },
  {
    name: "OpenAI",
    about: "All three services; needs a key",
    baseUrls: { stt: "https://api.openai.com/v1", llm: "https://api.openai.com/v1", tts: "https://api.openai.com/v1" },
    needsKey: true,
  },
];

export const serviceNames: Record<Service, string> = { stt: "Recognition", llm: "Language", tts: "Speech" };
export const services: Service[] = ["stt", "llm", "tts"];
