import { Group, Stack, Text } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import type { ProbeResult } from "../../api/types";
import { serviceNames, services } from "./presets";

/** What a check of a server found, service by service. */
export function ProbeLines({ result }: { result: ProbeResult }) {
  return (
    <Stack gap={4} role="status">
      {services.map((s) => {
        const r = result.services[s];
        if (!r) return null;
        const models = r.models ?? [];
        return (
          <Group key={s} gap={8} wrap="nowrap" align="flex-start">
            {r.ok ? (
              <IconCheck size={17} color="var(--agent)" aria-label="Works" />
            ) : (
              <IconX size={17} color="var(--mantine-color-red-6)" aria-label="Failed" />
            )}
            <Text size="sm">
              <b>{serviceNames[s]}</b> {r.message}
              {models.length > 0 && (
                <Text span c="dimmed" size="sm">
                  {" "}
                  {models.slice(0, 4).join(", ")}
                  {models.length > 4 ? ` and ${models.length - 4} more` : ""}
                </Text>
              )}
            </Text>
          </Group>
        );
      })}
    </Stack>
  );
}
