import { Checkbox, Group, Input, SimpleGrid, Stack, TagsInput, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { words } from "../../ui/format";
import { type Area, areas, Reach, reach, toggle } from "./permissions";
import css from "./picker.module.css";

type Props = {
  catalogue: string[];
  value: string[];
  onChange: (patterns: string[]) => void;
  /** What may be handed out; the rest cannot be ticked. */
  mayGive: (patterns: string[]) => boolean;
  label?: string;
  error?: ReactNode;
};

/** Ticks permissions area by area. What a tick cannot say, a pattern such as call:read:team does. */
export function PermissionPicker(props: Props) {
  return (
    <Stack gap="sm">
      <Input.Wrapper
        label={props.label ?? "Permissions"}
        labelElement="div"
        error={props.error}
        description="A whole area takes in what is added to it later."
      >
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs" mt="xs" className={css.areas}>
          {areas(props.catalogue).map((a) => (
            <AreaBox key={a.area} area={a} {...props} />
          ))}
        </SimpleGrid>
      </Input.Wrapper>
      <TagsInput
        label="As patterns"
        description="area:verb, area:*, or * for all; with :own or :team at the end only what is one's own or the team's"
        value={props.value}
        onChange={(v) => props.onChange([...new Set(v.map((p) => p.trim()).filter(Boolean))])}
        splitChars={[",", " "]}
        classNames={{ pill: "mono" }}
      />
    </Stack>
  );
}

function AreaBox({ area, value, onChange, mayGive }: Props & { area: Area }) {
  const reaches = area.verbs.map((v) => reach(value, `${area.area}:${v}`));
  const all = reaches.every((r) => r === Reach.All);
  const everything = value.includes("*");
  return (
    <fieldset className={css.area}>
      <legend className={css.legend}>
        <Checkbox
          label={words(area.area)}
          fw={600}
          checked={all}
          indeterminate={!all && reaches.some((r) => r > Reach.None)}
          disabled={everything || !mayGive([`${area.area}:*`])}
          onChange={(e) => onChange(toggle(value, area, "*", e.currentTarget.checked))}
        />
      </legend>
      <Group gap="xs">
        {area.verbs.map((verb, i) => (
          <Checkbox
            key={verb}
            size="xs"
            label={words(verb) + (["", " (own)", " (team)", ""][reaches[i] ?? 0] ?? "")}
            aria-label={`${words(area.area)}: ${words(verb)}`}
            checked={(reaches[i] ?? 0) > Reach.None}
            disabled={everything || !mayGive([`${area.area}:${verb}`])}
            onChange={(e) => onChange(toggle(value, area, verb, e.currentTarget.checked))}
          />
        ))}
      </Group>
    </fieldset>
  );
}

/** What patterns give today, spelled out. */
export function Expansion({ expanded }: { expanded: string[] }) {
  return (
    <details className={css.expansion}>
      <summary>{expanded.length === 1 ? "One permission" : `${expanded.length} permissions`} in all</summary>
      {expanded.length === 0 ? (
        <Text size="sm" c="dimmed">
          None.
        </Text>
      ) : (
        <ul>
          {expanded.map((p) => (
            <li key={p} className="mono">
              {p}
            </li>
          ))}
        </ul>
      )}
    </details>
  );
}
