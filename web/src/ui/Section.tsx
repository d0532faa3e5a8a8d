import { Box, Group, Paper, Stack, Text, Title } from "@mantine/core";
import { type ReactNode, useId } from "react";

/** A part of a page with a heading of its own. */
export function Section(props: { title: string; lead?: ReactNode; actions?: ReactNode; children?: ReactNode }) {
  const id = useId();
  return (
    <Paper p="lg" component="section" aria-labelledby={id}>
      <Stack gap="md">
        <Group justify="space-between" align="flex-start" gap="md">
          <Box style={{ flex: "1 1 260px", minWidth: 0 }}>
            <Title order={2} id={id}>
              {props.title}
            </Title>
            {props.lead && (
              <Text size="sm" c="dimmed" mt={4} component="div" maw={680}>
                {props.lead}
              </Text>
            )}
          </Box>
          {props.actions && <Group gap="sm">{props.actions}</Group>}
        </Group>
        {props.children}
      </Stack>
    </Paper>
  );
}
