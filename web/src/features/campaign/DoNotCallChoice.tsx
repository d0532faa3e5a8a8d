import { Anchor, MultiSelect, Stack, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { count } from "../../ui/format";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useDoNotCallLists } from "./doNotCallApi";
import type { StepProps } from "./StepWho";

/** Which do-not-call lists a campaign asks: the organisation's always, and those that it names. */
export function DoNotCallChoice({ form }: Pick<StepProps, "form">) {
  const sees = useMay()("donotcall:read");
  return (
    <Section
      title="Whom it leaves alone"
      lead="Numbers on these lists are not called. It is looked up again before every single call."
    >
      {sees ? (
        <Choice form={form} />
      ) : (
        <Text size="sm" c="dimmed">
          Your role does not show do-not-call lists. Those of the organisation count in any case.
        </Text>
      )}
    </Section>
  );
}

function Choice({ form }: Pick<StepProps, "form">) {
  const lists = useDoNotCallLists();
  const chosen = form.values.settings.lists ?? [];
  return (
    <Loaded query={lists} rows={2}>
      {({ items }) => {
        const always = items.filter((l) => l.scope === "organisation");
        const data = items
          .filter((l) => l.scope === "campaign" || chosen.includes(l.id))
          .map((l) => ({ value: l.id, label: `${l.name} (${count(l.numbers, "number", "numbers")})` }));
        for (const id of chosen)
          if (!data.some((d) => d.value === id)) data.push({ value: id, label: "One that was deleted" });
        return (
          <Stack gap="sm">
            <Text size="sm">
              Always:{" "}
              {always.map((l) => `${l.name} (${count(l.numbers, "number", "numbers")})`).join(", ") || "none yet"}, and
              the public registers that the rules of a place ask for.
            </Text>
            {data.length > 0 ? (
              <MultiSelect
                label="Lists of this campaign besides"
                placeholder={chosen.length === 0 ? "None" : undefined}
                data={data}
                searchable
                {...form.getInputProps("settings.lists")}
              />
            ) : (
              <Text size="sm" c="dimmed">
                There is no list that only some campaigns ask.
              </Text>
            )}
            <Anchor renderRoot={(p) => <Link {...p} to="/settings/do-not-call" />} size="sm" w="fit-content">
              Make and fill lists
            </Anchor>
          </Stack>
        );
      }}
    </Loaded>
  );
}
