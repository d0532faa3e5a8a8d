import { Button, Group, Modal, Stack, Text, Textarea } from "@mantine/core";
import { useForm } from "@mantine/form";
import { refuse } from "../../ui/notify";

type Props = {
  opened: boolean;
  close: () => void;
  title: string;
  text: string;
  action: string;
  run: (reason: string) => Promise<unknown>;
};

/** Asks for a reason, which stays on record, before something is taken away. */
export function ReasonWindow({ opened, close, title, text, action, run }: Props) {
  return (
    <Modal opened={opened} onClose={close} title={title}>
      {opened && <Form close={close} text={text} action={action} run={run} />}
    </Modal>
  );
}

function Form({ close, text, action, run }: Omit<Props, "opened" | "title">) {
  const form = useForm({
    initialValues: { reason: "" },
    validate: { reason: (v) => (v.trim() ? null : "Say why; it stays on record.") },
  });
  const submit = form.onSubmit(async ({ reason }) => {
    try {
      form.setSubmitting(true);
      await run(reason.trim());
      close();
    } catch (e) {
      refuse(form, e);
    } finally {
      form.setSubmitting(false);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <Text size="sm">{text}</Text>
        <Textarea
          label="Reason"
          required
          autosize
          minRows={2}
          maxLength={1000}
          data-autofocus
          {...form.getInputProps("reason")}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Keep it
          </Button>
          <Button type="submit" color="red.8" loading={form.submitting}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
