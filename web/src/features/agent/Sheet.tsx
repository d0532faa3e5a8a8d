import { Alert, Paper, Stack } from "@mantine/core";
import type { ReactNode } from "react";
import type { Problem } from "../../api/types";

/** A sheet of settings, with what is wrong with them on top. */
export function Sheet({ problems = [], children }: { problems?: Problem[]; children: ReactNode }) {
  return (
    <Paper p="lg">
      <Stack maw={780}>
        {problems.map((p) => (
          <Alert key={p.location + p.message} variant="light" color={p.severity === "error" ? "red" : "clay"}>
            {p.message}
          </Alert>
        ))}
        {children}
      </Stack>
    </Paper>
  );
}

/** The problems of some part of a definition. */
export function about(problems: Problem[], ...prefixes: string[]): Problem[] {
  return problems.filter((p) => prefixes.some((x) => p.location.startsWith(x)));
}
