import { Anchor, Button, Group, List, Stack, Text } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import { failed } from "../../ui/notify";
import { type Connection, useTest, useTestResult } from "./ssoApi";

/** Asks the provider what it answers, and offers a sign-in that signs nobody in. */
export function SsoTest({ connection: c }: { connection: Connection }) {
  const test = useTest();
  const result = useTestResult();
  const t = test.data;
  const r = result.data;
  return (
    <Stack gap="xs">
      <Group>
        <Button
          variant="default"
          loading={test.isPending}
          onClick={() => {
            result.reset();
            test.mutate(c.id, { onError: failed });
          }}
        >
          Test the connection
        </Button>
      </Group>
      <div aria-live="polite">
        {t && (
          <Stack gap="xs">
            <List listStyleType="none" spacing={4} size="sm">
              {t.checks.map((k) => (
                <List.Item
                  key={k.name}
                  icon={k.ok ? <IconCheck size={16} aria-label="Good" /> : <IconX size={16} aria-label="Bad" />}
                >
                  {k.message}
                </List.Item>
              ))}
            </List>
            {t.signInUrl && (
              <Group gap="md">
                <Anchor href={t.signInUrl} target="_blank" rel="noreferrer" underline="always" size="sm">
                  Try to sign in (it signs nobody in here)
                </Anchor>
                <Button
                  size="xs"
                  variant="subtle"
                  loading={result.isPending}
                  onClick={() => result.mutate({ id: c.id, testId: t.id }, { onError: failed })}
                >
                  What came of it?
                </Button>
              </Group>
            )}
          </Stack>
        )}
        {r && (
          <Text size="sm" mt="xs">
            {!r.done
              ? "Nobody has finished it yet."
              : r.ok
                ? `${r.email} would be signed in as ${r.role}${r.created ? ", as a new member" : ""}.`
                : `They would be refused: ${r.problem}`}
          </Text>
        )}
      </div>
    </Stack>
  );
}
