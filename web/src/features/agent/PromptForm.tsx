import { Textarea } from "@mantine/core";
import type { Definition, Problem } from "../../api/types";
import { about, Sheet } from "./Sheet";

type Props = { definition: Definition; change: (part: Partial<Definition>) => void; problems: Problem[] };

/** What the language model is told to be. */
export function PromptForm({ definition, change, problems }: Props) {
  return (
    <Sheet problems={about(problems, "prompt", "greeting", "models", "kind")}>
      <Textarea
        label="Greeting"
        description="Said first. Empty: the caller begins."
        autosize
        minRows={2}
        value={definition.greeting ?? ""}
        onChange={(e) => change({ greeting: e.currentTarget.value })}
      />
      <Textarea
        label="Prompt"
        description="Who the agent is, what it knows, what it does and what it must not do. Short answers sound best on the telephone."
        autosize
        minRows={14}
        maxRows={32}
        value={definition.prompt ?? ""}
        onChange={(e) => change({ prompt: e.currentTarget.value })}
      />
    </Sheet>
  );
}
