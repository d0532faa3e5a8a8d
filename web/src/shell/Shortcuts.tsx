import { Group, Kbd, Stack, Text } from "@mantine/core";
import { modals } from "@mantine/modals";

const shortcuts: [string[], string][] = [
  [["g", "o"], "Overview"],
  [["g", "c"], "Calls"],
  [["g", "a"], "Agents"],
  [["g", "m"], "Models"],
  [["g", "p"], "Phones"],
  [["g", "t"], "Trunks"],
  [["g", "s"], "Settings"],
  [["/"], "Search on this page"],
  [["Space"], "Play or pause a recording"],
  [["←", "→"], "Five seconds back or on in a recording"],
  [["Ctrl", "S"], "Save an agent"],
  [["?"], "This help"],
];

export function showShortcuts() {
  modals.open({
    title: "Keyboard shortcuts",
    children: (
      <Stack gap="xs">
        {shortcuts.map(([keys, what]) => (
          <Group key={what} justify="space-between">
            <Text size="sm">{what}</Text>
            <Group gap={4}>
              {keys.map((k) => (
                <Kbd key={k}>{k}</Kbd>
              ))}
            </Group>
          </Group>
        ))}
      </Stack>
    ),
  });
}
