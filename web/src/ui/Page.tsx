import { Box, Group, Stack, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";

/** A page's frame: its title in the tab and on top, what it is for, and its actions. */
export function Page(props: {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  above?: ReactNode;
  children: ReactNode;
  wide?: boolean;
}) {
  useEffect(() => {
    document.title = `${props.title} · Parley`;
  }, [props.title]);
  return (
    <Stack gap="lg" maw={props.wide ? 1560 : 1180} mx="auto" w="100%">
      {props.above}
      <Group justify="space-between" align="flex-start" gap="md">
        <Box style={{ flex: "1 1 300px", minWidth: 0 }}>
          <Title order={1}>{props.title}</Title>
          {props.lead && (
            <Text component="div" c="dimmed" mt={4}>
              {props.lead}
            </Text>
          )}
        </Box>
        {props.actions && <Group gap="sm">{props.actions}</Group>}
      </Group>
      {props.children}
    </Stack>
  );
}
