import { ApiError, client, messageOf, unwrap } from "../../api/client";
import type { Activity, Entry } from "../../api/types";
import { addEntry, type Line } from "./lines";

export type TalkStatus = "idle" | "asking" | "connecting" | "live" | "ended" | "failed";

export type TalkState = {
  status: TalkStatus;
  activity: Activity;
  lines: Line[];
  error: string;
  notice: string;
  callId: string;
  muted: boolean;
  microphone: boolean;
  startedAt: number;
};

const initial: TalkState = {
  status: "idle",
  activity: "",
  lines: [],
  error: "",
  notice: "",
  callId: "",
  muted: false,
  microphone: false,
  startedAt: 0,
};

const GATHER_MS = 2000;
const CONNECT_MS = 15_000;

/** One WebRTC call with an agent, from this browser: sound both ways, and a data channel for words. */
export class Talk {
  state: TalkState = initial;
  /** Meters, by who makes the sound; there once the call is connected. */
  readonly meters: { caller?: AnalyserNode; agent?: AnalyserNode } = {};
  private pc?: RTCPeerConnection;
  private channel?: RTCDataChannel;
  private microphone?: MediaStream;
  private context?: AudioContext;
  private audio?: HTMLAudioElement;
  private patience?: ReturnType<typeof setTimeout>;
  private watchers = new Set<() => void>();

  /** A version is given to try one that does not take calls (yet). */
  constructor(
    private readonly agentId: string,
    private readonly version?: number,
  ) {}

  watch = (fn: () => void): (() => void) => {
    this.watchers.add(fn);
    return () => this.watchers.delete(fn);
  };

  snapshot = (): TalkState => this.state;

  /** Calls the agent. Without a microphone the call sends silence, and the caller types. */
  async start(withMicrophone: boolean): Promise<void> {
    if (this.state.status !== "idle" && this.state.status !== "ended" && this.state.status !== "failed") return;
    this.state = initial;
    this.set({ status: withMicrophone ? "asking" : "connecting" });
    try {
      this.context = new AudioContext();
      if (withMicrophone) await this.askForMicrophone();
      if (this.state.status === "ended") return this.release();
      this.set({ status: "connecting" });
      await this.connect();
    } catch (error) {
      this.fail(explain(error));
    }
  }

  private async askForMicrophone() {
    if (!navigator.mediaDevices?.getUserMedia) {
      this.set({ notice: "Browsers give the microphone only to pages on https or on this machine. You can type." });
      return;
    }
    try {
      this.microphone = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
      this.set({ microphone: true });
    } catch (error) {
      this.set({ notice: `${microphoneProblem(error)} You can type instead.` });
    }
  }

  private async connect() {
    const pc = new RTCPeerConnection();
    this.pc = pc;
    const context = this.context as AudioContext;
    pc.addTrack(this.microphone?.getAudioTracks()[0] ?? silence(context));
    if (this.microphone) this.meters.caller = meter(context, this.microphone);
    pc.ontrack = (e) => this.play(e.streams[0] ?? new MediaStream([e.track]));
    pc.onconnectionstatechange = () => this.connectionChanged(pc);
    const channel = pc.createDataChannel("parley");
    this.channel = channel;
    channel.onmessage = (e) => this.receive(e.data);
    channel.onclose = () => {
      if (this.state.status === "live") this.finish();
    };

    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    const answer = await unwrap(
      client.POST("/api/v1/agents/{id}/talk", {
        params: { path: { id: this.agentId } },
        body: { sdp: pc.localDescription?.sdp ?? "", ...(this.version ? { version: this.version } : {}) },
      }),
    );
    if (pc.signalingState === "closed") {
      void hangup(answer.callId); // the caller gave up while the server answered
      return;
    }
    this.set({ callId: answer.callId });
    await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    this.patience = setTimeout(() => {
      if (this.state.status === "connecting") {
        this.fail(
          "The sound could not be connected: the network between this browser and the server lets no UDP through.",
        );
      }
    }, CONNECT_MS);
  }

  private connectionChanged(pc: RTCPeerConnection) {
    if (pc !== this.pc) return;
    switch (pc.connectionState) {
      case "connected":
        clearTimeout(this.patience);
        this.set({
          status: "live",
          notice: this.state.microphone ? "" : this.state.notice,
          startedAt: this.state.startedAt || Date.now(),
        });
        break;
      case "disconnected":
        this.set({ notice: "The connection is interrupted; waiting for it to come back…" });
        break;
      case "failed":
        if (this.state.status === "live") this.finish("The connection was lost.");
        else
          this.fail(
            "The sound could not be connected: the network between this browser and the server lets no UDP through.",
          );
        break;
    }
  }

