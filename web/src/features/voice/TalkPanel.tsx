import {
  ActionIcon,
  Alert,
  Badge,
  Button,
  Collapse,
  Group,
  Paper,
  Stack,
  Text,
  TextInput,
  Title,
  Tooltip,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconArrowRight,
  IconDialpad,
  IconKeyboard,
  IconMicrophone,
  IconMicrophoneOff,
  IconPhoneOff,
  IconSend,
} from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import type { Agent } from "../../api/types";
import type { TalkState } from "./talk";
import css from "./talk.module.css";
import { useMeters, useTalk } from "./useTalk";

const doing: Record<string, string> = {
  listening: "Listening",
  thinking: "Thinking",
  speaking: "Speaking",
  paused: "Paused: was that you?",
  tool: "Using a tool",
};

/** A call with an agent from this page: by microphone or by typing. */
export function TalkPanel({
  agent,
  note,
  version,
}: {
  agent: Pick<Agent, "id" | "name">;
  note?: string;
  version?: number;
}) {
  const { talk, state } = useTalk(agent.id, version);
  const [keys, keypad] = useDisclosure(false);
  const live = state.status === "live";
  const meters = useMeters(talk, live);
  const busy = state.status === "asking" || state.status === "connecting";
  return (
    <Paper p="md" className={css.panel} aria-label={`Talk with ${agent.name}`} component="section">
      <Group justify="space-between">
        <Title order={2} size="h3">
          Talk with {agent.name}
        </Title>
        <Status state={state} />
      </Group>
      {note && !live && !busy && (
        <Text size="xs" c="dimmed">
          {note}
        </Text>
      )}
      {(state.status === "idle" || state.status === "ended" || state.status === "failed") &&
        state.lines.length === 0 && <Begin />}
      {state.status === "failed" && (
        <Alert color="red" variant="light" role="alert">
          {state.error}
        </Alert>
      )}
      {state.notice && (
        <Alert color="clay" variant="light" role="status" p="xs">
          {state.notice}
        </Alert>
      )}
      {busy && (
        <Text size="sm" c="dimmed" role="status">
          {state.status === "asking" ? "Allow the microphone in the browser's question…" : "Connecting…"}
        </Text>
      )}
      {live && (
        <div className={css.meters} ref={meters} aria-hidden>
          <span className={css.meter} data-who="caller">
            You
            <i />
          </span>
          <span className={css.meter} data-who="agent">
            {agent.name}
            <i />
          </span>
        </div>
      )}
      {(live || state.lines.length > 0) && <Lines state={state} name={agent.name} />}
      {live && (
        <>
          <Say say={(t) => talk.say(t)} />
          <Collapse expanded={keys}>
            <Keypad press={(d) => talk.press(d)} />
          </Collapse>
          <Group justify="space-between">
            <Group gap="xs">
              <Tooltip label={state.microphone ? (state.muted ? "Unmute" : "Mute") : "No microphone in this call"}>
                <ActionIcon
                  variant={state.muted ? "filled" : "default"}
                  color="clay"
                  size={42}
                  radius="xl"
                  disabled={!state.microphone}
                  aria-pressed={state.muted}
                  aria-label={state.muted ? "Unmute" : "Mute"}
                  onClick={() => talk.mute(!state.muted)}
                >
                  {state.muted || !state.microphone ? <IconMicrophoneOff size={20} /> : <IconMicrophone size={20} />}
                </ActionIcon>
              </Tooltip>
              <Tooltip label="Keys of the telephone">
                <ActionIcon
                  variant={keys ? "light" : "default"}
                  size={42}
                  radius="xl"
                  aria-expanded={keys}
                  aria-label="Keypad"
                  onClick={keypad.toggle}
                >
                  <IconDialpad size={20} />
                </ActionIcon>
              </Tooltip>
            </Group>
            <Button color="red.8" leftSection={<IconPhoneOff size={17} />} onClick={() => talk.hangup()}>
              Hang up
            </Button>
          </Group>
        </>
      )}
      {busy && (
        <Button variant="default" onClick={() => talk.hangup()}>
          Cancel
        </Button>
      )}
      {!live && !busy && (
        <Stack gap="xs">
          {state.callId && (
            <Button
              variant="light"
              rightSection={<IconArrowRight size={16} />}
              renderRoot={(p) => <Link {...p} to="/calls/$callId" params={{ callId: state.callId }} />}
            >
              Open the call
            </Button>
          )}
          <Button leftSection={<IconMicrophone size={17} />} onClick={() => talk.start(true)}>
            {state.callId ? "Talk again" : "Talk"}
          </Button>
          <Button variant="subtle" leftSection={<IconKeyboard size={17} />} onClick={() => talk.start(false)}>
            Type instead
          </Button>
        </Stack>
      )}
    </Paper>
  );
}

function Begin() {
  return (
    <Text size="sm" c="dimmed">
      A real call, in this browser: it is recorded and listed under Calls. You can interrupt by speaking.
    </Text>
  );
}

function Status({ state }: { state: TalkState }) {
  if (state.status === "live") {
    return (
      <Badge color={state.activity === "listening" ? "clay" : "pine"} role="status" data-activity={state.activity}>
        {doing[state.activity] ?? "Connected"}
      </Badge>
    );
  }
  if (state.status === "ended") return <Badge color="gray">Ended</Badge>;
  return null;
}

function Lines({ state, name }: { state: TalkState; name: string }) {
  const box = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the newest line stays in sight
  useEffect(() => {
    box.current?.scrollTo({ top: box.current.scrollHeight });
  }, [state.lines, state.activity]);
  return (
    <div className={css.lines} ref={box} role="log" aria-label="Conversation" aria-live="polite">
      {state.lines.map((l) =>
        l.who === "note" ? (
          <div key={l.id} className={css.note}>
            {l.text}
          </div>
        ) : (
          <div key={l.id} className={css.line} data-who={l.who} data-partial={l.partial}>
            <span className={css.who}>{l.who === "caller" ? "You" : name}</span>
            {l.text}
            {l.interrupted && <em> (interrupted)</em>}
          </div>
        ),
      )}
      {state.activity === "thinking" && <div className={css.dots} aria-hidden />}
    </div>
  );
}

function Say({ say }: { say: (text: string) => void }) {
  const [text, setText] = useState("");
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        if (text.trim() === "") return;
        say(text.trim());
        setText("");
      }}
    >
      <TextInput
        aria-label="Type to the agent"
        placeholder="Type what you would say"
        value={text}
        onChange={(e) => setText(e.currentTarget.value)}
        maxLength={1000}
        autoComplete="off"
        rightSection={
          <ActionIcon type="submit" variant="subtle" aria-label="Send" disabled={text.trim() === ""}>
            <IconSend size={17} />
          </ActionIcon>
        }
      />
    </form>
  );
}

function Keypad({ press }: { press: (digit: string) => void }) {
  return (
    <div className={css.keypad}>
      {[..."123456789*0#"].map((d) => (
        <Button key={d} variant="default" onClick={() => press(d)} aria-label={`Key ${d}`}>
          {d}
        </Button>
      ))}
    </div>
  );
}
