import { Button, FileButton, Group, Input, Stack, Text } from "@mantine/core";
import { type UseFormReturnType, useForm } from "@mantine/form";
import { type ReactNode, useState } from "react";
import { formErrors, messageOf } from "../../api/client";
import { done } from "../../ui/notify";

type Props<V extends Record<string, unknown>> = {
  /** What kind of file it is. */
  text: string;
  accept?: string;
  begin: V;
  action: string;
  /** Sends the file, and says what came of it. */
  send: (file: File, values: V) => Promise<string>;
  close: () => void;
  /** What is asked beside the file. */
  children: (form: UseFormReturnType<V>) => ReactNode;
};

/** A window's form in which a file of numbers is chosen and sent. What the server refuses is said beside the file. */
export function FileForm<V extends Record<string, unknown>>({
  text,
  accept,
  begin,
  action,
  send,
  close,
  children,
}: Props<V>) {
  const [file, setFile] = useState<File | null>(null);
  const [busy, setBusy] = useState(false);
  const [refused, refuse] = useState<string | null>(null);
  const form = useForm<V>({ initialValues: begin });
  const submit = form.onSubmit(async (values) => {
    if (!file) return refuse("Choose a file first.");
    setBusy(true);
    refuse(null);
    try {
      done(await send(file, values));
      close();
    } catch (e) {
      const fields = formErrors(e);
      form.setErrors(fields);
      if (!Object.keys(fields).some((f) => f in begin)) refuse(messageOf(e));
    } finally {
      setBusy(false);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <Text size="sm">{text}</Text>
        <Input.Wrapper error={refused} errorProps={{ role: "alert" }}>
          <Group mb={refused ? 6 : 0}>
            <FileButton
              accept={accept}
              inputProps={{ "aria-label": "File with numbers" }}
              onChange={(f) => {
                setFile(f);
                refuse(null);
              }}
            >
              {(p) => (
                <Button {...p} variant="default">
                  Choose a file
                </Button>
              )}
            </FileButton>
            <Text size="sm">{file?.name ?? "None chosen"}</Text>
          </Group>
        </Input.Wrapper>
        {children(form)}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={busy}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
