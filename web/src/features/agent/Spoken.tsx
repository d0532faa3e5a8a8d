import { ActionIcon, Button, Group, Paper, Stack, TagsInput, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import type { ReactNode } from "react";
import css from "./agent.module.css";
import { unique } from "./graph";

type Spoken = { id: string; key?: string; phrases?: string[] };
type Props<T extends Spoken> = {
  items: T[];
  change: (items: T[]) => void;
  /** "choice": what the button adds, and how ids begin. */
  one: string;
  name: (item: T) => string;
  make: (id: string) => T;
  size?: "xs" | "sm";
  /** The fields before the key, and those below the phrases. */
  first: (item: T, set: (part: Partial<T>) => void) => ReactNode;
  last?: (item: T, set: (part: Partial<T>) => void) => ReactNode;
};

/** What a caller may name, by a key or in words: the choices of a step, the departments of a place. */
export function SpokenList<T extends Spoken>({ items, change, one, name, make, size = "sm", first, last }: Props<T>) {
  return (
    <Stack gap="xs">
      {items.map((item, i) => {
        const set = (part: Partial<T>) => change(items.map((x, j) => (j === i ? { ...x, ...part } : x)));
        return (
          <Paper key={item.id} p="sm" className={css.intent}>
            <Group gap="xs" wrap="nowrap" align="flex-end">
              {first(item, set)}
              <TextInput
                label="Key"
                size={size}
                w={54}
                maxLength={1}
                value={item.key ?? ""}
                onChange={(e) => set({ key: e.currentTarget.value } as Partial<T>)}
              />
              <ActionIcon
                variant="subtle"
                color="red"
                size={size === "sm" ? "lg" : undefined}
                onClick={() => change(items.filter((x) => x !== item))}
                aria-label={`Remove ${name(item) || item.id}`}
              >
                <IconTrash size={16} />
              </ActionIcon>
            </Group>
            <TagsInput
              label="Ways of saying it"
              size={size}
              mt={6}
              value={item.phrases ?? []}
              onChange={(phrases) => set({ phrases } as Partial<T>)}
              splitChars={[",", ";"]}
            />
            {last?.(item, set)}
          </Paper>
        );
      })}
      <Button
        size="xs"
        variant="default"
        w="fit-content"
        leftSection={<IconPlus size={14} />}
        onClick={() => change([...items, make(unique(one, new Set(items.map((x) => x.id))))])}
      >
        Add a {one}
      </Button>
    </Stack>
  );
}