  private play(stream: MediaStream) {
    const audio = new Audio();
    audio.srcObject = stream;
    audio
      .play()
      .catch(() => this.set({ notice: "The browser holds back the sound. Press a button on this page to hear it." }));
    this.audio = audio;
    if (this.context) this.meters.agent = meter(this.context, stream);
  }

  private receive(data: unknown) {
    let message: { type?: string; entry?: Entry };
    try {
      message = JSON.parse(String(data));
    } catch {
      return;
    }
    const entry = message.type === "entry" ? message.entry : undefined;
    if (!entry) return;
    if (entry.kind === "activity") this.set({ activity: (entry.text ?? "") as Activity });
    else if (entry.kind === "call.ended") this.finish(entry.text ?? "");
    else {
      const lines = addEntry(this.state.lines, entry);
      if (lines !== this.state.lines) this.set({ lines });
    }
  }

  say(text: string) {
    this.send({ type: "text", text });
  }

  press(digit: string) {
    this.send({ type: "dtmf", digit });
  }

  private send(message: object) {
    if (this.channel?.readyState === "open") this.channel.send(JSON.stringify(message));
  }

  mute(muted: boolean) {
    for (const t of this.microphone?.getAudioTracks() ?? []) t.enabled = !muted;
    this.set({ muted });
  }

  /** Hangs up, at any time, also before the call is connected. */
  hangup() {
    const { callId, status } = this.state;
    if (callId && status !== "ended") {
      // The connection is closed after the answer: closed at once it may reach the server before the request, which
      // then finds a call that is over.
      const pc = this.pc;
      this.pc = undefined;
      void hangup(callId).finally(() => pc?.close());
    }
    this.finish();
  }

  private finish(notice = "") {
    if (this.state.status === "ended" || this.state.status === "failed") return;
    this.set({ status: "ended", activity: "", notice });
    this.release();
  }

  private fail(error: string) {
    const { callId, status } = this.state;
    if (status === "ended") return this.release();
    if (callId) void hangup(callId);
    this.set({ status: "failed", activity: "", error });
    this.release();
  }

  private release() {
    clearTimeout(this.patience);
    const pc = this.pc;
    this.pc = undefined;
    pc?.close();
    for (const t of this.microphone?.getTracks() ?? []) t.stop();
    this.microphone = undefined;
    if (this.audio) this.audio.srcObject = null;
    this.audio = undefined;
    void this.context?.close().catch(() => undefined);
    this.context = undefined;
    this.meters.caller = undefined;
    this.meters.agent = undefined;
  }

  private set(change: Partial<TalkState>) {
    this.state = { ...this.state, ...change };
    for (const fn of this.watchers) fn();
  }
}

async function hangup(id: string) {
  // A call that is over already answers with an error, which is what was wanted.
  await client.POST("/api/v1/calls/{id}/hangup", { params: { path: { id } } }).catch(() => undefined);
}

/** The server is ICE-lite and sends no candidates later, so the offer carries all of ours. */
function gathered(pc: RTCPeerConnection): Promise<void> {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function silence(context: AudioContext): MediaStreamTrack {
  const out = context.createMediaStreamDestination();
  const source = context.createConstantSource();
  const gain = context.createGain();
  gain.gain.value = 0;
  source.connect(gain).connect(out);
  source.start();
  return out.stream.getAudioTracks()[0] as MediaStreamTrack;
}

function meter(context: AudioContext, stream: MediaStream): AnalyserNode {
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(stream).connect(analyser);
  return analyser;
}

function microphoneProblem(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError")
    return "The browser was not allowed to use the microphone. Its permission is beside the page's address.";
  if (name === "NotFoundError") return "No microphone was found.";
  if (name === "NotReadableError") return "The microphone is used by another program.";
  return "The microphone cannot be used.";
}

function explain(error: unknown): string {
  if (error instanceof ApiError) {
    if (error.status === 404) return "This agent is gone, or has no published version. Publish one, then talk.";
    if (error.status === 429 || error.status === 503) return `${error.message} Try again in a moment.`;
  }
  return messageOf(error);
}
