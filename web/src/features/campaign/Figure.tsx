import { Paper, Progress, Text } from "@mantine/core";
import type { ReactNode } from "react";
import css from "./campaign.module.css";

/** One number with what it is. */
export function Figure(props: { label: string; value: ReactNode; hint?: string; bad?: boolean; children?: ReactNode }) {
  return (
    <Paper p="md">
      <Text size="sm" c="dimmed" fw={500}>
        {props.label}
      </Text>
      <Text className={`${css.value} num`} c={props.bad ? "red" : undefined}>
        {props.value}
      </Text>
      {props.children}
      {props.hint && (
        <Text size="xs" c="dimmed" mt={props.children ? 4 : 0}>
          {props.hint}
        </Text>
      )}
    </Paper>
  );
}

/** How much of a limit is used; over it, it is red. */
export function Share({ of, label }: { of: number; label: string }) {
  return (
    <Progress value={Math.min(100, of * 100)} color={of > 1 ? "red" : "pine"} size="sm" my={6} aria-label={label} />
  );
}
