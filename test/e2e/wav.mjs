// WAV files: speech made by flite with silence between, and a look at what a recording holds.
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const RATE = 16_000;

/** Reads 16-bit PCM; the length field of a piped WAV may be false, so the file's end counts. */
export function read(buffer) {
  if (buffer.toString("latin1", 0, 4) !== "RIFF") throw new Error("no WAV file");
  let at = 12;
  let format;
  while (at + 8 <= buffer.length) {
    const id = buffer.toString("latin1", at, at + 4);
    const size = buffer.readUInt32LE(at + 4);
    if (id === "fmt ") format = { channels: buffer.readUInt16LE(at + 10), rate: buffer.readUInt32LE(at + 12), bits: buffer.readUInt16LE(at + 22) };
    if (id === "data") {
      const bytes = buffer.subarray(at + 8, Math.min(buffer.length, at + 8 + size));
      const samples = new Int16Array(bytes.length >> 1);
      for (let i = 0; i < samples.length; i++) samples[i] = bytes.readInt16LE(i * 2);
      return { ...format, samples };
    }
    at += 8 + size + (size & 1);
  }
  throw new Error("a WAV file without data");
}

/** How loud a channel is: the share of 20 ms frames above -40 dB. */
export function loudness(wav, channel) {
  const frame = Math.round(wav.rate / 50);
  let loud = 0;
  let frames = 0;
  for (let i = 0; i + frame * wav.channels <= wav.samples.length; i += frame * wav.channels) {
    let sum = 0;
    for (let j = 0; j < frame; j++) sum += (wav.samples[i + j * wav.channels + channel] / 32768) ** 2;
    frames++;
    if (Math.sqrt(sum / frame) > 0.01) loud++;
  }
  return frames === 0 ? 0 : loud / frames;
}

/** Writes a file of speech: parts are texts, or seconds of silence. */
export async function speech(path, parts) {
  const chunks = [];
  for (const part of parts) {
    if (typeof part === "number") {
      chunks.push(new Int16Array(Math.round(part * RATE)));
      continue;
    }
    const file = `${path}.part`; // not /dev/stdout: Node's pipes are sockets, which flite cannot open
    await run("flite", ["-voice", "slt", "-t", part, "-o", file]);
    const wav = read(await readFile(file));
    if (wav.rate !== RATE || wav.channels !== 1) throw new Error(`flite gave ${wav.rate} Hz, ${wav.channels} channels`);
    chunks.push(wav.samples);
  }
  const length = chunks.reduce((n, c) => n + c.length, 0);
  const out = Buffer.alloc(44 + length * 2);
  out.write("RIFF", 0, "latin1");
  out.writeUInt32LE(36 + length * 2, 4);
  out.write("WAVEfmt ", 8, "latin1");
  out.writeUInt32LE(16, 16);
  out.writeUInt16LE(1, 20);
  out.writeUInt16LE(1, 22);
  out.writeUInt32LE(RATE, 24);
  out.writeUInt32LE(RATE * 2, 28);
  out.writeUInt16LE(2, 32);
  out.writeUInt16LE(16, 34);
  out.write("data", 36, "latin1");
  out.writeUInt32LE(length * 2, 40);
  let at = 44;
  for (const c of chunks) for (const s of c) at = out.writeInt16LE(s, at);
  await writeFile(path, out);
}
