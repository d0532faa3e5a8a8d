import { Alert, Button, Checkbox, CopyButton, Group, Modal, Paper, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconCheck, IconCopy, IconDownload } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { save } from "../../ui/save";

/** Recovery codes, shown once. They close only when the person says that they are kept. */
export function RecoveryCodes({ codes, close }: { codes: string[]; close: () => void }) {
  const [kept, setKept] = useState(false);
  const opened = codes.length > 0;
  useEffect(() => {
    if (opened) setKept(false);
  }, [opened]);
  const text = codes.join("\n");
  return (
    <Modal
      opened={opened}
      onClose={close}
      title="Your recovery codes"
      withCloseButton={false}
      closeOnClickOutside={false}
      closeOnEscape={false}
    >
      <Stack>
        <Alert color="clay" variant="light">
          Keep them where you would look without your phone. Each works once, in place of the app or the passkey. They
          are not shown again.
        </Alert>
        <Paper p="md">
          <SimpleGrid cols={2} spacing="xs" component="ul" m={0} p={0} style={{ listStyle: "none" }}>
            {codes.map((c) => (
              <Text key={c} component="li" className="mono">
                {c}
              </Text>
            ))}
          </SimpleGrid>
        </Paper>
        <Group>
          <CopyButton value={text} timeout={1800}>
            {({ copied, copy }) => (
              <Button
                variant="default"
                leftSection={copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
                onClick={copy}
              >
                {copied ? "Copied" : "Copy them"}
              </Button>
            )}
          </CopyButton>
          <Button
            variant="default"
            leftSection={<IconDownload size={16} />}
            onClick={() =>
              save(new Blob([`Parley recovery codes, ${location.host}\n\n${text}\n`]), "parley-recovery-codes.txt")
            }
          >
            Download
          </Button>
        </Group>
        <Checkbox
          label="I keep them in a safe place"
          checked={kept}
          onChange={(e) => setKept(e.currentTarget.checked)}
        />
        <Button onClick={close} disabled={!kept}>
          Done
        </Button>
      </Stack>
    </Modal>
  );
}
