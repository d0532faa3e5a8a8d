import { Button, Group } from "@mantine/core";
import type { ReactNode } from "react";
import { confirm } from "./notify";

type Props = {
  /** What the row shows, for those who hear the buttons. */
  name: string;
  change?: () => void;
  /** What is said before it is deleted, and what deletes it. */
  remove?: { title?: string; text: string; run: () => void };
  children?: ReactNode;
};

/** What can be done with a row of a table: it is changed, or deleted after a question. */
export function RowActions({ name, change, remove, children }: Props) {
  return (
    <Group gap={4} justify="flex-end" wrap="nowrap">
      {children}
      {change && (
        <Button size="xs" variant="subtle" onClick={change} aria-label={`Change ${name}`}>
          Change
        </Button>
      )}
      {remove && (
        <Button
          size="xs"
          variant="subtle"
          color="red"
          aria-label={`Delete ${name}`}
          onClick={() =>
            confirm({
              title: remove.title ?? `Delete ${name}?`,
              text: remove.text,
              action: "Delete",
              onConfirm: remove.run,
            })
          }
        >
          Delete
        </Button>
      )}
    </Group>
  );
}
