import { Alert, Button, Group, Modal, Paper, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Copy } from "./Copy";

/** A secret that is shown once, in a window that does not close by a slip. */
export function ShownOnce(props: {
  title: string;
  secret: string | null;
  label: string;
  close: () => void;
  children?: ReactNode;
  why?: string;
}) {
  return (
    <Modal
      opened={props.secret !== null}
      onClose={props.close}
      title={props.title}
      closeOnClickOutside={false}
      closeOnEscape={false}
    >
      <Stack>
        <Alert color="clay" variant="light">
          {props.why ?? "Copy it now. Only a hash of it is kept, so it cannot be shown again."}
        </Alert>
        <Paper p="sm">
          <Copy value={props.secret ?? ""} label={props.label} />
        </Paper>
        {props.children && (
          <Text size="sm" c="dimmed" component="div">
            {props.children}
          </Text>
        )}
        <Group justify="flex-end">
          <Button onClick={props.close} data-autofocus>
            I have it
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
